"""The plain model against a general-purpose optimiser on one gene."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from anndata import AnnData
from scipy.optimize import minimize
from scipy.stats import nbinom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plain() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.plain_negative_binomial")


def test_new_samples_are_scored_at_the_maximum_likelihood_of_the_old(plain, rng):
    depth = np.array([0.5, 1, 2, 1, 1, 3, 0.7, 1.5])
    counts = rng.negative_binomial(2, 2 / (2 + 50 * depth))[:, None].astype(float)
    adata = AnnData(counts)
    adata.obs["size_factor"] = depth
    train, new = adata[:6].copy(), adata[6:].copy()

    def misfit(log):
        mean = depth[:6] * np.exp(log[0])
        return -nbinom.logpmf(counts[:6, 0], np.exp(-log[1]), 1 / (1 + np.exp(log[1]) * mean)).sum()

    log_rate, log_alpha = minimize(misfit, [3.0, 0.0], method="Nelder-Mead").x
    mean = depth[6:] * np.exp(log_rate)
    expected = nbinom.logpmf(counts[6:, 0], np.exp(-log_alpha), 1 / (1 + np.exp(log_alpha) * mean))
    found = plain.score_plain(train, new)
    assert found.fit == pytest.approx(expected.mean(), abs=0.02)
    assert found.fit_per_count == pytest.approx(expected.sum() / counts[6:].sum(), rel=0.01)
