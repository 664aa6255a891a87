"""Adaptive shrinkage of effects whose likelihood is a mixture of normals (Stephens 2017, generalised), and draws of effects."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from scipy.special import ndtr

from bulkvi.stats.effects import shrinkage_kernels
from bulkvi.stats.effects.effect import EffectLikelihood

SMALLEST_SHARE = 0.2
SCALE_RATIO = np.sqrt(2)
NULL_COUNT = 9.0
N_HALVINGS = 60
NULL_GENES = (0.25, 2.0, 16.0)
"""Independent genes without effect that take the point mass from its best value towards one: places of an integral."""


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

    mean: np.ndarray
    sd: np.ndarray
    low: np.ndarray
    """Lower end of the central credible interval (an exact quantile of the posterior)."""
    high: np.ndarray
    """Upper end of the central credible interval."""
    lfsr: np.ndarray
    """Local false sign rate: the probability that the more probable sign is wrong (zero counts as wrong)."""
    prob_zero: np.ndarray
    """Posterior probability of no effect."""
    prob_positive: np.ndarray
    """Posterior probability of an effect above zero."""
    prob_effect: np.ndarray
    """Posterior probability of an effect larger than ``delta``, in absolute value."""


def scale_grid(effect: EffectLikelihood) -> np.ndarray:
    """Standard deviations of the prior's components: 0, then from `smallest_scale` upwards by `SCALE_RATIO`.

    The last is past ``2 sqrt(max(b^2 - se^2))``, twice the largest effect in excess of the noise.
    """
    b = (effect.weight * effect.estimate).sum(0)
    noise = (effect.weight * effect.se**2).sum(0)
    smallest = smallest_scale(effect.sd())
    largest = 2 * float(np.sqrt(max(float((b**2 - noise).max()), (1.5 * smallest) ** 2 / 4)))
    steps = int(np.ceil(np.log(largest / smallest) / np.log(SCALE_RATIO)))
    return np.concatenate([[0.0], smallest * SCALE_RATIO ** np.arange(steps + 1)])


def smallest_scale(se: np.ndarray) -> float:
    """`SMALLEST_SHARE` of the tenth percentile of the standard errors, in the unit of the effect: smaller effects look like none."""
    return SMALLEST_SHARE * float(np.quantile(se, 0.1))


def marginal_likelihoods(effect: EffectLikelihood, scale: np.ndarray) -> np.ndarray:
    """Likelihood of each component of the prior, scales x genes, each gene divided by its largest: ``sum_k w_k N(b_k; 0, se_k^2 + scale_j^2)``."""
    out = np.zeros((scale.size, effect.estimate.shape[1]))
    shrinkage_kernels.marginal_likelihoods(*effect, scale, out)
    return out


def mixture_weights(
    likelihood: np.ndarray, null_count: float = NULL_COUNT, *, tol: float = 1e-6, max_iter: int = 200
) -> tuple[np.ndarray, bool]:
    r"""Mixture weights of highest likelihood, :math:`\max_\pi \sum_g \log \sum_j \pi_j L_{jg} + c \log \pi_0`.

    A convex problem, solved by sequential quadratic programming (Kim, Carbonetto, Stephens & Anitescu 2020, *mixsqp*)
    instead of EM, which has not converged after hundreds of rounds. c = ``null_count`` pseudo-genes without effect
    keep the point mass from vanishing by chance. No step removes more than nine tenths of any gene's likelihood: emptying
    the only component that explains a gene would leave a singular system. ``tol`` is the largest relative violation of the
    optimality conditions; the second result is whether it was reached.
    """
    n_scales, n_genes = likelihood.shape
    total = n_genes + null_count
    weight = np.full(n_scales, 0.5 / max(n_scales - 1, 1))
    weight[0] = 0.5
    mixed = weight @ likelihood
    for _ in range(max_iter):
        ratio = likelihood / mixed
        gain = ratio.sum(1)
        gain[0] += null_count / weight[0]
        if gain.max() <= total * (1 + tol):
            return weight, True
        hessian = ratio @ ratio.T
        hessian[0, 0] += null_count / weight[0] ** 2
        hessian[np.diag_indices(n_scales)] *= 1 + 1e-9
        hessian[np.diag_indices(n_scales)] += 1e-12 * hessian.max()
        # maximise gain.d - d'hessian d / 2 - total sum(d) over weight + d >= 0: least squares with a triangular root
        root = np.linalg.cholesky(hessian)
        step = nnls(root.T, np.linalg.solve(root, hessian @ weight + gain - total))[0] - weight
        fall = step @ likelihood / mixed
        length = min(1.0, 0.9 / max(-float(fall.min()), -step[0] / weight[0], 1e-300))
        slope = float((gain - total) @ step)
        while length > 1e-8 and _gain(weight, step, fall, length, null_count, total) < 0.01 * length * slope:
            length /= 2
        if length > 1e-8:
            weight = np.clip(weight + length * step, 0, None)
        else:
            weight = weight * gain / total  # a round of EM, which always increases the likelihood
        weight = weight / weight.sum()
        mixed = weight @ likelihood
    return weight, False


def _gain(
    weight: np.ndarray, step: np.ndarray, fall: np.ndarray, length: float, null_count: float, total: float
) -> float:
    """Gain of a step in the penalised log likelihood, the constraint on the sum of the weights as a penalty."""
    genes = float(np.log1p(length * fall).sum())
    return genes + null_count * float(np.log1p(length * step[0] / weight[0])) - total * length * float(step.sum())


def shrinkage_prior(
    effect: EffectLikelihood, *, independent: float = np.inf, least_null: float = 0.0
) -> ShrinkagePrior:
    r"""Estimate the prior of the effects from all genes: a point mass at zero and zero-centred normals.

    Where genes are independent, their number is large and the weights are those of highest likelihood. Genes that share noise seem
    to agree about small effects: G of them tell as much as ``independent`` ones, :math:`\nu`, and a range of weights is as
    probable. Their posterior mean is taken, each gene's prior given the others, over

    .. math:: p(\pi_0) \propto \left( \max_{\pi_1, \pi_2, \dots} \pi_0^9 \prod_g \sum_j \pi_j L_{jg} \right)^{\nu / G}

    from its highest value up to :math:`\pi_0 = 1`: fewer small effects than seem to be there are possible, more are not needed.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    independent
        Number of independent genes that all genes are worth, of `independent_genes`; all by default.
    least_null
        Smallest share of genes without effect, in [0, 1).

    Returns
    -------
    Named tuple with ``scale`` (standard deviations, the first 0) and ``weight`` of the components, and ``converged``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = np.where(rng.random(2000) < 0.8, 0.0, rng.normal(size=2000))
    >>> effect = EffectLikelihood(rng.normal(true, 0.1)[None], np.full((1, 2000), 0.1), np.ones((1, 2000)))
    >>> bool(0.7 < shrinkage_prior(effect).weight[0] < 0.9)
    True
    """
    scale = scale_grid(effect)
    likelihood = marginal_likelihoods(effect, scale)
    best, converged = mixture_weights(likelihood)
    # all genes over independent ones: below the pseudo-genes there are anyway, it moves nothing
    worth = likelihood.shape[1] / independent
    counts = [NULL_COUNT + worth * genes for genes in NULL_GENES] if worth > NULL_COUNT else []
    weights = [best, *(mixture_weights(likelihood, count, tol=1e-3)[0] for count in counts)]
    weight = np.stack([_at_least(each, least_null) for each in weights])
    if len(weight) > 1:
        log_likelihood = np.log(weight @ likelihood).sum(1) + NULL_COUNT * np.log(weight[:, 0])
        share = np.maximum.accumulate(weight[:, 0])
        width = np.diff([share[0], *(share[1:] + share[:-1]) / 2, 1.0]) + 1e-12
        probability = width * np.exp((log_likelihood - log_likelihood.max()) / worth)
        weight = (probability / probability.sum())[None] @ weight
    return ShrinkagePrior(scale, weight[0], converged)


def _at_least(weight: np.ndarray, least_null: float) -> np.ndarray:
    """Mixture weights with the first at least this large, the others in proportion."""
    if weight[0] >= least_null:
        return weight
    return np.append(least_null, (1 - least_null) / weight[1:].sum() * weight[1:])


def shrink(
    effect: EffectLikelihood, prior: ShrinkagePrior, *, level: float = 0.95, delta: float = 0.0
) -> EffectPosterior:
    r"""Compute the posterior of each effect under the prior: a normal mixture over nodes and scales, and a point mass at zero.

    Component (k, j) has the weight :math:`w_k \pi_j N(b_k; 0, v)` with :math:`v = s_k^2 + \sigma_j^2`, mean
    :math:`b_k \sigma_j^2 / v` and variance :math:`s_k^2 \sigma_j^2 / v` (Stephens 2017, equation 2.9, for a
    likelihood that is itself a mixture).

    Parameters
    ----------
    effect
        Likelihood of the effects.
    prior
        Of `shrinkage_prior`.
    level
        Probability of the central credible interval, in (0, 1).
    delta
        Smallest absolute effect that matters, for ``prob_effect``; natural log, >= 0.

    Returns
    -------
    Named tuple of one value per gene: ``mean``, ``sd``, ``low``, ``high`` (ends of the interval), ``lfsr`` (local false sign
    rate), ``prob_zero``, ``prob_positive`` and ``prob_effect``.

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
    scale, weight = (part[kept] for part in (prior.scale, prior.weight))
    out = np.zeros((8, estimate.shape[1]))
    shrinkage_kernels.summarise(*effect, scale, weight, (1 - level) / 2, delta, out)
    return EffectPosterior(*out)


class SpikeAndNormal(NamedTuple):
    """A point mass at zero and a normal curve for each gene, in the unit of the effect."""

    zero: np.ndarray
    """Probability of no effect."""
    mean: np.ndarray
    """Mean of the normal curve."""
    sd: np.ndarray
    """Its standard deviation."""


def spike_and_normal(mean: np.ndarray, sd: np.ndarray, lfsr: np.ndarray) -> SpikeAndNormal:
    r"""Find the point mass at zero and normal curve with a posterior's mean, standard deviation and local false sign rate.

    The posterior of `summarise_effect` is a point mass and many normal curves, of which a table keeps three numbers. With
    one curve these have one solution: for a point mass of :math:`q`

    .. math::

        m = \frac{\mathrm{mean}}{1 - q}, \qquad s^2 = \frac{\mathrm{sd}^2 + \mathrm{mean}^2}{1 - q} - m^2, \qquad
        q + (1 - q)\, \Phi(-|m| / s) = \mathrm{lfsr},

    solved by bisection between 0 and the largest :math:`q` with :math:`s \ge 0`. Where no single curve has the three
    numbers, the nearest end is taken, which keeps mean and standard deviation.
    """
    mean, sd, lfsr = (np.asarray(part, dtype=float) for part in (mean, sd, lfsr))
    second = sd**2 + mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        largest = np.where(second > 0, sd**2 / second, 1.0)
    low, high = np.zeros_like(mean), largest
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        over = _false_sign(middle, mean, second) > lfsr
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    zero = (low + high) / 2
    curve = _curve(zero, mean, second)
    return SpikeAndNormal(zero, *curve)


def draw_effects(parts: SpikeAndNormal, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Draw all effects independently, draws x genes; exactly 0 where the point mass was drawn."""
    shape = n_draws, parts.zero.size
    present = rng.random(shape) >= parts.zero
    return np.where(present, parts.mean + parts.sd * rng.standard_normal(shape), 0.0)


def _curve(zero: np.ndarray, mean: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left = np.maximum(1 - zero, 1e-12)
    centre = mean / left
    return centre, np.sqrt(np.clip(second / left - centre**2, 0.0, None))


def _false_sign(zero: np.ndarray, mean: np.ndarray, second: np.ndarray) -> np.ndarray:
    centre, spread = _curve(zero, mean, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = ndtr(np.where(spread > 0, -np.abs(centre) / spread, -np.inf))
    return zero + (1 - zero) * wrong
