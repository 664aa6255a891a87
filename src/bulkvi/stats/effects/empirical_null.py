"""How widely do the statistics of unchanged genes spread? Read from the statistics, where most genes do not change."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, logsumexp, ndtri_exp
from scipy.stats import norm

from bulkvi.stats.effects.noise_inflation import NoiseInflation
from bulkvi.stats.effects.shrinkage import mixture_weights

SMALLEST_EFFECT = 2.0
SCALE_RATIO = np.sqrt(2)
SMALLEST_NULL_SHARE = 0.5
LARGEST_VARIANCE = 10.0
STEP = 0.15
SMALLEST_LOG_SD = 0.05
QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def null_variance(statistic: np.ndarray) -> float:
    r"""Variance of the z-statistics of the genes without effect, at least 1.

    Effects are thought to be none for most genes, and at least of the size of the noise for the others:

    .. math:: z_g \sim \pi_0 N(0, f) + \sum_j \pi_j N(0, f (1 + \tau_j^2)), \quad \tau_j \ge 2,

    with :math:`\pi_0 \ge 1/2`, and f is where the likelihood, maximised over the weights, is highest. An empirical null (Efron 2004, *Large-scale
    simultaneous hypothesis testing*): noise that genes share makes all statistics of one contrast wider at once, which no
    gene's own replicates tell. Only where most genes are known not to change does it mean that: many small effects look the
    same. Statistics that are narrower than expected are left alone.

    Parameters
    ----------
    statistic
        z-statistics, genes; those that are not finite are left out.

    Returns
    -------
    f, between 1 and `LARGEST_VARIANCE`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> effect = np.where(rng.random(4000) < 0.1, rng.normal(0, 5, 4000), 0.0)
    >>> [round(null_variance(rng.normal(effect, sd)), 1) for sd in (0.8, 1.0, 1.4)]
    [1.0, 1.0, 1.9]
    """
    z = np.asarray(statistic, dtype=float)
    z = z[np.isfinite(z)]
    if z.size == 0:
        return 1.0
    # wide effects and a wide null trade places: more than one maximum
    steps = np.arange(0.0, np.log(LARGEST_VARIANCE) + STEP, STEP)
    best = steps[np.argmax([_log_likelihood(z, np.exp(step)) for step in steps])]
    found = minimize_scalar(
        lambda log_variance: -_log_likelihood(z, np.exp(log_variance)),
        bounds=(best - STEP, best + STEP),
        method="bounded",
        options={"xatol": 0.01},
    )
    return float(np.clip(np.exp(found.x), 1.0, LARGEST_VARIANCE))


class ExpectedInflation(NamedTuple):
    """What is known of the variance of null statistics before they are seen."""

    log_mean: float
    log_sd: float


def null_inflation(statistic: np.ndarray, expected: ExpectedInflation) -> NoiseInflation:
    r"""Factors on the variances of all effects of a contrast: what was expected, and what its statistics show.

    The statistics bound the factor f from above: `null_variance`, F, is what it would be if small effects had no part in the
    width. With :math:`\log f \sim N(m, s^2)` expected (`latent_number`), either they have none, and f is F; or they have, F is
    f times an excess of which nothing is known (log-uniform up to `LARGEST_VARIANCE`), and f is what was expected below F. With even
    odds beforehand, the first has the posterior odds

    .. math:: N(\log F; m, s^2) : \Phi\left(\frac{\log F - m}{s}\right) / \log 10

    so that a width within reach of shared noise is taken for it, and one beyond its reach for many small effects.

    Parameters
    ----------
    statistic
        z-statistics, genes.
    expected
        Mean and standard deviation of the log of the factor.

    Returns
    -------
    Factors, at least 1, and their probabilities.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> for sd in (1.0, 1.3, 3.0):
    ...     print(null_inflation(rng.normal(0, sd, 5000), ExpectedInflation(0.1, 0.3)).factor.round(1))
    [1. 1. 1. 1. 1. 1.]
    [1.  1.  1.1 1.2 1.5 1.7]
    [1.  1.  1.1 1.3 1.6 9. ]
    """
    log_sd = max(expected.log_sd, SMALLEST_LOG_SD)
    seen = np.log(null_variance(statistic))
    reach = (seen - expected.log_mean) / log_sd
    below = norm.cdf(reach)
    shared = norm.pdf(reach) / log_sd
    mixed = below / np.log(LARGEST_VARIANCE)
    first = shared / (shared + mixed) if shared + mixed > 0 else 1.0
    quantiles = expected.log_mean + log_sd * norm.ppf(QUANTILES * below) if below > 0 else np.full(QUANTILES.size, seen)
    factor = np.maximum(1.0, np.exp(np.append(np.minimum(quantiles, seen), seen)))
    return NoiseInflation(factor, np.append(np.full(QUANTILES.size, (1 - first) / QUANTILES.size), first))


def widen_log_p(log_p: np.ndarray, inflation: NoiseInflation) -> np.ndarray:
    """p-values of statistics whose variance without effect is not 1: the mean of ``2 Phi(-|z| / sqrt(factor))``.

    Parameters
    ----------
    log_p
        Natural log of two-sided p-values that take it to be 1.
    inflation
        Factors and their probabilities.

    Returns
    -------
    Natural log of p-values.

    Examples
    --------
    >>> np.exp(widen_log_p(np.log([1.0, 0.0455]), NoiseInflation(np.array([4.0]), np.ones(1)))).round(3).tolist()
    [1.0, 0.317]
    """
    z = ndtri_exp(np.minimum(log_p - np.log(2), np.log(0.5)))
    widened = np.log(2) + log_ndtr(z / np.sqrt(inflation.factor)[:, None])
    return logsumexp(widened, axis=0, b=inflation.weight[:, None])


def _log_likelihood(z: np.ndarray, variance: float) -> float:
    largest = 2 * max(float(np.abs(z).max()), 3.0) / np.sqrt(variance)
    steps = int(np.ceil(np.log(largest / SMALLEST_EFFECT) / np.log(SCALE_RATIO)))
    scale = SMALLEST_EFFECT * SCALE_RATIO ** np.arange(max(steps, 0) + 1)
    variances = variance * (1 + np.append(0.0, scale) ** 2)[:, None]
    log_density = -0.5 * (np.log(variances) + z**2 / variances)
    highest = log_density.max(0)
    density = np.exp(log_density - highest)
    weight, _ = mixture_weights(density, 1.0, tol=1e-4)
    if weight[0] < SMALLEST_NULL_SHARE:
        others = weight[1:] / weight[1:].sum()
        weight = np.append(SMALLEST_NULL_SHARE, (1 - SMALLEST_NULL_SHARE) * others)
    return float((np.log(weight @ density) + highest).sum())
