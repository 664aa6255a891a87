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
SPLITS = 3
BEST_EPOCHS = 550
"""Of the made-up scores."""


@pytest.fixture(scope="module")
def generative() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative")


def room(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.generative_{name}")


def made_up_held_out(cohort: str, model: Any, seed: int, *, n_genes: Any = None, fit_alone: bool = False) -> list[dict]:
    if getattr(model, "n_latent", None) == 30 and cohort == "hammer":
        raise ValueError("`n_latent` = 30 is more than 6 samples can carry.")
    rng = np.random.default_rng([seed, *repr((cohort, model)).encode()])
    found = []
    for epochs in getattr(model, "epochs", (0,)):
        height = -4 - abs(np.log(max(epochs, 1) / BEST_EPOCHS)) + 0.001 * rng.random()
        row = {"epochs": epochs, "train_cpu": 1.0, "fit": height}
        if not fit_alone:
            zeros = 0.1 + 0.01 * (getattr(model, "likelihood", "") == "zinb")
            row |= {
                "completion": height - 0.1,
                "inside_95": 0.95,
                "inside_50": 0.5,
                "zeros": 0.1,
                "zeros_expected": zeros,
            }
            row |= {f"pit_{k}": 0.1 for k in range(10)}
        found.append(row)
    return found


def made_up_latent(cohort: str, n_latent: int | None) -> list[dict]:
    scores = {"silhouette": 0.3, "nearest": 0.8, "nearest_by_chance": 0.4}
    if cohort in ("bottomly", "gtex_skin", "fission"):
        scores |= {f"batch_{name}": value for name, value in scores.items()}
    n_latent = n_latent or 10
    widths = [width for width in (2, 5, 10) if width <= n_latent]
    return [{"dimensions": width, "width": width or n_latent, **scores} for width in (*widths, 0)]


@pytest.fixture(scope="module")
def made_up(generative) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (generative, room("search")):
            patch.setattr(module, "held_out_rows", made_up_held_out)
        patch.setattr(
            generative, "network_rows", lambda cohort, model, seed, **_: made_up_latent(cohort, model.n_latent)
        )
        patch.setattr(generative, "component_rows", lambda cohort, **_: made_up_latent(cohort, 10))
        truth = {"fit": -3.0, "completion": -3.0}
        ours = made_up_held_out("simulated", None, 0)[0]
        deep = [
            {"cohort": "trajectory", "n": 20, "method": method, "seed": seed, **(truth if method == "truth" else ours)}
            for method in ("bulkvi", "bulkvi, deep", "truth")
            for seed in range(2)
        ]
        patch.setattr(generative, "deep_rows", lambda: deep)
        yield


@pytest.fixture(scope="module")
def rows(generative, made_up) -> pd.DataFrame:
    return generative.rows(SPLITS, simulated=True)


def test_every_method_has_one_row_for_each_cohort_and_split(generative, rows):
    held_out = rows[rows["part"] == "held out"]
    assert not held_out.duplicated(["cohort", "method", "seed"]).any()
    assert set(held_out["cohort"]) == {"gse60450", "bottomly", "geuvadis_sex", "gtex_skin", "fission", "hammer"}
    n_splits = held_out.groupby("method")["seed"].nunique()
    few = {"scVI, ZINB", "scVI, defaults", *generative.VARIANTS}
    assert (n_splits.drop(list(few)) == SPLITS).all()
    assert set(n_splits.index) == {
        *generative.HELD_OUT,
        *("scVI, best found", "scVI, ZINB", "scVI, defaults", "NB per gene"),
        *(f"PCA, {width} components, NB noise" for width in (2, 5, 10)),
    }


def test_a_cohort_of_too_few_samples_is_left_out_of_the_test_of_many_directions(generative, rows):
    wide = rows[rows["method"] == "bulkvi, 30 directions at most"]
    assert "hammer" not in set(wide["cohort"])
    assert set(wide["cohort"]) == {"gse60450", "bottomly", "fission"}  # nor are the expensive ones
    assert (
        "hammer"
        not in room("tables")
        .tables(rows)[
            "20 directions more: completed log likelihood with at most 30 directions less that with at most 10"
        ]
        .index
    )


def test_only_models_given_the_batch_are_judged_as_such(rows):
    latent = rows[rows["part"] == "latent"]
    given = latent[latent["method"].isin(["bulkvi, batch given", "PCA, batch means removed"])]
    assert set(given["cohort"]) == {"bottomly", "gtex_skin", "fission"}


def test_a_scvi_of_ten_dimensions_is_not_cut_to_fewer(rows):
    latent = rows[(rows["part"] == "latent") & (rows["method"] == "scVI, best found")]
    assert set(map(tuple, latent[["dimensions", "width"]].astype(int).to_numpy())) == {
        (2, 2),
        (5, 5),
        (10, 10),
        (0, 10),
    }


def test_scvi_gets_the_number_of_epochs_that_is_best_on_the_first_split(rows):
    tried = rows[rows["part"] == "search"]
    assert tried["settings"].nunique() == 2
    assert {250, 400, 550, 750} == set(tried["epochs"])
    best = rows[(rows["part"] == "held out") & rows["method"].isin(["scVI, best found", "scVI, ZINB"])]
    assert set(best["epochs"]) == {BEST_EPOCHS}


def test_the_paired_difference_in_the_table_is_that_of_the_rows(rows):
    held_out = rows[(rows["part"] == "held out") & (rows["cohort"] == "gtex_skin")]
    score = held_out.pivot(index="seed", columns="method", values="completion")
    tables = room("tables").tables(rows)
    differences = next(table for title, table in tables.items() if title.startswith("The same less that of bulkvi on"))
    ahead = (score["NB per gene"] - score["bulkvi"]).dropna()
    expected = f"{ahead.mean():+.3f} ({ahead.std() / np.sqrt(SPLITS):.3f})"
    assert differences.loc["NB per gene", "gtex_skin"] == expected
    assert differences.loc["scVI, defaults", "gtex_skin"].endswith(f"; {room('peers').COMPARED_SPLITS['defaults']})")
    inflated = tables["ZINB against NB"].loc["gtex_skin, scVI"]
    assert inflated["expected by ZINB, %"] == "11.00"
    assert inflated["splits won by ZINB"].endswith(f"of {room('peers').COMPARED_SPLITS['zinb']}")


def test_tables_and_figure_hold_every_row(rows):
    for title, table in room("tables").tables(rows).items():
        assert len(table), title
        assert table.notna().all(axis=None), title
    drawn = room("figure").figure(rows)
    points = 0
    for ax in drawn.axes:
        markers = [dots for dots in ax.collections if type(dots).__name__ == "PathCollection"]
        points += sum(len(dots.get_offsets()) for dots in markers)
    held_out = rows[(rows["part"] == "held out") & ~rows["method"].str.contains("at most")]
    assert points == 3 * len(held_out) + ((rows["part"] == "latent") & (rows["dimensions"] == 0)).sum()


def test_bulkvi_alone_leaves_the_other_methods_as_they_were(generative, made_up, rows, monkeypatch):
    page, known = room("page"), room("tables").tables(rows)

    def not_again(*args: object, **options: object) -> None:
        raise AssertionError("another method was run")

    for name in ("search", "component_rows"):
        monkeypatch.setattr(generative, name, not_again)
    ours = generative.rows(SPLITS, ours_only=True, simulated=True)
    assert ours["method"].str.startswith("bulkvi").sum() + (ours["method"] == "truth").sum() == len(ours)
    again = room("tables").tables(page.with_earlier(ours, page.cells_of(rows)))
    assert list(again) == list(known)
    for title, table in again.items():
        pd.testing.assert_frame_equal(table.sort_index(), known[title].sort_index())
    with pytest.raises(ValueError, match="without --ours"):
        page.with_earlier(ours, page.cells_of(rows).query("subset == 'all'"))


def test_a_cell_of_the_csv_is_the_mean_of_its_splits(rows):
    cells = room("page").cells_of(rows)
    mean = cells[(cells["subset"] == "all") & (cells["scenario"] == "held out")].set_index(["source", "method"])
    splits = rows[rows["part"] == "held out"].groupby(["cohort", "method"])["completion"]
    np.testing.assert_allclose(mean["completion"], splits.mean().reindex(mean.index))
    assert (mean["sets"] == splits.size().reindex(mean.index)).all()
    assert not cells[cells["subset"] == "all"].duplicated(["scenario", "source", "n", "method"]).any()


def simulated(name: str, n_genes: int | None) -> AnnData:
    made = bv.datasets.simulate(n_per_group=6, n_genes=n_genes or 50, n_batches=2, seed=0)
    obs = pd.DataFrame({"label": made.obs["group"].astype(str), "batch": made.obs["batch"].astype(str)})
    obs["strata"] = obs["label"] + obs["batch"]
    adata = AnnData(np.asarray(made.X, dtype=np.float32), obs=obs)
    room("data").with_size_factors(adata, adata)
    return adata


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of scVI's training, which is not ours to mend
def test_a_second_run_reads_the_cache_and_finds_the_same(generative, tmp_path, monkeypatch):
    monkeypatch.setitem(room("data").COHORTS, "simulated", room("data").Cohort(("group",), 2, batch="batch"))
    monkeypatch.setattr(importlib.import_module("benchmarks.cache"), "CACHE", tmp_path)
    monkeypatch.setattr(generative, "DEFAULTS", generative.Scvi(epochs=(2,)))
    has_last_layer = hasattr(bv.BulkVI, "get_predictive_log_likelihood")
    # models of 10 and 30 directions are too wide for these samples, which is found out anew each time
    ours = {
        name: model
        for name, model in generative.HELD_OUT.items()
        if (has_last_layer or not model.last_layer) and "at most" not in name
    }
    monkeypatch.setattr(generative, "HELD_OUT", ours)
    for name in ("heldout", "whole"):
        monkeypatch.setattr(room(name), "load", simulated)
    start = generative.Scvi(norm="layer", n_hidden=8, epochs=(2, 4))
    less: dict[str, Any] = {"cohorts": ("simulated",), "n_genes": 50, "start": start, "changes": (), "simulated": False}
    first = generative.rows(1, **less)

    held_out = first[first["part"] == "held out"].set_index("method")
    assert np.isfinite(held_out["completion"]).all()
    poisson = held_out["completion"]["bulkvi, decoder alone, Poisson"]
    assert held_out["completion"]["bulkvi, decoder alone"] > poisson

    def untrainable(*args: object, **options: object) -> None:
        raise AssertionError("trained again")

    for name in ("heldout", "whole"):
        monkeypatch.setattr(room(name), "trained", untrainable)
    pd.testing.assert_frame_equal(generative.rows(1, **less), first)
