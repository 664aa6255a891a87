"""How well a reference predicts samples that it was not built from."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.state import infer_states
from bulkvi.stats.reference.genes import ReferenceGenes


class HeldOut(NamedTuple):
    """Mean log likelihood of a count of samples outside the cohort, natural log; each half of the genes given the other."""

    n_samples: int
    """Number of samples."""
    n_genes: int
    """Number of genes."""
    log_likelihood: float
    """With the directions: the state of each sample is inferred from the other half of the genes."""
    log_likelihood_alone: float
    """Without the directions, with the dispersions given the design alone."""


def layer_of(values: ReferenceGenes, level_sd: np.ndarray, relevance: np.ndarray) -> GeneLayer:
    """Build the last layer at the cohort's mean design row: one column, 1, and the directions.

    Covariances of level and loadings are left out: states have mean 0 and are uncorrelated, so that they are small.
    """
    mean = np.vstack([values.level, values.loadings])
    sd = np.vstack([level_sd, values.loadings_sd])
    row, column = np.tril_indices(len(mean))
    covariance = np.where((row == column)[:, None], sd[row] ** 2, 0.0)
    return GeneLayer(
        mean, covariance, values.log_dispersion, values.log_dispersion_sd, relevance, log_trend=values.log_trend
    )


def layer_alone(values: ReferenceGenes, level_sd: np.ndarray) -> GeneLayer:
    """Build the last layer without directions, with the dispersions given the design alone."""
    return GeneLayer(
        values.level[None],
        level_sd[None] ** 2,
        values.log_dispersion_alone,
        values.log_dispersion_alone_sd,
        np.empty(0),
        log_trend=values.log_trend_alone,
    )


def score_held_out(
    counts: np.ndarray, values: ReferenceGenes, level_sd: np.ndarray, relevance: np.ndarray, offset: np.ndarray
) -> HeldOut:
    """Score counts of new samples, samples x genes, with the natural log of their size factors.

    Halves are the genes at even and odd ranks of their level, so that both are of all levels.
    """
    rank = np.argsort(np.argsort(values.level, kind="stable"), kind="stable")
    total = []
    for layer in (layer_of(values, level_sd, relevance), layer_alone(values, level_sd)):
        log_likelihood = 0.0
        for half in (0, 1):
            given, predicted = np.flatnonzero(rank % 2 == half), np.flatnonzero(rank % 2 != half)
            design = np.ones((len(counts), 1))
            states = infer_states(counts[:, given], layer.genes(given), design, offset=offset)
            part = layer.genes(predicted)
            mean, variance = part.log_rate(np.hstack([design, states.mean]))
            loadings = part.mean[1:]
            variance = variance + np.einsum("kg,nkl,lg->ng", loadings, states.covariance, loadings, optimize=True)
            distribution = PredictedCounts(
                mean + offset[:, None], variance, part.log_dispersion, part.log_dispersion_sd, states.noise
            )
            log_likelihood += float(distribution.log_probability(counts[:, predicted]).sum())
        total.append(log_likelihood / counts.size)
    return HeldOut(*counts.shape, *total)
