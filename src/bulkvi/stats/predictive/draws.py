"""Draws from the posterior of rates and counts."""

from collections.abc import Iterator

import numpy as np

from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.noise import LOG_SCALES
from bulkvi.stats.predictive.state import SampleStates

LARGEST_LOG = 30.0
LARGEST_MEAN = 1e15
"""Poisson draws of larger means overflow."""
JITTER = 1e-12
"""Added to variances, so that rounding leaves no negative one."""


def draw_log_rates(
    layer: GeneLayer, design: np.ndarray, states: SampleStates, n_draws: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Draw log rates, samples x genes: one state a sample, and coefficients that all samples share."""
    p, n_genes = layer.mean.shape
    k = len(layer.relevance)
    row, column = np.tril_indices(p)
    covariance = np.zeros((n_genes, p, p))
    covariance[:, row, column] = covariance[:, column, row] = layer.covariance.T
    # a square root of a matrix of any rank: rounding may leave the covariance of separated genes without a Cholesky factor
    value, vector = np.linalg.eigh(covariance)
    root = vector * np.sqrt(np.maximum(value, JITTER))[:, None]
    state_root = np.linalg.cholesky(states.covariance + JITTER * np.eye(k))
    for _ in range(n_draws):
        state = states.mean + np.einsum("nij,nj->ni", state_root, rng.standard_normal(states.mean.shape))
        coef = layer.mean + np.einsum("gij,gj->ig", root, rng.standard_normal((n_genes, p)))
        yield np.hstack([design, state]) @ coef


def draw_counts(log_mean: np.ndarray, layer: GeneLayer, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a count at each log mean, samples x genes: dispersions and their multiples are drawn, then counts."""
    # dispersions are the genes', multiples those of single counts
    own = layer.log_dispersion + layer.log_dispersion_sd * rng.standard_normal(log_mean.shape[1])
    multiple = np.array([rng.choice(LOG_SCALES, size=log_mean.shape[1], p=row / row.sum()) for row in noise])
    shape = np.exp(-np.clip(own + multiple, -LARGEST_LOG, LARGEST_LOG))
    rate = np.exp(np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)) * rng.standard_gamma(shape) / shape
    return rng.poisson(np.minimum(rate, LARGEST_MEAN)).astype(float)
