"""Predictive distribution of bulkvi: the posterior of each gene given the latent state of a new sample."""

from typing import Any

import numpy as np
from anndata import AnnData

from benchmarks.generative_distributions import transformed_by_draws

N_DRAWS = 199
"""Of the predictive distribution: the rank of a count among them is uniform on 200 values, so that 95 % are exact."""


class LastLayer:
    """The public methods of :class:`bulkvi.BulkVI` for held-out samples."""

    def __init__(self, model: Any, held_out: AnnData):
        self._model, self._held_out = model, held_out
        self._x = np.asarray(held_out.X, dtype=float)
        self._expected_zeros = float("nan")

    def log_probability(self, given_genes: np.ndarray | None = None) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        names = None if given_genes is None else list(self._held_out.var_names[given_genes])
        found = self._model.get_predictive_log_likelihood(self._held_out, given_genes=names)
        return np.asarray(found, dtype=float)

    def transformed(self, rng: np.random.Generator) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        draws = self._model.posterior_predictive_sample(self._held_out, n_samples=N_DRAWS)
        draws = np.asarray(draws.todense() if hasattr(draws, "todense") else draws)
        self._expected_zeros = float((draws == 0).mean())
        return transformed_by_draws(np.moveaxis(draws, -1, 0), self._x, rng)

    def expected_zeros(self) -> float:
        """As :class:`~benchmarks.generative_scores.Predictive`, from the draws of :meth:`transformed`."""
        return self._expected_zeros
