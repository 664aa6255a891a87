"""The contract of the generative benchmark, on a simulated cohort in place of the real ones."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv

ROOT = Path(__file__).parents[2]
SEEDS = 2
SMALL = {"cohorts": ("simulated",), "n_genes": 50, "changes": ({"norm": "batch"},)}

pytestmark = pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend


@pytest.fixture(scope="module")
def generative(tmp_path_factory) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        data = importlib.import_module("benchmarks.generative_data")
        patch.setitem(data.COHORTS, "simulated", data.Cohort(("group",), 2, batch="batch"))
        patch.setattr(importlib.import_module("benchmarks.generative_cache"), "FOLDER", tmp_path_factory.mktemp("cache"))
        for room in ("heldout", "whole"):
            patch.setattr(importlib.import_module(f"benchmarks.generative_{room}"), "load", simulated)
        train = bv.BulkVI.train
        patch.setattr(bv.BulkVI, "train", lambda *args, **options: train(*args, max_steps=60, **options))
        patch.setattr(importlib.import_module("benchmarks.generative_replicated"), "N_REPLICATES", 20)
        module = importlib.import_module("benchmarks.generative")
        patch.setattr(module, "SCVI_DEFAULTS", module.Scvi(epochs=(2,)))
        yield module


def simulated(name: str, n_genes: int) -> AnnData:
    made = bv.datasets.simulate(n_per_group=6, n_genes=n_genes, n_batches=2, seed=0)
    obs = pd.DataFrame({"label": made.obs["group"].astype(str), "batch": made.obs["batch"].astype(str)})
    obs["strata"] = obs["label"] + obs["batch"]
    adata = AnnData(np.asarray(made.X, dtype=np.float32), obs=obs)
    importlib.import_module("benchmarks.generative_data").with_size_factors(adata, adata)
    return adata


@pytest.fixture(scope="module")
def rows(generative) -> pd.DataFrame:
    return generative.rows(SEEDS, start=generative.Scvi(norm="layer", n_hidden=8, epochs=(2, 4)), **SMALL)


def test_every_method_has_one_row_for_each_seed(rows):
    held_out = rows[rows["part"] == "held out"]
    assert set(held_out.groupby("method")["seed"].apply(tuple)) == {(0, 1)}
    assert set(held_out["method"]) >= {"bulkvi nb", "bulkvi zinb", "bulkvi poisson", "scVI nb", "scVI zinb", "gene-wise nb"}
    assert np.isfinite(held_out["log_likelihood"]).all()
    latent = rows[rows["part"] == "latent"]
    assert {"PCA", "PCA, batch means removed", "scVI nb, batch given", "bulkvi nb, batch given"} <= set(latent["method"])
    assert latent["silhouette"].between(-1, 1).all()


def test_only_models_with_zero_inflation_have_extra_zeros(rows):
    extra = rows[rows["part"] == "held out"].groupby("method")["zeros_extra"].max()
    assert set(extra.index[extra > 0]) == {"bulkvi zinb", "scVI zinb"}


def test_a_second_run_reads_the_cache_and_finds_the_same(generative, rows, monkeypatch):
    def untrainable(*args: object, **options: object) -> None:
        raise AssertionError("trained again")

    for room in ("heldout", "whole"):
        monkeypatch.setattr(importlib.import_module(f"benchmarks.generative_{room}"), "trained", untrainable)
    start = generative.Scvi(norm="layer", n_hidden=8, epochs=(2, 4))
    pd.testing.assert_frame_equal(generative.rows(SEEDS, start=start, **SMALL), rows)


def test_the_paired_difference_in_the_table_is_that_of_the_rows(generative, rows):
    score = rows[rows["part"] == "held out"].pivot(index="seed", columns="method", values="log_likelihood")
    gained = score["bulkvi zinb"] - score["bulkvi nb"]
    table = generative.tables(rows)["ZINB against NB"].loc["simulated, bulkvi"]
    assert table.iloc[0] == f"{gained.mean():+.4f} ({gained.std() / np.sqrt(SEEDS):.4f})"
    assert table["splits won by ZINB"] == f"{(gained > 0).sum()} of {SEEDS}"


def test_the_epochs_of_scvi_are_those_that_are_best_on_average(generative, rows):
    tried = rows[rows["part"] == "search"]
    best = tried.loc[tried["log_likelihood"].idxmax(), "epochs"]
    chosen = rows.loc[(rows["part"] == "held out") & (rows["method"] == "scVI nb"), "epochs"].unique()
    assert chosen.size == 1
    assert chosen[0] in {round(share * best) for share in generative.EPOCHS_AROUND}


def test_every_table_names_its_models_and_the_figure_draws_every_row(generative, rows):
    for table in generative.tables(rows).values():
        assert table.index.is_unique or table.index.name == "cohort"
        assert table.notna().all(axis=None)
    drawn = generative.figure(rows)
    points = sum(len(dots.get_offsets()) for ax in drawn.axes for dots in ax.collections if hasattr(dots, "get_offsets"))
    values = {"held out": "log_likelihood", "replicated": "variance_inside", "latent": "silhouette"}
    wanted = sum(rows.loc[rows["part"] == part, column].notna().sum() for part, column in values.items())
    lines = sum(rows.loc[rows["part"] == part, "method"].nunique() for part in values)
    assert points in (wanted, wanted + lines)
