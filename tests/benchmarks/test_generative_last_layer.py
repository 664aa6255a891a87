"""The public methods of BulkVI that the benchmark uses."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import bulkvi as bv

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def last_layer() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_last_layer")


class Recorded:
    """Stands for a trained model; its predictive distribution is that of the held-out counts."""

    def __init__(self, rate: float):
        self.rate = rate
        self.given: list[list[str] | None] = []

    def get_predictive_log_likelihood(self, adata, *, given_genes=None):
        self.given.append(given_genes)
        return np.zeros(adata.shape)

    def posterior_predictive_sample(self, adata, *, n_samples):
        return np.random.default_rng(0).poisson(self.rate, (*adata.shape, n_samples))


def test_genes_are_given_by_name_and_draws_are_along_the_last_axis(last_layer):
    held_out = bv.datasets.simulate(n_per_group=3, n_genes=400, seed=0)
    held_out.X = np.random.default_rng(1).poisson(0.7, held_out.shape)
    model = Recorded(0.7)
    predictive = last_layer.LastLayer(model, held_out)
    predictive.log_probability(np.array([2, 5]))
    predictive.log_probability()
    assert model.given == [list(held_out.var_names[[2, 5]]), None]
    place = predictive.transformed(np.random.default_rng(2))
    assert place.shape == held_out.shape
    assert np.mean(np.abs(place - 0.5) < 0.25) == pytest.approx(0.5, abs=0.05)
    assert predictive.expected_zeros() == pytest.approx(np.exp(-0.7), abs=0.01)


@pytest.mark.skipif(not hasattr(bv.BulkVI, "get_predictive_log_likelihood"), reason="decoder alone")
def test_bulkvi_has_these_methods(last_layer):
    adata = bv.datasets.simulate(n_per_group=5, n_genes=150, seed=0)
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = bv.BulkVI(adata)
    model.train(max_steps=20, progress_bar=False, accelerator="cpu")
    predictive = last_layer.LastLayer(model, adata[:3].copy())
    for given in (None, np.arange(75)):
        assert np.isfinite(predictive.log_probability(given)).all()
    place = predictive.transformed(np.random.default_rng(0))
    assert ((place > 0) & (place < 1)).all()
