"""Hidden factors that correlate with a contrast: how much of each lies along it, by the genes that do not change."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.effects.shrinkage import mixture_weights, smallest_scale

MIN_NEAR_NULL = 0.5
NEAR_NULL = 1.5
SCALE_RATIO = np.sqrt(2)
MAX_ROUNDS = 60
TOLERANCE = 1e-4
FLAT = 1e-6
"""Prior precision of an effect that all genes may share."""


class Alignment(NamedTuple):
    """Position of hidden factors relative to a contrast."""

    delta: np.ndarray
    """Shift of each factor along the contrast, in units of the factor per unit of the contrast."""
    covariance: np.ndarray
    """Its posterior covariance, factors x factors."""
    gain: float
    """Log likelihood (nats) a gene above that of no shift."""
    near_null: float
    """Share of the genes whose effect, the shift taken off, is below `NEAR_NULL` usual standard errors, in the prior."""
    accepted: bool
    """Whether enough genes are near null (`MIN_NEAR_NULL`) for them to tell the shift."""


def align(
    estimate: np.ndarray, se: np.ndarray, loadings: np.ndarray, prior_variance: float, *, common: bool = False
) -> Alignment:
    r"""Estimate how far hidden factors differ between the sides of a contrast.

    Factors found in the residuals of a design are orthogonal to it, which true hidden factors are not: of a batch that is
    more frequent in one group, the part that goes with the groups is in the effects,

    .. math:: b_g = \beta_g + \sum_k W_{kg} \delta_k,

    with :math:`W` the factors' loadings, :math:`\delta_k \sim N(0, v)` and :math:`\beta` the effects proper, of which an
    adaptive shrinkage prior is learned. EM: the components' responsibilities given :math:`\delta`, then weighted ridge
    regression of b on W.

    Only genes that do not change tell a shift from real effects that follow the same pathways. Where nearly all genes
    change (yeast without Snf2, 70 %), :math:`\delta` would explain biology away; such an alignment is not accepted. Near null
    goes beyond one standard error, because noise that genes still share makes null effects look up to about so large.

    Parameters
    ----------
    estimate, se
        Effects of the contrast with the factors among the features, and standard errors; genes.
    loadings
        Coefficients of the factors, factors x genes; same log.
    prior_variance
        v: of a factor with unit variance that has nothing to do with two groups of n and m samples, 1 / n + 1 / m.
    common
        Whether all genes may share an effect of any size, which is then estimated with :math:`\delta` and left in the
        effects: where size factors decide where zero is, a factor with loadings of one sign must not explain it away.

    Returns
    -------
    The alignment. Factors plus ``delta`` times the contrast are the hidden ones. With ``common`` "near null" is near the
    shared effect.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> loadings = rng.normal(0, 0.5, (1, 2000))
    >>> own = np.where(rng.random(2000) < 0.1, rng.normal(0, 1, 2000), 0.0)
    >>> found = align(rng.normal(own + 0.6 * loadings[0], 0.1), np.full(2000, 0.1), loadings, 0.4)
    >>> found.delta.round(1).tolist(), found.accepted
    ([0.6], True)
    """
    n_factors = loadings.shape[0]
    known = np.full(n_factors, 1 / prior_variance)
    start_estimate = estimate
    if common:
        loadings, known = np.vstack([loadings, np.ones(estimate.size)]), np.append(known, FLAT)
        start_estimate = estimate - np.average(estimate, weights=1 / se**2)
    delta, precision = np.zeros(known.size), np.diag(known)
    scale = _scales(start_estimate, se)
    start = _fit(start_estimate, se, scale)
    fit = start
    for _ in range(MAX_ROUNDS):
        weight = fit.precision
        information = (loadings * weight) @ loadings.T + precision
        moved = np.linalg.solve(information, (loadings * weight) @ estimate)
        done = np.abs(moved - delta).max() < TOLERANCE
        delta = moved
        fit = _fit(estimate - delta @ loadings, se, scale)
        if done:
            break
    near_null = float(fit.weight[scale <= NEAR_NULL * np.median(se)].sum())
    covariance = np.linalg.inv((loadings * fit.precision) @ loadings.T + precision)
    return Alignment(
        delta[:n_factors],
        covariance[:n_factors, :n_factors],
        (fit.log_likelihood - start.log_likelihood) / estimate.size,
        near_null,
        near_null >= MIN_NEAR_NULL,
    )


class _Fit(NamedTuple):
    weight: np.ndarray
    log_likelihood: float
    precision: np.ndarray
    """Expected ``1 / (se^2 + scale^2)`` of each gene."""


def _fit(estimate: np.ndarray, se: np.ndarray, scale: np.ndarray) -> _Fit:
    variance = se**2 + scale[:, None] ** 2
    log_density = -0.5 * (np.log(variance) + estimate**2 / variance)
    largest = log_density.max(0)
    density = np.exp(log_density - largest)
    weight, _ = mixture_weights(density, 1.0, tol=1e-4)
    share = density * weight[:, None]
    total = share.sum(0)
    return _Fit(weight, float((np.log(total) + largest).sum()), (share / variance).sum(0) / total)


def _scales(estimate: np.ndarray, se: np.ndarray) -> np.ndarray:
    smallest = smallest_scale(se)
    steps = int(np.ceil(np.log(2 * np.abs(estimate).max() / smallest + 2) / np.log(SCALE_RATIO)))
    return np.concatenate([[0.0], smallest * SCALE_RATIO ** np.arange(steps + 1)])
