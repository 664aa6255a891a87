"""Where zero lies: the shift that all effects share because size factors put the unchanged genes in the wrong place."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.shrinkage import mixture_weights, smallest_scale
from bulkvi.stats.nb.block import to_host

N_SCALES = 9
MIN_GAIN = 10.0
MIN_GAIN_PER_GENE = 0.005
MAX_GENES = 3_000
COARSE = 9


class CompositionShift(NamedTuple):
    """The shift of all effects of a contrast; natural log, per unit of the contrast."""

    shift: float = 0.0
    """Effect of an unchanged gene; 0 where the evidence is too weak."""
    best: float = 0.0
    """The shift of highest likelihood, whatever the evidence."""
    gain: float = 0.0
    """Log likelihood (nats) of ``best`` above that of no shift."""


def composition_shift(effect: EffectLikelihood, informative: np.ndarray | None = None) -> CompositionShift:
    r"""Find the place that most effects pile up at.

    Median of ratios takes the median gene for unchanged. Where more than half of the genes change, and most of them one
    way, zero is then in the wrong place and every unchanged gene looks changed the other way. The effects tell:

    .. math:: b_g \sim \pi_0 \delta_{d} + \sum_j \pi_j^+ \, \mathrm{HN}^+_d(\sigma_j) + \pi_j^- \, \mathrm{HN}^-_d(\sigma_j)

    plus noise: a point mass at the shift d and half-normal distributions to its right and left, their weights free, so
    that one-sided changes do not pull d along (the unimodal prior of Stephens 2017 with the mode unknown). d is where
    the likelihood, the weights at their best, is highest. It is taken for real only if the log likelihood is at least
    `MIN_GAIN` above that of d = 0: where no genes pile up (nearly all change a little) the likelihood is flat, and the
    size factors are the better guide.

    Parameters
    ----------
    effect
        Likelihood of the effects; a gene's mixture over dispersions enters as one normal of its mean and sd.
    informative
        Which genes have counts enough to say anything, all by default: thousands without would blur what the usual gene is.

    Returns
    -------
    The shift; take it off ``effect.estimate``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = np.where(rng.random(2000) < 0.4, 0.0, np.abs(rng.normal(size=2000))) - 0.3
    >>> effect = EffectLikelihood(rng.normal(true, 0.05)[None], np.full((1, 2000), 0.05), np.ones((1, 2000)))
    >>> round(composition_shift(effect).shift, 1)
    -0.3
    """
    estimate, se = to_host(effect.mean()), to_host(effect.sd())
    if informative is not None:
        estimate, se = estimate[informative], se[informative]
    n_genes = estimate.size
    if n_genes == 0:
        return CompositionShift()
    # every k-th by precision: the same genes in whatever order they come
    chosen = np.lexsort((estimate, se))[:: -(-n_genes // MAX_GENES)]
    estimate, se = estimate[chosen], se[chosen]
    scale_up, threshold = n_genes / chosen.size, max(MIN_GAIN, MIN_GAIN_PER_GENE * n_genes)
    at_zero = profile_likelihood(0.0, estimate, se)
    peak = _peak(estimate, se)
    usual = float(np.median(se))
    grid = np.linspace(min(0.0, peak) - usual, max(0.0, peak) + usual, COARSE)
    gains = [scale_up * (profile_likelihood(place, estimate, se) - at_zero) for place in grid]
    highest = int(np.argmax(gains))
    best, gain = float(grid[highest]), float(gains[highest])
    if gain > threshold / 2:
        step = grid[1] - grid[0]
        found = minimize_scalar(
            lambda place: -profile_likelihood(place, estimate, se),
            bounds=(best - step, best + step),
            method="bounded",
            options={"xatol": 1e-2 * usual},
        )
        best, gain = float(found.x), scale_up * float(-found.fun - at_zero)
    return CompositionShift(best if gain >= threshold else 0.0, best, gain)


def profile_likelihood(shift: float, estimate: np.ndarray, se: np.ndarray) -> float:
    """Log likelihood of a shift, the mixture weights at their best (a point mass and half-normals either way).

    Parameters
    ----------
    shift
        The shift, natural log.
    estimate, se
        Estimates and standard errors of the effects, genes.

    Returns
    -------
    Log likelihood in nats, up to a constant of the genes, with the log weight of the point mass added once: one pseudo-gene
    without effect.

    Examples
    --------
    >>> estimate = np.random.default_rng(0).normal(0.5, 0.1, 300)
    >>> se = np.full(300, 0.1)
    >>> profile_likelihood(0.5, estimate, se) > profile_likelihood(0.0, estimate, se)
    True
    """
    scale = np.concatenate([[0.0], smallest_scale(se) * 2.0 ** np.arange(N_SCALES)])[:, None]
    rest = estimate - shift
    variance = se**2 + scale**2
    log_density = -0.5 * (np.log(variance) + rest**2 / variance)
    largest = log_density.max(0)
    density = np.exp(log_density - largest)
    right = ndtr(rest * scale[1:] / (se * np.sqrt(variance[1:])))
    likelihood = np.concatenate([density[:1], 2 * density[1:] * right, 2 * density[1:] * (1 - right)])
    weight, _ = mixture_weights(likelihood, 1.0, tol=1e-4)
    return float(np.log(weight @ likelihood).sum() + largest.sum() + np.log(max(weight[0], 1e-300)))


def _peak(estimate: np.ndarray, se: np.ndarray) -> float:
    """Where the density of the effects, each gene weighted by its precision, is highest."""
    low, high = np.quantile(estimate, [0.05, 0.95])
    places = np.linspace(float(low), float(high), 300)
    smallest = smallest_scale(se)
    width = 0.7 * np.median(se) + smallest
    weight = 1 / (se**2 + smallest**2)
    return float(places[np.argmax(np.exp(-0.5 * ((places[:, None] - estimate) / width) ** 2) @ weight)])
