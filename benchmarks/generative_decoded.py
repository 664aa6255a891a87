"""Predictive distribution of a network's decoder, its parameters and the latent state of a new sample taken as known."""

from typing import Any

import numpy as np
import torch
from anndata import AnnData

from benchmarks.generative_distributions import Counts, counts_of, log_probability, transformed, zeros
from benchmarks.refit_latent import fitted_state, freeze


class Decoded:
    """A model of scvi-tools with frozen parameters; the latent state of each new sample is fitted by the same routine for all."""

    def __init__(self, model: Any, held_out: AnnData):
        self._frozen = freeze(model, held_out)
        self._x = self._frozen.x.numpy()
        self._from_all: Counts | None = None

    def counts(self, given_genes: np.ndarray | None = None) -> Counts:
        """Decoded distributions at the state fitted to these genes."""
        if given_genes is None and self._from_all is not None:
            return self._from_all
        genes = np.arange(self._x.shape[1]) if given_genes is None else given_genes
        z = fitted_state(self._frozen, torch.as_tensor(genes))
        with torch.no_grad():
            found = counts_of(self._frozen.module.generative(**(self._frozen.inputs | {"z": z}))["px"])
        if given_genes is None:
            self._from_all = found
        return found

    def log_probability(self, given_genes: np.ndarray | None = None) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return log_probability(self.counts(given_genes), self._x)

    def transformed(self, rng: np.random.Generator) -> np.ndarray:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return transformed(self.counts(), self._x, rng)

    def expected_zeros(self) -> float:
        """As :class:`~benchmarks.generative_scores.Predictive`."""
        return zeros(self.counts())[0]
