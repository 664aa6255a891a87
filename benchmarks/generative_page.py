"""The page of the generative benchmark, and its rows in the CSV of the page."""

import pandas as pd

from benchmarks.generative import OURS, rows
from benchmarks.generative_figure import figure
from benchmarks.generative_tables import tables
from benchmarks.page import CELL, Page

SPLITS = 5
NAMES = {"part": "scenario", "cohort": "source"}


def page(splits: int | None, versions: dict[str, str], earlier: pd.DataFrame | None = None, **less: object) -> Page:
    """The page; with ``earlier``, the CSV of an earlier page, only bulkvi is run and the other methods' rows are taken from it."""
    n_splits = SPLITS if splits is None else splits
    measured = rows(n_splits, ours_only=earlier is not None, **less)
    if earlier is not None:
        measured = with_earlier(measured, earlier)
    command = f"python -m benchmarks generative --sets {n_splits}"
    return Page(cells_of(measured), tables(measured), figure(measured), versions, command)


def cells_of(measured: pd.DataFrame) -> pd.DataFrame:
    """Means over the seeds (``subset`` all) and the rows themselves (``subset`` split, with ``seed``).

    ``n`` is the number of dimensions of a latent space (0: all), the number of training samples of simulated data, 0 otherwise.
    """
    named = measured.rename(columns=NAMES)
    sizes = named["n"] if "n" in named else pd.Series(float("nan"), named.index)
    named["n"] = sizes.fillna(named["dimensions"]).fillna(0).astype(int)
    tried, scored = named[named["scenario"] == "search"], named[named["scenario"] != "search"]
    numbers = scored.select_dtypes("number").columns.difference(["n", "seed", "epochs", "dimensions"])
    grouped = scored.groupby([*CELL, "method"], sort=False)
    means = grouped[list(numbers)].mean().assign(sets=grouped.size()).reset_index()
    return pd.concat([means.assign(subset="all"), scored.assign(subset="split"), tried.assign(subset="split")])


def with_earlier(measured: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """Rows of the other methods as an earlier page left them, between ours and the simulated data."""
    before = earlier[earlier["subset"] == "split"].rename(columns={new: old for old, new in NAMES.items()})
    of_others = ~before["method"].str.startswith(OURS) & (before["part"] != "deep")
    before = before[of_others & before["cohort"].isin(measured["cohort"])].drop(
        columns=["subset", "n"], errors="ignore"
    )
    if before.empty:
        raise ValueError("The earlier table has no rows of single splits: run this benchmark once without --ours.")
    joined = pd.concat([measured[measured["part"] != "deep"], before, measured[measured["part"] == "deep"]])
    place = {cohort: k for k, cohort in enumerate(dict.fromkeys(joined["cohort"]))}
    return joined.iloc[joined["cohort"].map(place).argsort(kind="stable")].reset_index(drop=True)
