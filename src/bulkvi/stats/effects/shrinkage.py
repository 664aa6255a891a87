"""Adaptive shrinkage of effects whose likelihood is a mixture of normals (Stephens 2017, generalised)."""

from types import ModuleType
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from bulkvi.stats.effects import shrinkage_kernels
from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.nb.block import Array, convert, full, is_torch, namespace, to_host

SMALLEST_SHARE = 0.2
SCALE_RATIO = np.sqrt(2)
NULL_COUNT = 9.0


class ShrinkagePrior(NamedTuple):
    """Prior of the effects: ``sum_j weight_j N(0, scale_j^2)``, the first scale 0 (a point mass); natural logs."""

    scale: np.ndarray
    """Standard deviations of the components."""
    weight: np.ndarray
    """Their weights, which add up to one."""
    converged: bool = True
    """Whether the weights are those of highest likelihood."""


class EffectPosterior(NamedTuple):
    """Posterior of each gene's effect, natural logs."""

    mean: Array
    sd: Array
    low: Array
    """Lower end of the central credible interval (an exact quantile of the posterior)."""
    high: Array
    """Upper end of the central credible interval."""
    lfsr: Array
    """Local false sign rate: the probability that the more probable sign is wrong (zero counts as wrong)."""
    prob_zero: Array
    """Posterior probability of no effect."""
    prob_positive: Array
    """Posterior probability of an effect above zero."""
    prob_effect: Array
    """Posterior probability of an effect larger than ``delta``, in absolute value."""


def scale_grid(effect: EffectLikelihood) -> np.ndarray:
    """Standard deviations of the prior's components: 0, then from `smallest_scale` upwards by `SCALE_RATIO`.

    The last is past ``2 sqrt(max(b^2 - se^2))``, twice the largest effect that the noise does not explain.

    Parameters
    ----------
    effect
        Likelihood of the effects.

    Returns
    -------
    Standard deviations, ascending from 0; in the unit of the effect.

    Examples
    --------
    >>> effect = EffectLikelihood(np.array([[0.1, 1.0]]), np.array([[0.5, 0.5]]), np.ones((1, 2)))
    >>> scale_grid(effect).round(2).tolist()
    [0.0, 0.1, 0.14, 0.2, 0.28, 0.4, 0.57, 0.8, 1.13, 1.6, 2.26]
    """
    b = (effect.weight * effect.estimate).sum(0)
    noise = (effect.weight * effect.se**2).sum(0)
    smallest = smallest_scale(to_host(effect.sd()))
    largest = 2 * float(np.sqrt(max(float((b**2 - noise).max()), (1.5 * smallest) ** 2 / 4)))
    steps = int(np.ceil(np.log(largest / smallest) / np.log(SCALE_RATIO)))
    return np.concatenate([[0.0], smallest * SCALE_RATIO ** np.arange(steps + 1)])


def smallest_scale(se: np.ndarray) -> float:
    """`SMALLEST_SHARE` of the tenth percentile of the standard errors: smaller effects look like none.

    In the unit of the effect, so that a covariate may be counted in days or in years.

    Parameters
    ----------
    se
        Standard errors, genes.

    Returns
    -------
    Standard deviation.

    Examples
    --------
    >>> smallest_scale(np.array([0.5, 0.5, 0.5, 4.0]))
    0.1
    """
    return SMALLEST_SHARE * float(np.quantile(se, 0.1))


def marginal_likelihoods(effect: EffectLikelihood, scale: np.ndarray) -> Array:
    """How well each component of the prior explains each gene: ``sum_k w_k N(b_k; 0, se_k^2 + scale_j^2)``.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    scale
        Standard deviations of the components.

    Returns
    -------
    Scales x genes, each gene divided by its largest.

    Examples
    --------
    >>> effect = EffectLikelihood(np.array([[0.1, 3.0]]), np.array([[0.5, 0.5]]), np.ones((1, 2)))
    >>> marginal_likelihoods(effect, np.array([0.0, 1.0, 4.0])).round(3).tolist()
    [[1.0, 0.0], [0.454, 0.13], [0.127, 1.0]]
    """
    out = full((scale.size, effect.estimate.shape[1]), 0.0, like=effect.estimate)
    _sums(effect.estimate).marginal_likelihoods(*effect, convert(scale, like=effect.estimate), out)
    return out


def mixture_weights(
    likelihood: Array, null_count: float = NULL_COUNT, *, tol: float = 1e-6, max_iter: int = 200
) -> tuple[np.ndarray, bool]:
    r"""Mixture weights of highest likelihood, :math:`\max_\pi \sum_g \log \sum_j \pi_j L_{jg} + c \log \pi_0`.

    A convex problem, solved by sequential quadratic programming (Kim, Carbonetto, Stephens & Anitescu 2020, *mixsqp*)
    instead of EM, which is still far away after hundreds of rounds. c = ``null_count`` pseudo-genes without effect
    keep the point mass from vanishing by chance. No step takes more than nine tenths of any gene's likelihood away:
    one that did, by emptying the only component that explains a gene, would leave a system that cannot be solved.

    Parameters
    ----------
    likelihood
        Likelihood of each gene under each component, components x genes, the first component the point mass.
    null_count
        c, pseudo-genes added to the first component.
    tol
        Largest relative violation of the optimality conditions; the log likelihood is then within ``tol`` a gene of its
        highest value.
    max_iter
        Most quadratic programs.

    Returns
    -------
    The weights, and whether the conditions were met.

    Examples
    --------
    Of a hundred genes the last thirty are a hundred times likelier under the second component:

    >>> likelihood = np.ones((2, 100))
    >>> likelihood[0, 70:] = likelihood[1, :70] = 0.01
    >>> weight, converged = mixture_weights(likelihood)
    >>> weight.round(2).tolist(), converged
    ([0.73, 0.27], True)
    """
    n_scales, n_genes = likelihood.shape
    total = n_genes + null_count
    weight = np.full(n_scales, 0.5 / max(n_scales - 1, 1))
    weight[0] = 0.5
    mixed = _mix(weight, likelihood)
    for _ in range(max_iter):
        ratio = likelihood / mixed
        gain = to_host(ratio.sum(1))
        gain[0] += null_count / weight[0]
        if gain.max() <= total * (1 + tol):
            return weight, True
        hessian = to_host(ratio @ ratio.T)
        hessian[0, 0] += null_count / weight[0] ** 2
        hessian[np.diag_indices(n_scales)] *= 1 + 1e-9
        hessian[np.diag_indices(n_scales)] += 1e-12 * hessian.max()
        # maximise gain.d - d'hessian d / 2 - total sum(d) over weight + d >= 0: least squares with a triangular root
        root = np.linalg.cholesky(hessian)
        step = nnls(root.T, np.linalg.solve(root, hessian @ weight + gain - total))[0] - weight
        fall = _mix(step, likelihood) / mixed
        length = min(1.0, 0.9 / max(-float(fall.min()), -step[0] / weight[0], 1e-300))
        slope = float((gain - total) @ step)
        while length > 1e-8 and _gain(weight, step, fall, length, null_count, total) < 0.01 * length * slope:
            length /= 2
        if length > 1e-8:
            weight = np.clip(weight + length * step, 0, None)
        else:
            weight = weight * gain / total  # a round of EM, which never fails to climb
        weight = weight / weight.sum()
        mixed = _mix(weight, likelihood)
    return weight, False


def _mix(weight: np.ndarray, likelihood: Array) -> Array:
    return convert(weight, like=likelihood) @ likelihood


def _gain(weight: np.ndarray, step: np.ndarray, fall: Array, length: float, null_count: float, total: float) -> float:
    """What a step adds to the penalised log likelihood, the constraint on the sum of the weights as a penalty."""
    genes = float(namespace(fall).log1p(length * fall).sum())
    return genes + null_count * float(np.log1p(length * step[0] / weight[0])) - total * length * float(step.sum())


def shrinkage_prior(effect: EffectLikelihood, null_count: float = NULL_COUNT) -> ShrinkagePrior:
    """Prior of the effects, learned from all genes.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    null_count
        Pseudo-genes without effect, see `mixture_weights`.

    Returns
    -------
    The prior.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = np.where(rng.random(2000) < 0.8, 0.0, rng.normal(size=2000))
    >>> effect = EffectLikelihood(rng.normal(true, 0.1)[None], np.full((1, 2000), 0.1), np.ones((1, 2000)))
    >>> bool(0.7 < shrinkage_prior(effect).weight[0] < 0.9)
    True
    """
    scale = scale_grid(effect)
    return ShrinkagePrior(scale, *mixture_weights(marginal_likelihoods(effect, scale), null_count))


def shrink(
    effect: EffectLikelihood, prior: ShrinkagePrior, *, level: float = 0.95, delta: float = 0.0
) -> EffectPosterior:
    r"""Posterior of each effect under the prior: a normal mixture over nodes and scales, and a point mass at zero.

    Component (k, j) has the weight :math:`w_k \pi_j N(b_k; 0, v)` with :math:`v = s_k^2 + \sigma_j^2`, mean
    :math:`b_k \sigma_j^2 / v` and variance :math:`s_k^2 \sigma_j^2 / v` (Stephens 2017, equation 2.9, for a
    likelihood that is itself a mixture).

    Parameters
    ----------
    effect
        Likelihood of the effects.
    prior
        Their prior.
    level
        Probability of the central credible interval, in (0, 1).
    delta
        Smallest absolute effect that matters, for `EffectPosterior.prob_effect`; natural log, >= 0.

    Returns
    -------
    The posterior of each gene's effect.

    Raises
    ------
    ValueError
        If ``level`` or ``delta`` is out of range.

    Examples
    --------
    >>> effect = EffectLikelihood(np.array([[0.1, 3.0]]), np.array([[0.5, 0.5]]), np.ones((1, 2)))
    >>> shrink(effect, ShrinkagePrior(np.array([0.0, 1.0]), np.array([0.8, 0.2]))).mean.round(3).tolist()
    [0.008, 2.4]
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` is {level}: give the probability of an interval, between 0 and 1.")
    if not delta >= 0:
        raise ValueError(f"`delta` is {delta}: give a smallest absolute effect, 0 or more (natural log).")
    kept = prior.weight > 0
    kept[0] = True
    estimate = effect.estimate
    scale, weight = (convert(part[kept], like=estimate) for part in (prior.scale, prior.weight))
    out = full((8, estimate.shape[1]), 0.0, like=estimate)
    _sums(estimate).summarise(*effect, scale, weight, (1 - level) / 2, delta, out)
    return EffectPosterior(*out)


def _sums(array: Array) -> ModuleType:
    """The sums over mixture components for this kind of array."""
    if is_torch(array):
        from bulkvi.stats.effects import shrinkage_torch

        return shrinkage_torch
    return shrinkage_kernels
