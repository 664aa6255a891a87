"""The page on studies with a reference: tables and figure from the rows of `benchmarks.reference`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks import reference
from benchmarks.page import CELL, LABELS, Page, means
from benchmarks.pictures import dots

METHODS = ("bulkvi", "reference", "reference, direct", "reference, total", "oracle", "voom")
ERRORS = ("FDR", "TPR at 5 % FDP", "RMSE", "coverage, called")
"""Columns whose standard errors over the sets are kept."""
FIGURE = {"FDR": "FDR of calls at 5 %", "TPR at 5 % FDP": "TPR at 5 % FDP", "RMSE": "RMSE of log2 fold changes"}
TITLES = {
    "within": "People of one sex",
    "across": "One study to another",
    "wrong": "Wrong references",
    "real": "Snf2 over wild-type yeast",
    "along": "A treatment along a direction of the reference",
    "batch": "A hidden batch that the reference has seen",
}
JUDGED = {
    "within": ("FDR", "s FDR", "TPR at 5 % FDP", "RMSE", "coverage, called"),
    "across": ("FDR", "TPR at 5 % FDP", "RMSE"),
    "wrong": ("FDR", "TPR at 5 % FDP", "RMSE"),
    "real": ("TPR", "TPR at 5 % FDP", "correlation", "coverage"),
    "along": ("TPR", "correlation", "coverage"),
    "batch": ("FDR", "TPR at 5 % FDP"),
}
NAMES = {
    "FDR": "FDR of the calls at 5 %",
    "s FDR": "FDR of the calls by s-value at 5 %",
    "TPR": "share of the changed genes that is called",
    "TPR at 5 % FDP": "TPR at a false discovery proportion of 5 %",
    "RMSE": "RMSE of log2 fold changes, genes with a mean count of at least 10",
    "coverage": "share of the 95 % intervals that hold the truth",
    "coverage, called": "share of the 95 % intervals of called genes that hold the truth",
    "correlation": "correlation of the log2 fold changes with the truth",
}


def page(sets: int | None, versions: dict[str, str], parts: Sequence[str] | None = None) -> Page:
    """Compute the parts (all by default), and make the page of all that the cache holds."""
    found = [reference.rows(part, sets, compute=parts is None or part in parts) for part in reference.PARTS]
    rows = pd.concat([part for part in found if len(part)], ignore_index=True)
    cells = with_errors(rows)
    command = "python -m benchmarks reference" + (f" --sets {sets}" if sets is not None else "")
    within = cells[cells["source"] == "within"]
    figure = dots(within if len(within) else cells, FIGURE, ("bulkvi", "reference", "voom"), ("n",), nominal="FDR")
    return Page(cells.assign(subset="all"), tables(cells), figure, versions, command)


def with_errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the sets, with the standard errors of those of `ERRORS` in columns ``"<column> se"``."""
    cells = means(rows)
    grouped = rows.groupby([*CELL, "method"], sort=False)
    for column in ERRORS:
        if column in rows:
            cells[f"{column} se"] = (grouped[column].std() / np.sqrt(grouped[column].count())).to_numpy()
    return cells


def tables(cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Title -> table; those of parts that have not been computed are left out."""
    found = {}
    for part, title in TITLES.items():
        mine = cells[cells["source"] == part]
        for metric in JUDGED[part]:
            if len(mine) and metric in mine and mine[metric].notna().any():
                found[f"{title}: {NAMES[metric]}"] = by_method(mine, metric)
    nulls = cells[cells["source"] == "null"]
    if len(nulls):
        found["Groups that differ by nothing: share of the studies with any call"] = by_method(nulls, "any")
        found["Groups that differ by nothing: false calls, mean"] = by_method(nulls, "calls")
    for part, title in (
        ("within", "people of one sex"),
        ("across", "one study to another"),
        ("wrong", "wrong references"),
    ):
        with_reference = cells[(cells["source"] == part) & (cells["method"] == "reference")]
        columns = [name for name in cells if name.startswith("trust ") and with_reference[name].notna().any()]
        if columns:
            shown = with_reference.set_index(["scenario", "n"])[["sets", *columns]]
            found[f"What the study took from its reference: {title}"] = shown.rename(
                columns=lambda name: name.removeprefix("trust ")
            )
    stability = cells[(cells["source"] == "stability") & (cells["method"] == "reference")]
    if len(stability):
        moved = stability.set_index(["scenario", "n"])[["sets", "moved, median", "moved, 95 %"]]
        found["Another reference: change of the log2 fold changes, in their standard errors"] = moved
    return found


def by_method(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Cells x methods; with the standard error over the sets where it is there."""
    keys = ["scenario", "n"]
    known = [method for method in METHODS if cells.loc[cells["method"] == method, metric].notna().any()]
    values = cells.assign(shown=[_with_error(row, metric) for _, row in cells.iterrows()])
    wide = values.pivot_table("shown", keys, "method", aggfunc="first", sort=False).reindex(columns=known)
    wide = wide.fillna("-").rename(columns=LABELS)
    wide.columns.name = None
    sets = cells[cells["method"].isin(known)].groupby(keys, sort=False)["sets"].min()
    wide.insert(0, "sets", sets.reindex(wide.index).astype(int))
    return wide


def _with_error(row: pd.Series, metric: str) -> str:
    """A mean and, in brackets, its standard error."""
    if not np.isfinite(row[metric]):
        return "-"
    error = row.get(f"{metric} se", np.nan)
    return f"{row[metric]:.3f}" + (f" ({error:.3f})" if np.isfinite(error) else "")
