"""How much more, or less, all effects of a contrast may vary together than each gene's own replicates say."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors.donors import Donors
from bulkvi.stats.genes import FittedGenes
from bulkvi.stats.nb.block import Array, to_host

MIN_MEAN = 5.0
LARGEST_RESIDUAL = 4.0
MAX_GENES = 4_000
N_DIRECTIONS = 20_000
NEGLIGIBLE_SD = 0.05
EDGES = np.array([0.0, 0.6, 0.9, 0.97, 1.0])


class NoiseInflation(NamedTuple):
    """Factors on the variances of all effects of a contrast, with their probabilities; mean close to one."""

    factor: np.ndarray
    """Factors, ascending; a single 1 where genes vary independently."""
    weight: np.ndarray
    """Their probabilities."""


def noise_inflation(
    counts: Array, features: Array, offset: Array, fit: FittedGenes, donors: Donors | None = None
) -> NoiseInflation:
    r"""Learn from the residuals how strongly the noise of genes is shared, without looking at any contrast.

    Genes that go up and down together give every direction in the space of the samples a variance of its own: of two
    ways to split like samples in halves, one may show twice the differences of the other, in all genes at once. No
    gene's own replicates tell which way a contrast points. With :math:`r_g` the standardised residuals of a gene and
    :math:`\lambda` the eigenvalues of :math:`\sum_g r_g r_g^\top` divided by their mean, a direction u that knows nothing
    of them has the variance :math:`\sum_i \lambda_i u_i^2` in place of 1 (u uniform on the sphere). Its quantiles are
    returned. This is an empirical null (Efron 2007, *Correlation and large-scale simultaneous significance testing*)
    whose width is measured in the residuals, so that real effects, however many, do not widen it.

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
    donors
        Random intercepts of its nodes, if it has any: what samples of a donor share is then no shared noise of genes.

    Returns
    -------
    Factors and their probabilities.

    Notes
    -----
    Residuals are those of `standardised_residuals`.

    Examples
    --------
    Every other gene rises in samples 1, 2, 5 and 6, by nothing that the features know:

    >>> from bulkvi.stats.genes import effect_ridge, fit_genes
    >>> rng = np.random.default_rng(0)
    >>> features = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    >>> mean = np.full((8, 400), 100.0)
    >>> mean[np.ix_([1, 2, 5, 6], range(0, 400, 2))] *= 1.5
    >>> for expected in (np.full((8, 400), 100.0), mean):
    ...     counts = rng.negative_binomial(50, 50 / (50 + expected)).astype(float)
    ...     fit = fit_genes(counts, features, offset=np.zeros(8), ridge=effect_ridge(features))
    ...     print(noise_inflation(counts, features, np.zeros(8), fit).factor.round(1))
    [1.  1.  1.1 1.1]
    [0.8 1.2 1.7 2.1]
    """
    n, p = features.shape
    if n - p < 2:
        return NoiseInflation(np.ones(1), np.ones(1))
    residuals, _, _, _, rank = standardised_residuals(counts, features, offset, fit, donors)
    if residuals.shape[1] < n:
        return NoiseInflation(np.ones(1), np.ones(1))
    eigenvalues = np.linalg.eigvalsh(residuals @ residuals.T)[rank:]
    eigenvalues = np.append(eigenvalues / eigenvalues.mean(), 1.0)  # of the contrast's own direction nothing is known
    # the same directions for every data set: an integral, not a draw
    squares = np.random.default_rng(0).standard_gamma(0.5, size=(N_DIRECTIONS, eigenvalues.size))
    factors = np.sort(squares @ eigenvalues / squares.sum(1))
    if factors.std() < NEGLIGIBLE_SD:
        return NoiseInflation(np.ones(1), np.ones(1))
    cuts = (EDGES * N_DIRECTIONS).astype(int)
    means = [factors[low:high].mean() for low, high in zip(cuts[:-1], cuts[1:], strict=True)]
    return NoiseInflation(np.array(means), np.diff(EDGES))


class Residuals(NamedTuple):
    """Standardised residuals of the genes that are informative; samples x genes."""

    value: np.ndarray
    """Residuals, projected off the features."""
    mean: np.ndarray
    """Fitted mean counts."""
    dispersion: np.ndarray
    """Posterior mean dispersions, genes."""
    donors: Donors | None
    """Random intercepts of these genes; their effects are in ``mean``."""
    rank: int
    """Dimensions of the samples that the residuals were projected off."""


def standardised_residuals(
    counts: Array, features: Array, offset: Array, fit: FittedGenes, donors: Donors | None = None
) -> Residuals:
    """Pearson residuals of genes with mean counts above `MIN_MEAN`, at most `MAX_GENES` of them, every k-th by mean.

    Parameters
    ----------
    counts, features, offset
        As given to `fit_genes`.
    fit
        What it made of them.
    donors
        Random intercepts of its nodes, if it has any.

    Returns
    -------
    Residuals, with what they are measured by.

    Examples
    --------
    >>> from bulkvi.stats.genes import effect_ridge, fit_genes
    >>> features = np.ones((8, 1))
    >>> counts = np.random.default_rng(0).poisson([2.0, 50.0, 100.0], (8, 3)).astype(float)
    >>> fit = fit_genes(counts, features, offset=np.zeros(8), ridge=effect_ridge(features))
    >>> standardised_residuals(counts, features, np.zeros(8), fit).value.shape
    (8, 2)
    """
    middle = fit.nodes.coef.shape[0] // 2
    log_rate = fit.nodes.coef[middle]
    base_mean, log_dispersion = to_host(fit.base_mean), to_host(fit.nodes.log_dispersion[middle])
    genes = np.flatnonzero(base_mean > MIN_MEAN)
    genes = genes[np.argsort(base_mean[genes], kind="stable")][:: max(1, -(-genes.size // MAX_GENES))]
    log_exposure = to_host(offset)
    log_exposure = log_exposure[:, None] if log_exposure.ndim == 1 else log_exposure[:, genes]
    matrix = to_host(features)
    own = None if donors is None else donors.genes(genes)
    shared = 0.0 if own is None else own.sample_effect()
    mean = np.exp(log_exposure + matrix @ to_host(log_rate[:, genes]) + shared)
    dispersion = np.exp(log_dispersion[genes])
    value = standardise(to_host(counts[:, genes]), mean, dispersion, matrix, own)
    return Residuals(value, mean, dispersion, own, _basis(matrix, own).shape[1])


def standardise(
    counts: np.ndarray,
    mean: np.ndarray,
    dispersion: np.ndarray,
    features: np.ndarray,
    donors: Donors | None = None,
) -> np.ndarray:
    """``(y - m) / sqrt(m + a m^2)``, cut at `LARGEST_RESIDUAL` and projected off the features.

    With donors, ``(y - m) / m`` plus the donor's effect, whitened (`Donors.whiten`) and projected off the features and
    their means by donor.

    Parameters
    ----------
    counts, mean
        Counts y and their means m, samples x genes.
    dispersion
        a, genes.
    features
        Samples x p, of full rank.
    donors
        Random intercepts of these genes, which ``mean`` holds.

    Returns
    -------
    Residuals, samples x genes.

    Examples
    --------
    >>> counts, mean = np.array([[90.0], [110.0], [130.0], [90.0]]), np.full((4, 1), 100.0)
    >>> standardise(counts, mean, np.zeros(1), np.ones((4, 1))).ravel().tolist()
    [-1.5, 0.5, 2.5, -1.5]
    """
    if donors is None:
        residuals = (counts - mean) / np.sqrt(mean + dispersion * mean**2)
    else:
        residuals = donors.whiten((counts - mean) / mean + donors.sample_effect(), 1 / mean + dispersion)
    residuals = np.clip(residuals, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    basis = _basis(features, donors)
    return residuals - basis @ (basis.T @ residuals)


def _basis(features: np.ndarray, donors: Donors | None) -> np.ndarray:
    """Orthonormal basis of what residuals are projected off."""
    if donors is None:
        return np.linalg.qr(features)[0]
    left, size, _ = np.linalg.svd(donors.directions(features), full_matrices=False)
    return left[:, size > 1e-9 * size[0]]
