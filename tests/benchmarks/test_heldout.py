"""How samples are taken away."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def heldout() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.heldout")


@pytest.mark.parametrize("seed", range(20))
def test_a_split_keeps_every_stratum_in_training(heldout, seed):
    strata = np.repeat(["a", "b", "c"], [2, 2, 6])
    train, held_out = heldout.random_split(strata, 4, seed)
    assert held_out.size == 4
    assert sorted([*train, *held_out]) == list(range(10))
    assert set(strata[train]) == {"a", "b", "c"}


def test_the_seed_decides_the_split(heldout):
    strata = np.repeat(["a", "b"], 10)
    splits = [tuple(heldout.random_split(strata, 4, seed).held_out) for seed in (0, 0, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert len(set(splits)) > 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend
def test_new_samples_are_described_better_than_by_scvi_and_by_no_latent_state(heldout, data_dir, monkeypatch, tmp_path):
    """The settings of scVI and its number of epochs are the best that a search found on the very samples scored here."""
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    monkeypatch.setattr(heldout, "CACHE", tmp_path / "heldout.jsonl")
    (theirs,) = heldout.evaluate(replace(heldout.FINALISTS[0], epochs=(1000,)), seed=0)
    (stock,) = heldout.evaluate(heldout.Scvi(size_factor=True, epochs=(400,)), seed=0)
    (plain,) = heldout.evaluate(heldout.Plain(), seed=0)
    (ours,) = heldout.evaluate(heldout.Bulkvi(), seed=0)
    assert ours["fit"] > max(theirs["fit"], stock["fit"], plain["fit"])
    assert ours["completion"] > max(theirs["completion"], stock["completion"], plain["completion"])
