"""Empirical-Bayes loadings of genes on latent directions, from estimates and the information of the counts about them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MAX_GENES = 2_000
"""Genes from which the prior is learned: a standard deviation per direction needs no more."""
MAX_ROUNDS = 200
TOLERANCE = 1e-3
"""Relative change of all prior standard deviations in a round below which they are settled."""
SMALLEST_SD = 1e-6
"""Natural log: a direction with a smaller prior changes no gene."""
NEAR_ZERO = 1e-10
BLOCK_ENTRIES = 2**22


class LoadingPosterior(NamedTuple):
    """Posterior of the loadings, in the unit of the estimates."""

    mean: np.ndarray
    """Genes x directions."""
    covariance: np.ndarray
    """Genes x directions x directions."""
    prior_sd: np.ndarray
    """Prior standard deviation of the loadings on each direction."""


def loading_information(blocks: Iterable[tuple[np.ndarray, np.ndarray]], n_known: int) -> np.ndarray:
    r"""Fisher information about each gene's loadings, genes x directions x directions, other coefficients profiled out.

    ``blocks`` of samples hold the weights of the counts, :math:`w = m / (1 + \alpha m)` for negative binomial ones (samples x
    genes), and the predictors P (samples x columns), of which the first ``n_known`` are known covariates, intercept included, and
    the others the latent directions. The information about all coefficients is :math:`P^\top W P`; its Schur complement in the
    block of the loadings is returned.
    """
    packed = width = 0
    for weight, predictors in blocks:
        width = predictors.shape[1]
        row, column = np.tril_indices(width)
        packed = packed + weight.T @ (predictors[:, row] * predictors[:, column])
    packed, (row, column) = np.asarray(packed), np.tril_indices(width)
    information = np.empty((len(packed), width - n_known, width - n_known))
    size = max(1, BLOCK_ENTRIES // max(width, 1) ** 2)
    for begin in range(0, len(packed), size):
        part = slice(begin, begin + size)
        full = np.empty((len(packed[part]), width, width))
        full[:, row, column] = full[:, column, row] = packed[part]
        known, shared = full[:, :n_known, :n_known], full[:, :n_known, n_known:]
        # a gene without counts in a group has no information about that group's level
        diagonal = np.einsum("gkk->gk", known)
        diagonal += NEAR_ZERO + NEAR_ZERO * diagonal.max(1, keepdims=True)
        information[part] = full[:, n_known:, n_known:] - np.swapaxes(shared, 1, 2) @ np.linalg.solve(known, shared)
    return information


def shrink_loadings(estimate: np.ndarray, information: np.ndarray) -> LoadingPosterior:
    r"""Posterior of loadings under a normal prior whose standard deviation, one per direction, is learned from all genes.

    With :math:`\hat w_g \sim N(w_g, I_g^{-1})` and :math:`w_{gk} \sim N(0, \tau_k^2)` the posterior is normal with covariance
    :math:`C_g = (I_g + T^{-1})^{-1}` and mean :math:`C_g I_g \hat w_g`; :math:`\tau_k^2` maximises the marginal likelihood by EM,
    :math:`\tau_k^2 \leftarrow \overline{m_{gk}^2 + C_{gkk}}` (Dempster, Laird & Rubin 1977). A direction that the counts
    do not support shrinks to nothing (automatic relevance determination, MacKay 1994).

    ``estimate`` is genes x directions, ``information`` that of :func:`loading_information`. Of many genes, every k-th in the order
    of their information teaches the prior: the same ones in whatever order genes come.
    """
    n_genes, n_directions = estimate.shape
    order = np.lexsort((*estimate.T, np.einsum("gkk->g", information)))
    chosen = order[:: -(-n_genes // MAX_GENES)]
    variance = (estimate[chosen] ** 2).mean(0).clip(SMALLEST_SD**2)
    for _ in range(MAX_ROUNDS):
        mean, covariance = _posterior(estimate[chosen], information[chosen], variance)
        updated = (mean**2 + np.einsum("gkk->gk", covariance)).mean(0).clip(SMALLEST_SD**2)
        settled = bool((np.abs(np.log(updated / variance)) < TOLERANCE).all())
        variance = updated
        if settled:
            break
    mean, covariance = np.empty(estimate.shape), np.empty(information.shape)
    size = max(1, BLOCK_ENTRIES // n_directions**2)
    for begin in range(0, n_genes, size):
        part = slice(begin, begin + size)
        mean[part], covariance[part] = _posterior(estimate[part], information[part], variance)
    return LoadingPosterior(mean, covariance, np.sqrt(variance))


def _posterior(estimate: np.ndarray, information: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the loadings; in units of the prior, so that a prior near 0 loses no digits."""
    sd = np.sqrt(variance)
    scaled = information * sd[:, None] * sd
    inner = np.linalg.inv(scaled + np.eye(sd.size))
    covariance = inner * sd[:, None] * sd
    return np.einsum("gij,gjk,gk->gi", covariance, information, estimate, optimize=True), covariance
