"""How many hidden factors do the residuals of a design show, and how many are worth their degrees of freedom?"""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors import Donors
from bulkvi.stats.gene_fit import GeneFit
from bulkvi.stats.held_out_direction import held_out_noise
from bulkvi.stats.noise_inflation import standardise, standardised_residuals

LARGEST_RATE = 1e15
NEGLIGIBLE = 1e-8
MARGIN = 1.05
MAX_FACTORS = 10
MIN_RESIDUAL_DF = 4
N_SIMULATIONS = 3
WORTHWHILE = 0.97


class LatentNumber(NamedTuple):
    """Number of hidden factors and what it was judged by."""

    number: int
    """Factors to hold fixed; 0 if none stands out."""
    singular_values: np.ndarray
    """Of the standardised residuals, descending."""
    threshold: np.ndarray
    """The largest that independent genes gave, times `MARGIN`."""
    information: np.ndarray
    """What a contrast is expected to tell beside 0, 1, 2, ... factors, relative to none; empty where none stands out."""
    inflation: np.ndarray
    """Mean and standard deviation of the log of how much the variance of a contrast is above what the regression beside
    0, 1, 2, ... factors says, 2 x numbers; empty where no factor stands out."""
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
    r"""Whether there are hidden factors, by parallel analysis; if so, how many, by what a contrast gains.

    Whether: the largest singular value of the residuals (`standardised_residuals`) is compared with that of negative
    binomial draws at the means and dispersions of the fit, with independent genes (Horn 1965; `N_SIMULATIONS` draws, the
    largest counts).

    How many: strong factors hide weaker ones from parallel analysis, and weak ones may cost more than they are worth. A contrast
    with noise :math:`e_k` beside k factors (`held_out_noise`) and a variance known from
    :math:`\nu = n - p - k` degrees of freedom has the information of Student's t, :math:`(\nu + 1) / (\nu + 3) / e_k`. The
    smallest number with at least `WORTHWHILE` of the most is taken. At least `MIN_RESIDUAL_DF` residual degrees of freedom are
    left: with fewer a factor makes null comparisons look like findings.

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
        Source of the simulated counts and of the directions held out.
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
    n = len(features)
    residuals, mean, dispersion, own, rank = standardised_residuals(counts, features, offset, fit, donors)
    observed = np.linalg.svd(residuals, compute_uv=False)[: n - rank] if residuals.size else np.zeros(0)
    limit = int(np.clip(n - rank - MIN_RESIDUAL_DF, 0, MAX_FACTORS))
    # a few genes, or copies of one, span fewer directions than there are samples
    limit = min(limit, max(int((observed > NEGLIGIBLE * observed.max(initial=0.0)).sum()) - 1, 0))
    largest = np.zeros_like(observed)
    for _ in range(N_SIMULATIONS if observed.size else 0):
        rate = rng.gamma(1 / dispersion, dispersion * mean)
        # beyond what a Poisson draw holds its noise does not matter
        drawn = np.where(rate > LARGEST_RATE, np.rint(rate), rng.poisson(np.minimum(rate, LARGEST_RATE)))
        if own is not None:
            own = own._replace(effect=rng.normal(0.0, np.sqrt(own.variance), own.effect.shape))
        alone = standardise(drawn, mean, dispersion, features, own)
        largest = np.maximum(largest, np.linalg.svd(alone, compute_uv=False)[: n - rank])
    threshold = MARGIN * largest
    if not limit or not observed.size or observed[0] <= threshold[0]:
        return LatentNumber(0, observed, threshold, np.zeros(0), np.zeros((2, 0)), limit)
    held_out = held_out_noise(residuals, rank, limit, rng)
    df = n - rank - np.arange(limit + 1)
    information = (df + 1) / (df + 3) / np.exp(np.log(held_out.noise).mean(0))
    number = int(np.argmax(information >= WORTHWHILE * information.max()))
    log_inflation = np.log(held_out.inflation)
    inflation = np.stack([log_inflation.mean(0), log_inflation.std(0)])
    return LatentNumber(number, observed, threshold, information / information[0], inflation, limit)
