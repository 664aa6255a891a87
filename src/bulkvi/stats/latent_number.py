"""How many hidden factors do the residuals of a design show? Parallel analysis against data simulated from the fit."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors import Donors
from bulkvi.stats.gene_fit import GeneFit
from bulkvi.stats.noise_inflation import standardise, standardised_residuals

MARGIN = 1.05
MAX_FACTORS = 10
MIN_RESIDUAL_DF = 4
N_SIMULATIONS = 3


class LatentNumber(NamedTuple):
    """Number of hidden factors and what it was judged by."""

    number: int
    """Leading singular values of the residuals that stand out, as far as the samples allow."""
    singular_values: np.ndarray
    """Of the standardised residuals, descending."""
    threshold: np.ndarray
    """The largest that independent genes gave, times `MARGIN`."""
    limit: int
    """Most factors that the residual degrees of freedom allow."""


def latent_number(
    counts: np.ndarray,
    features: np.ndarray,
    offset: np.ndarray,
    fit: GeneFit,
    rng: np.random.Generator,
    donors: Donors | None = None,
) -> LatentNumber:
    """Count the singular values of the residuals above those of data with independent genes (Horn 1965).

    Residuals are those of `standardised_residuals`. The data they are compared with are negative binomial draws at the
    means and dispersions of the fit, treated alike (`N_SIMULATIONS` times; the largest value in each place counts). At least
    `MIN_RESIDUAL_DF` residual degrees of freedom are left: with fewer a factor makes null comparisons look like findings.

    Parameters
    ----------
    counts
        Counts, samples x genes.
    features
        Samples x p.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    fit
        What `fit_genes` made of them.
    rng
        Source of the simulated counts.
    donors
        Random intercepts of the fit, if it has any; simulated data have their own.

    Returns
    -------
    The number, and the singular values behind it.

    Examples
    --------
    >>> from bulkvi.stats.gene_fit import effect_ridge, fit_genes
    >>> rng = np.random.default_rng(0)
    >>> features = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)])
    >>> hidden = np.outer(np.tile([-1, 1], 6), rng.normal(0, 0.3, 300))
    >>> counts = rng.poisson(100 * np.exp(hidden)).astype(float)
    >>> fit = fit_genes(counts, features, offset=np.zeros(12), ridge=effect_ridge(features))
    >>> latent_number(counts, features, np.zeros(12), fit, rng).number
    1
    """
    n, p = features.shape
    residuals, mean, dispersion, own, rank = standardised_residuals(counts, features, offset, fit, donors)
    observed = np.linalg.svd(residuals, compute_uv=False)[: n - rank] if residuals.size else np.zeros(0)
    limit = int(np.clip(n - p - MIN_RESIDUAL_DF, 0, MAX_FACTORS))
    largest = np.zeros_like(observed)
    for _ in range(N_SIMULATIONS if observed.size else 0):
        drawn = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean)).astype(float)
        if own is not None:
            own = own._replace(effect=rng.normal(0.0, np.sqrt(own.variance), own.effect.shape))
        alone = standardise(drawn, mean, dispersion, features, own)
        largest = np.maximum(largest, np.linalg.svd(alone, compute_uv=False)[: n - rank])
    threshold = MARGIN * largest
    standing_out = int((observed > threshold).cumprod().sum())
    return LatentNumber(min(standing_out, limit), observed, threshold, limit)
