"""Models without a network: a negative binomial per gene, and principal components with negative binomial noise."""

import time

import numpy as np
from anndata import AnnData
from scipy.stats import nbinom

from benchmarks.generative_distributions import Counts, log_probability, transformed, zeros
from benchmarks.generative_models import Pca, Plain
from benchmarks.plain_negative_binomial import fit_plain

LOG_DISPERSIONS = np.linspace(-10, 3, 80)
"""Tried for each gene, as in :func:`benchmarks.plain_negative_binomial.fit_plain`."""


class Fixed:
    """The same distribution whatever other genes show."""

    def __init__(self, train: AnnData, held_out: AnnData):
        self._x = np.asarray(held_out.X, dtype=float)
        rate, dispersion = fit_plain(train)
        mean = held_out.obs["size_factor"].to_numpy()[:, None] * rate
        self._counts = Counts(mean, np.broadcast_to(dispersion, mean.shape))

    def counts(self, given_genes: np.ndarray | None = None) -> Counts:
        """Distributions of the held-out counts."""
        return self._counts

    def log_probability(self, given_genes: np.ndarray | None = None) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return log_probability(self.counts(given_genes), self._x)

    def transformed(self, rng: np.random.Generator) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return transformed(self.counts(), self._x, rng)

    def expected_zeros(self) -> float:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return zeros(self.counts())[0]


class Projected(Fixed):
    """Principal components of log(1 + count / size factor), exponentiated, with negative binomial noise per gene.

    A new sample's scores are those of least squares on the given genes. Each gene's rates are scaled such that their sum over
    the training samples is that of its counts, and its dispersion has the highest likelihood at these rates.
    """

    def __init__(self, train: AnnData, held_out: AnnData, n_components: int):
        self._x = np.asarray(held_out.X, dtype=float)
        self._size_factor = held_out.obs["size_factor"].to_numpy()[:, None]
        x, size_factor = np.asarray(train.X, dtype=float), train.obs["size_factor"].to_numpy()[:, None]
        log_x = np.log1p(x / size_factor)
        self._level = log_x.mean(0)
        _, _, right = np.linalg.svd(log_x - self._level, full_matrices=False)
        self._loadings = right[: min(n_components, len(x) - 1)]
        self._floor = 0.5 / size_factor.sum()  # half a count in all training samples
        self._scale = np.ones(x.shape[1])
        rate = self._rates(log_x, np.arange(x.shape[1]))
        self._scale = x.sum(0) / (size_factor * rate).sum(0)
        mean = size_factor * self._rates(log_x, np.arange(x.shape[1]))
        heights = [nbinom.logpmf(x, 1 / alpha, 1 / (1 + alpha * mean)).sum(0) for alpha in np.exp(LOG_DISPERSIONS)]
        self._dispersion = np.exp(LOG_DISPERSIONS)[np.argmax(heights, axis=0)]

    def _rates(self, log_x: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """Rates of all genes from log(1 + count / size factor) of some."""
        z, *_ = np.linalg.lstsq(self._loadings[:, genes].T, (log_x - self._level)[:, genes].T, rcond=None)
        return self._scale * np.maximum(np.expm1(self._level + z.T @ self._loadings), self._floor)

    def counts(self, given_genes: np.ndarray | None = None) -> Counts:
        """Distributions at the scores from these genes."""
        genes = np.arange(self._x.shape[1]) if given_genes is None else given_genes
        mean = self._size_factor * self._rates(np.log1p(self._x / self._size_factor), genes)
        return Counts(mean, np.broadcast_to(self._dispersion, mean.shape))


def predictive_without_network(model: Plain | Pca, train: AnnData, held_out: AnnData) -> tuple[Fixed, float]:
    """What the model predicts for the held-out samples, and the CPU seconds of fitting it."""
    start = time.process_time()
    found = Projected(train, held_out, model.n_components) if isinstance(model, Pca) else Fixed(train, held_out)
    return found, time.process_time() - start
