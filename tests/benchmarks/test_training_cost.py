"""The promise about the cost of training; the numbers are in docs/method/training.md."""

import importlib
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks is not an installed package
    return importlib.import_module("benchmarks.training_cost")


def test_arrival_is_where_the_path_stays_near(cost):
    def first(*distances):
        return cost.first_arrival(pd.DataFrame({"from_long_run": distances}))

    assert first(-0.1, -0.0005, 0.002, -0.0009, 0.0) == 3
    assert first(0.0, 0.0) == 0
    assert first(0.0, -0.01) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend
def test_training_is_near_its_long_run_in_a_quarter_of_the_time_of_scvi(cost, data_dir, monkeypatch):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    adata = cost.mammary()
    long_run = cost.ours(adata, "linear")
    cost.train(long_run, max_steps=2_000, plateau_tolerance=None, progress_bar=False)
    model, moments = cost.traced_training(adata, "linear", every=20)
    path = cost.arrival(model, moments, cost.elbo(long_run))
    first = cost.first_arrival(path)
    assert first is not None
    theirs = cost.train(cost.theirs(adata.copy()), enable_progress_bar=False)
    assert path.cpu_seconds[first] < cost.PROMISED_SHARE * theirs
    # all of a default training, which goes on until it no longer improves
    assert path.cpu_seconds.iloc[-1] < 0.5 * theirs
