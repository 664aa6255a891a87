"""Two-sided tail probabilities of counts."""

from typing import NamedTuple

import numpy as np
from scipy.special import betainc

from bulkvi.stats.predictive.distribution import LARGEST_LOG, LEAST_WEIGHT, PredictedCounts
from bulkvi.stats.predictive.noise import (
    DISPERSION_NODES,
    DISPERSION_WEIGHTS,
    LOG_SCALES,
    RATE_NODES,
    RATE_WEIGHTS,
    log_components,
)

NARROW = 0.25
"""Share of the variance of a log count up to which that of its log mean needs few nodes
(of tail probabilities of 1e-6, those of the dispersion then leave an error of 15 %)."""
FEW_NODES, FEW_WEIGHTS = DISPERSION_NODES, DISPERSION_WEIGHTS
BLOCK_ENTRIES = 100_000
"""Counts at a time, so that the workspace stays at a few megabytes."""


class _Entries(NamedTuple):
    """Counts and their predictions, one dimension."""

    observed: np.ndarray
    log_mean: np.ndarray
    sd: np.ndarray
    log_dispersion: np.ndarray
    log_dispersion_sd: np.ndarray
    noise: np.ndarray
    """Entries x scales."""

    def take(self, which: np.ndarray) -> "_Entries":
        return _Entries(*(each[which] for each in self))


def two_sided(predicted: PredictedCounts, counts: np.ndarray, *, beyond: float = 0.0) -> np.ndarray:
    r"""Compute the two-sided mid-p-value of counts under their predictive distribution, samples x genes.

    .. math:: p = 2 \min\{ P(X < x) + \tfrac12 P(X = x), \; P(X > x) + \tfrac12 P(X = x) \}

    (Lancaster 1961). Each tail is summed on its own side, so that small probabilities keep their digits; the smallest positive number
    takes the place of an underflow. Counts less than ``beyond`` standard deviations from their means get 1.
    """
    out = np.ones(counts.shape)
    rows = max(1, BLOCK_ENTRIES // max(1, counts.shape[1]))
    for begin in range(0, len(counts), rows):
        part = slice(begin, begin + rows)
        some = predicted._replace(
            log_mean=predicted.log_mean[part], variance=predicted.variance[part], noise=predicted.noise[part]
        )
        mean = np.exp(some.log_mean)
        usual = np.exp(some.log_dispersion + (some.noise @ LOG_SCALES)[:, None]) + some.variance
        far = np.abs(counts[part] - mean) >= beyond * np.sqrt(mean + usual * mean**2)
        at_sample, at_gene = np.nonzero(far)
        entries = _Entries(
            counts[part][far],
            some.log_mean[far],
            np.sqrt(some.variance[far]),
            some.log_dispersion[at_gene],
            some.log_dispersion_sd[at_gene],
            some.noise[at_sample],
        )
        narrow = some.variance[far] < NARROW * (usual + 1 / mean)[far]
        p_value, point = np.empty(narrow.size), _probability(entries)
        for which, nodes, weights in ((narrow, FEW_NODES, FEW_WEIGHTS), (~narrow, RATE_NODES, RATE_WEIGHTS)):
            p_value[which] = _from_tail(_outer_tail(entries.take(which), nodes, weights), point[which])
        out[part][far] = p_value
    return out


def _probability(entries: _Entries) -> np.ndarray:
    """Probability of the counts themselves, entries."""
    used = np.flatnonzero(entries.noise.max(0, initial=0.0) > LEAST_WEIGHT)
    each = log_components(
        entries.observed[None],
        entries.log_mean[None],
        entries.sd[None] ** 2,
        entries.log_dispersion,
        entries.log_dispersion_sd,
        LOG_SCALES[used],
    )[0]
    return (np.exp(each) * entries.noise[:, used]).sum(1)


def _outer_tail(entries: _Entries, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probability of a count at least as far out on its side of the median of the log mean, entries."""
    x = entries.observed
    above = x > np.exp(entries.log_mean)
    least = np.where(above, np.maximum(x, 1.0), x + 1)
    total = np.zeros(x.size)
    for j in np.flatnonzero(entries.noise.max(0, initial=0.0) > LEAST_WEIGHT):
        for dispersion_node, dispersion_weight in zip(DISPERSION_NODES, DISPERSION_WEIGHTS, strict=True):
            log_dispersion = entries.log_dispersion + dispersion_node * entries.log_dispersion_sd + LOG_SCALES[j]
            r = np.exp(-np.clip(log_dispersion, -LARGEST_LOG, LARGEST_LOG))
            first, second = np.where(above, least, r), np.where(above, r, least)
            inner = np.zeros(x.size)
            for node, weight in zip(nodes, weights, strict=True):
                mean = np.exp(np.clip(entries.log_mean + node * entries.sd, -LARGEST_LOG, LARGEST_LOG))
                # P(X >= x) is the incomplete beta function at mean / (r + mean), P(X <= x) at its complement
                inner += weight * betainc(first, second, np.where(above, mean, r) / (r + mean))
            total += entries.noise[:, j] * dispersion_weight * inner
    return total


def _from_tail(tail: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Two-sided mid-p-value from the tail that includes the count, and the probability of the count alone."""
    # rounding may leave a small tail below half of its first term
    half = np.maximum(tail - 0.5 * point, 0.5 * np.minimum(point, tail))
    return np.clip(2 * np.minimum(half, 1 - half), np.finfo(float).tiny, 1.0)
