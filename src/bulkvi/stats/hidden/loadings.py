"""Empirical-Bayes loadings of genes on latent directions, from estimates and the information of the counts about them."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MAX_GENES = 1_000
"""Genes from which the prior is learned: a standard deviation per direction needs no more."""
MAX_ROUNDS = 60
TOLERANCE = 1e-2
"""Relative change of all prior variances in a round below which they are settled."""
NO_PART = 1e-2
"""Directions with a smaller share of the prior variance may go on changing by that share."""
SCALES = 2.0 ** np.arange(-4, 6)
"""Scales of genes: hardly any change on any direction, to 32 times the usual one."""
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
    """Prior standard deviation of the loadings on each direction, for a gene of the usual scale (geometric mean)."""


def loading_information(blocks: Iterable[tuple[np.ndarray, np.ndarray]], n_known: int) -> np.ndarray:
    r"""Fisher information about each gene's loadings, genes x directions x directions, other coefficients profiled out.

    ``blocks`` of samples hold the weights of the counts, :math:`w = m / (1 + \alpha m)` for negative binomial ones (samples x
    genes), and the predictors P (samples x columns), of which the first ``n_known`` are known covariates, intercept included, and
    the others the latent directions. The information about all coefficients is :math:`P^\top W P`; its Schur complement in the
    block of the loadings is returned.
    """
    packed, width = np.zeros((0, 0)), 0
    for weight, predictors in blocks:
        width = predictors.shape[1]
        row, column = np.tril_indices(width)
        part = weight.T @ (predictors[:, row] * predictors[:, column])
        packed = packed + part if packed.size else part
    row, column = np.tril_indices(width)
    information = np.empty((len(packed), width - n_known, width - n_known))
    size = max(1, BLOCK_ENTRIES // max(width, 1) ** 2)
    for begin in range(0, len(packed), size):
        genes = slice(begin, begin + size)
        full = np.empty((len(packed[genes]), width, width))
        full[:, row, column] = full[:, column, row] = packed[genes]
        known, shared = full[:, :n_known, :n_known], full[:, :n_known, n_known:]
        # a gene without counts in a group has no information about that group's level
        diagonal = np.einsum("gkk->gk", known)
        diagonal += NEAR_ZERO + NEAR_ZERO * diagonal.max(1, keepdims=True)
        information[genes] = full[:, n_known:, n_known:] - np.swapaxes(shared, 1, 2) @ np.linalg.solve(known, shared)
    return information


def shrink_loadings(estimate: np.ndarray, information: np.ndarray) -> LoadingPosterior:
    r"""Posterior of loadings under a prior that is learned from all genes: a scale per direction and a mixture of scales of genes.

    .. math:: \hat w_g \sim N(w_g, I_g^{-1}), \qquad w_{gk} \sim N(0, c_g^2 \tau_k^2), \qquad c_g = c_j \text{ with probability } \pi_j

    over the grid `SCALES`. :math:`\tau_k` and :math:`\pi_j` maximise the marginal likelihood by EM (Dempster, Laird & Rubin 1977):
    :math:`\tau_k^2` is the mean of :math:`E[w_{gk}^2 / c_g^2]`. A direction that the counts do not support shrinks to nothing (automatic
    relevance determination, MacKay 1994), and the few genes that a direction is about, such as those of the Y chromosome, keep their
    large loadings, as under adaptive shrinkage (Stephens 2017). Unlike `bulkvi.stats.predictive.layer.fit_layer`, which regresses the
    counts again under one normal prior per direction in order to predict, this only shrinks the estimates that a network has made,
    and its prior has scales of genes: loadings are there to be read gene by gene.

    ``estimate`` is genes x directions, ``information`` that of :func:`loading_information`. Of many genes, every k-th in the order
    of their information teaches the prior: the same ones in whatever order genes come.
    """
    n_genes, n_directions = estimate.shape
    order = np.lexsort((*estimate.T, np.einsum("gkk->g", information)))
    chosen = order[:: -(-n_genes // MAX_GENES)]
    score = np.einsum("gij,gj->gi", information, estimate)
    variance = (estimate[chosen] ** 2).mean(0).clip(SMALLEST_SD**2)
    weight = np.full(SCALES.size, 1 / SCALES.size)
    for _ in range(MAX_ROUNDS):
        posterior = _posterior(score[chosen], information[chosen], np.sqrt(variance), weight)
        updated = (variance * posterior.square).mean(0).clip(SMALLEST_SD**2)
        # one gene as a pseudo-count: no scale is ever impossible
        weight = (posterior.probability.sum(0) + 1 / SCALES.size) / (chosen.size + 1)
        settled = bool((np.abs(updated - variance) < TOLERANCE * np.maximum(updated, NO_PART * updated.sum())).all())
        variance = updated
        if settled:
            break
    mean, covariance = np.empty(estimate.shape), np.empty(information.shape)
    size = max(1, BLOCK_ENTRIES // n_directions**2)
    for begin in range(0, n_genes, size):
        part = slice(begin, begin + size)
        posterior = _posterior(score[part], information[part], np.sqrt(variance), weight)
        mean[part], covariance[part] = posterior.mean, posterior.covariance()
    return LoadingPosterior(mean, covariance, np.sqrt(variance) * np.exp(weight @ np.log(SCALES)))


class _Posterior(NamedTuple):
    """Posterior of the loadings given the prior."""

    mean: np.ndarray
    probability: np.ndarray
    """Of each scale, genes x scales."""
    square: np.ndarray
    """Expectation of w^2 / (c^2 tau^2), genes x directions."""
    parts: tuple[np.ndarray, ...]

    def covariance(self) -> np.ndarray:
        """Covariance of the loadings, the spread of the means over the scales included."""
        sd, vector, variance, second, centre = self.parts
        within = np.einsum("gim,gm,gjm->gij", vector, variance, vector, optimize=True)
        between = np.einsum(
            "gim,gmn,gjn->gij", vector, second - centre[:, :, None] * centre[:, None], vector, optimize=True
        )
        return (within + between) * sd[:, None] * sd


def _posterior(score: np.ndarray, information: np.ndarray, sd: np.ndarray, weight: np.ndarray) -> _Posterior:
    """Posterior in units of the prior, on the eigenvectors of each gene's information, where all scales are diagonal."""
    value, vector = np.linalg.eigh(information * sd[:, None] * sd)
    value = value.clip(0)[:, None]
    along = np.einsum("gim,gi->gm", vector, score * sd)[:, None]
    square = SCALES[:, None] ** 2
    shrunk = square / (1 + square * value)  # genes x scales x directions: posterior variances
    log_density = 0.5 * (along**2 * shrunk - np.log1p(square * value)).sum(2) + np.log(weight)
    probability = np.exp(log_density - log_density.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    means = along * shrunk
    centre, variance = (np.einsum("gj,gjm->gm", probability, part) for part in (means, shrunk))
    second = np.einsum("gj,gjm,gjn->gmn", probability, means, means, optimize=True)
    # squares in units of each scale, back in the directions
    unit_variance = np.einsum("gj,gjm->gm", probability, shrunk / square)
    unit_second = np.einsum("gj,gjm,gjn->gmn", probability / square.T, means, means, optimize=True)
    expected = np.einsum("gim,gm->gi", vector**2, unit_variance)
    expected += np.einsum("gim,gmn,gin->gi", vector, unit_second, vector, optimize=True)
    mean = np.einsum("gim,gm->gi", vector, centre) * sd
    return _Posterior(mean, probability, expected, (sd, vector, variance, second, centre))
