"""Simulated cohorts have the structure that their names promise."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def deep() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_deep")


def n_directions(log_fold: np.ndarray) -> int:
    """Principal directions with more than 1 % of the variance."""
    variance = np.linalg.svd(log_fold - log_fold.mean(0), compute_uv=False) ** 2
    return int((variance > 0.01 * variance.sum()).sum())


def test_only_the_control_has_as_many_linear_directions_as_factors(deep, rng):
    found = {name: n_directions(of(300, 500, rng)) for name, of in deep.SCENARIOS.items()}
    assert found["two linear factors"] == 2
    assert found["interaction"] == 3
    assert found["dose response"] > 2
    assert found["trajectory"] > 3


def test_held_out_samples_follow_the_model_of_the_training_samples(deep):
    train, held_out = deep.simulated("trajectory", 20, 0, n_genes=300)
    assert (train.n_obs, held_out.n_obs) == (20, deep.N_HELD_OUT)
    assert list(train.var_names) == list(held_out.var_names)
    assert (np.asarray(train.X).sum(0) > 0).all()
    mean, x = np.asarray(held_out.layers["mean"]), np.asarray(held_out.X)
    variance = mean + held_out.var["dispersion"].to_numpy() * mean**2
    assert np.mean((x - mean) ** 2 / variance) == pytest.approx(1, abs=0.15)


def test_no_model_is_above_the_truth(deep, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("benchmarks.cache"), "CACHE", tmp_path)
    monkeypatch.setattr(
        deep, "METHODS", {name: deep.METHODS[name] for name in ("NB per gene", "PCA, 5 components, NB noise")}
    )
    rows = deep.deep_rows(("two linear factors",), sizes=(20,), sets=1)
    score = {row["method"]: row["completion"] for row in rows}
    assert score.pop("truth") > max(score.values()) + 0.1
