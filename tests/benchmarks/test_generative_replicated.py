"""Posterior predictive checks on data whose model is known."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
N, N_GENES = 12, 1500


@pytest.fixture(scope="module")
def replicated() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_replicated")


class Truth:
    """A negative binomial with size factors."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.size_factor = rng.uniform(0.5, 2, N)
        self.mean = self.size_factor[:, None] * np.exp(rng.normal(2.5, 1.2, N_GENES))
        self.shape = 1 / rng.uniform(0.05, 0.6, N_GENES)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        return rng.poisson(self.mean / self.shape * rng.standard_gamma(self.shape, self.mean.shape)).astype(float)


def test_replicates_of_the_truth_cover_the_data_at_the_nominal_rate(replicated):
    truth, rng = Truth(), np.random.default_rng(1)
    found = replicated.check_replicates(truth.draw(rng), truth.size_factor, lambda: truth.draw(rng))
    error = 4 * np.sqrt(0.95 * 0.05 / N_GENES)
    between = 0.95 * (replicated.N_REPLICATES - 1) / (replicated.N_REPLICATES + 1)  # a rank among 200 and itself
    assert abs(found["mean_inside"] - between) < error
    assert abs(found["variance_inside"] - between) < error
    assert found["zeros_inside"] > between - error  # few values are possible: more lie inside
    assert abs(found["variance_log2_ratio"]) < 0.1
    assert abs(found["zeros_log2_ratio"]) < 0.1


def test_a_poisson_is_found_out_by_its_variance_and_its_zeros(replicated):
    truth, rng = Truth(), np.random.default_rng(2)
    found = replicated.check_replicates(
        truth.draw(rng), truth.size_factor, lambda: rng.poisson(truth.mean).astype(float)
    )
    assert found["variance_inside"] < 0.6
    assert found["variance_log2_ratio"] > 0.5
    assert found["zeros_log2_ratio"] > 0.3


def test_twice_the_spread_is_one_on_the_log2_scale(replicated):
    rng = np.random.default_rng(3)
    counts = rng.poisson(50, (N, 40)).astype(float)
    centre = counts.mean(0)
    found = replicated.check_replicates(counts, np.ones(N), lambda: centre + (counts - centre) / np.sqrt(2))
    assert found["variance_log2_ratio"] == pytest.approx(1)
    assert found["cv2_rank_correlation"] == pytest.approx(1)
    assert found["variance_inside"] == 0
    assert np.isnan(found["zeros_inside"])
