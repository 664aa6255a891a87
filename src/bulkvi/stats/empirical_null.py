"""How widely do the statistics of unchanged genes spread? Read from the statistics, where most genes do not change."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, ndtri_exp

from bulkvi.stats.shrinkage import mixture_weights

SMALLEST_EFFECT = 2.0
SCALE_RATIO = np.sqrt(2)
SMALLEST_NULL_SHARE = 0.5
LARGEST_VARIANCE = 10.0
STEP = 0.15


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


def widen_log_p(log_p: np.ndarray, variance: float) -> np.ndarray:
    """p-values of statistics whose variance without effect is not 1: ``2 Phi(-|z| / sqrt(variance))``.

    Parameters
    ----------
    log_p
        Natural log of two-sided p-values that take it to be 1.
    variance
        Of `null_variance`.

    Returns
    -------
    Natural log of p-values.

    Examples
    --------
    >>> np.exp(widen_log_p(np.log([1.0, 0.0455]), 4.0)).round(3).tolist()
    [1.0, 0.317]
    """
    z = ndtri_exp(np.minimum(log_p - np.log(2), np.log(0.5)))
    return np.log(2) + log_ndtr(z / np.sqrt(variance))


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
