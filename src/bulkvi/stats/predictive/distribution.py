"""Distribution of counts: log probability, tail probabilities and quantiles."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import betainc, logsumexp

from bulkvi.stats.predictive.noise import (
    DISPERSION_NODES,
    DISPERSION_WEIGHTS,
    LOG_SCALES,
    RATE_NODES,
    RATE_WEIGHTS,
    log_components,
)

LEAST_WEIGHT = 1e-6
"""Multiples of the dispersion with a smaller weight are left out of tail probabilities."""
LARGEST_LOG = 30.0
LARGEST_COUNT = 1e15
"""At which the search for a quantile ends."""
BLOCK_ENTRIES = 200_000


class PredictedCounts(NamedTuple):
    """Negative binomial counts whose log mean and log dispersion are normal, samples x genes.

    A sample's dispersions are multiplied by one of `LOG_SCALES`, gene by gene, with the weights ``noise``.
    """

    log_mean: np.ndarray
    """Samples x genes, natural log."""
    variance: np.ndarray
    """Variance of the log mean, samples x genes."""
    log_dispersion: np.ndarray
    """Genes."""
    log_dispersion_sd: np.ndarray
    """Genes."""
    noise: np.ndarray
    """Samples x scales."""

    def log_probability(self, counts: np.ndarray) -> np.ndarray:
        """Log probability of counts, samples x genes."""
        out = np.empty(counts.shape)
        with np.errstate(divide="ignore"):
            log_noise = np.log(self.noise)
        rows = max(1, BLOCK_ENTRIES // max(1, counts.shape[1]))
        for begin in range(0, len(counts), rows):
            part = slice(begin, begin + rows)
            each = log_components(
                counts[part], self.log_mean[part], self.variance[part], self.log_dispersion, self.log_dispersion_sd
            )
            out[part] = logsumexp(each + log_noise[part, None], axis=-1)
        return out

    def cdf(self, counts: np.ndarray) -> np.ndarray:
        """Probability of a count up to ``counts``, samples x genes; 0 below 0."""
        total = np.zeros(counts.shape)
        least = np.floor(np.maximum(counts, 0.0)) + 1
        for weight, r, mean in self._components():
            total += weight * betainc(r, least, r / (r + mean))
        return np.where(counts < 0, 0.0, np.minimum(total, 1.0))

    def quantile(self, probability: float) -> np.ndarray:
        """Smallest count whose `cdf` is at least ``probability``, samples x genes, by bisection."""
        low, high = np.full(self.log_mean.shape, -1.0), np.ones(self.log_mean.shape)
        short = self.cdf(high) < probability
        while short.any():
            low, high = np.where(short, high, low), np.where(short, 4 * high, high)
            short &= (self.cdf(high) < probability) & (high < LARGEST_COUNT)
        while (high - low > 1).any():
            middle = np.floor((low + high) / 2)
            reached = self.cdf(middle) >= probability
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        return high

    def _components(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Weight (samples x 1), size and mean of each negative binomial of the quadrature."""
        sd = np.sqrt(self.variance)
        for j in np.flatnonzero(self.noise.max(0) > LEAST_WEIGHT):
            for node, node_weight in zip(DISPERSION_NODES, DISPERSION_WEIGHTS, strict=True):
                log_dispersion = self.log_dispersion + node * self.log_dispersion_sd + LOG_SCALES[j]
                r = np.broadcast_to(np.exp(-np.clip(log_dispersion, -LARGEST_LOG, LARGEST_LOG)), sd.shape)
                for place, weight in zip(RATE_NODES, RATE_WEIGHTS, strict=True):
                    mean = np.exp(np.clip(self.log_mean + place * sd, -LARGEST_LOG, LARGEST_LOG))
                    yield self.noise[:, j, None] * node_weight * weight, r, mean
