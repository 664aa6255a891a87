"""The contract of the generative benchmark: fast on made-up scores, slow on a simulated cohort."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv

ROOT = Path(__file__).parents[2]
SEEDS = 2
BEST_EPOCHS = 800
"""Of the made-up scores."""


@pytest.fixture(scope="module")
def generative() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative")


def made_up_held_out(cohort: str, model: Any, seed: int, *, n_genes: int) -> list[dict]:
    rng = np.random.default_rng([seed, *repr((cohort, model)).encode()])
    rows = []
    for epochs in getattr(model, "epochs", (0,)):
        height = -4 - abs(np.log(max(epochs, 1) / BEST_EPOCHS)) + 0.001 * rng.random()
        extra = 0.01 * (getattr(model, "likelihood", "") == "zinb")
        zeros = {"zeros": 0.1, "zeros_expected": 0.1 + extra, "zeros_extra": extra}
        rows.append({"epochs": epochs, "log_likelihood": height, "inside_95": 0.9, "train_cpu": 1.0} | zeros)
    return rows


def made_up_latent(cohort: str) -> dict[str, float]:
    found = {"silhouette": 0.3, "nearest": 0.8, "nearest_by_chance": 0.4}
    return found | {f"batch_{name}": value for name, value in found.items()} if cohort == "bottomly" else found


@pytest.fixture(scope="module")
def rows(generative) -> Iterator[pd.DataFrame]:
    checked = dict.fromkeys(generative.REPLICATED, 0.9)
    with pytest.MonkeyPatch.context() as patch:
        for module in (generative, importlib.import_module("benchmarks.generative_search")):
            patch.setattr(module, "held_out_rows", made_up_held_out)
        patch.setattr(
            generative,
            "network_rows",
            lambda cohort, model, seed, *, n_genes: [
                {"epochs": 0, "train_cpu": 1.0} | made_up_latent(cohort) | checked
            ],
        )
        patch.setattr(generative, "plain_rows", lambda cohort, *, n_genes: [checked])
        patch.setattr(generative, "pca_rows", lambda cohort, *, without_batch=False, n_genes: [made_up_latent(cohort)])
        yield generative.rows(SEEDS)


def test_every_method_has_one_row_for_each_cohort_and_split(rows):
    held_out = rows[rows["part"] == "held out"]
    assert set(held_out.groupby(["cohort", "method"])["seed"].apply(tuple)) == {tuple(range(SEEDS))}
    assert set(held_out["cohort"]) == {"gse60450", "bottomly", "geuvadis_sex", "gtex_skin"}
    assert set(held_out["method"]) == {
        *("bulkvi nb", "bulkvi zinb", "bulkvi poisson"),
        *("scVI nb", "scVI zinb", "scVI nb, size factor", "scVI nb, defaults"),
        "gene-wise nb",
    }


def test_only_models_told_the_batch_are_judged_as_such(rows):
    latent = rows[rows["part"] == "latent"]
    told = {"bulkvi nb, batch given", "scVI nb, batch given", "PCA, batch means removed"}
    assert told <= set(latent.loc[latent["cohort"] == "bottomly", "method"])
    assert told.isdisjoint(latent.loc[latent["cohort"] != "bottomly", "method"])


def test_scvi_gets_the_number_of_epochs_that_is_best_on_average(generative, rows):
    tried = rows[rows["part"] == "search"]
    assert {250, 400, 500, 1000} <= set(tried["epochs"])
    chosen = rows[(rows["part"] == "held out") & (rows["method"].isin(["scVI nb", "scVI zinb"]))]
    for cohort, epochs in chosen.groupby("cohort")["epochs"]:
        found = tried[tried["cohort"] == cohort]
        first = found.loc[found["log_likelihood"].idxmax(), "epochs"]
        around = [round(share * first) for share in generative.EPOCHS_AROUND]
        assert set(epochs) == {min(around, key=lambda e: abs(np.log(e / BEST_EPOCHS)))}


def test_the_paired_difference_in_the_table_is_that_of_the_rows(generative, rows):
    held_out = rows[(rows["part"] == "held out") & (rows["cohort"] == "gtex_skin")]
    score = held_out.pivot(index="seed", columns="method", values="log_likelihood")
    gained = score["bulkvi zinb"] - score["bulkvi nb"]
    table = generative.tables(rows)["ZINB against NB"].loc["gtex_skin, bulkvi"]
    assert table.iloc[0] == f"{gained.mean():+.4f} ({gained.std() / np.sqrt(SEEDS):.4f})"
    assert table["splits won by ZINB"] == f"{(gained > 0).sum()} of {SEEDS}"
    assert (table["expected by NB"], table["by ZINB"], table["of these inflated"]) == ("10.00", "11.00", "1.00")


def test_tables_and_figure_hold_every_row(generative, rows):
    found = generative.tables(rows)
    for table in found.values():
        assert table.notna().all(axis=None)
    assert list(found["Known groups: nearest sample of the same group, %"].loc["by chance"]) == ["40"] * 4
    points = 0
    for ax in generative.figure(rows).axes:
        markers = [dots for dots in ax.collections if type(dots).__name__ == "PathCollection"]
        points += sum(len(dots.get_offsets()) for dots in markers)
    shown = {"held out": "log_likelihood", "replicated": "variance_inside", "latent": "silhouette"}
    assert points == sum(rows.loc[rows["part"] == part, column].notna().sum() for part, column in shown.items())


def simulated(name: str, n_genes: int) -> AnnData:
    made = bv.datasets.simulate(n_per_group=6, n_genes=n_genes, n_batches=2, seed=0)
    obs = pd.DataFrame({"label": made.obs["group"].astype(str), "batch": made.obs["batch"].astype(str)})
    obs["strata"] = obs["label"] + obs["batch"]
    adata = AnnData(np.asarray(made.X, dtype=np.float32), obs=obs)
    importlib.import_module("benchmarks.generative_data").with_size_factors(adata, adata)
    return adata


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend
def test_a_second_run_reads_the_cache_and_finds_the_same(generative, tmp_path, monkeypatch):
    def room(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.generative_{name}")

    monkeypatch.setitem(room("data").COHORTS, "simulated", room("data").Cohort(("group",), 2, batch="batch"))
    monkeypatch.setattr(importlib.import_module("benchmarks.cache"), "CACHE", tmp_path)
    monkeypatch.setattr(generative, "SCVI_DEFAULTS", generative.Scvi(epochs=(2,)))
    for name in ("heldout", "whole"):
        monkeypatch.setattr(room(name), "load", simulated)
    start = generative.Scvi(norm="layer", n_hidden=8, epochs=(2, 4))
    less: dict[str, Any] = {"cohorts": ("simulated",), "n_genes": 50, "start": start, "changes": ()}
    first = generative.rows(1, **less)

    held_out = first[first["part"] == "held out"].set_index("method")
    assert np.isfinite(held_out["log_likelihood"]).all()
    assert held_out["log_likelihood"]["bulkvi nb"] > held_out["log_likelihood"]["bulkvi poisson"]
    assert set(held_out.index[held_out["zeros_extra"] > 0]) == {"bulkvi zinb", "scVI zinb"}

    def untrainable(*args: object, **options: object) -> None:
        raise AssertionError("trained again")

    for name in ("heldout", "whole"):
        monkeypatch.setattr(room(name), "trained", untrainable)
    pd.testing.assert_frame_equal(generative.rows(1, **less), first)
