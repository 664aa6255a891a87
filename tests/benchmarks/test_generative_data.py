"""How samples are held out of a cohort."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_data")


def test_genes_are_those_seen_in_training_and_size_factors_are_relative_to_it(data, rng):
    counts = rng.poisson(50, (9, 40)).astype(np.float32)
    counts[:, 0] = 0
    counts[4, 0] = 12  # a gene of one sample alone
    adata = AnnData(counts, obs=pd.DataFrame({"strata": list("aaabbbccc")}, index=map(str, range(9))))
    seen_once = set()
    for seed in range(8):
        train, held_out = data.split(adata, 3, seed)
        assert (np.asarray(train.X).sum(0) > 0).all()
        assert list(train.var_names) == list(held_out.var_names)
        assert set(train.obs["strata"]) == set("abc")
        assert held_out.obs["size_factor"].between(0.7, 1.4).all()
        assert ("0" in train.var_names) == ("4" in train.obs_names)
        seen_once.add("0" in train.var_names)
    assert seen_once == {True, False}


def test_every_cohort_can_lose_its_held_out_samples(data, data_dir, monkeypatch):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    for name in ("hammer", "gtex_skin"):
        adata = data.load(name, 50)
        assert adata.n_vars == 50
        train, held_out = data.split(adata, data.COHORTS[name].n_held_out, 0)
        assert train.n_obs + held_out.n_obs == adata.n_obs
        assert ("batch" in adata.obs) == (data.COHORTS[name].batch is not None)
