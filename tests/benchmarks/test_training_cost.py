"""The promise about the cost of training; the numbers are in docs/method/training.md."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend
def test_training_reaches_its_long_run_in_a_quarter_of_the_time_of_scvi(data_dir, monkeypatch):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks is not an installed package
    cost = importlib.import_module("benchmarks.training_cost")
    adata = cost.mammary()
    model, long_run = cost.ours(adata, "linear"), cost.ours(adata, "linear")
    seconds = cost.train(model, progress_bar=False)
    assert seconds < cost.PROMISED_SHARE * cost.train(cost.theirs(adata.copy()), enable_progress_bar=False)
    cost.train(long_run, max_steps=2_000, plateau_tolerance=None, progress_bar=False)
    assert cost.elbo(model) == pytest.approx(cost.elbo(long_run), rel=cost.NEAR)
