"""The page on studies with a reference: tables and figure from the rows of `benchmarks.reference`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks import reference
from benchmarks.page import CELL, LABELS, Page, means
from benchmarks.pictures import dots

METHODS = ("bulkvi", "reference", "reference, direct", "reference, total", "oracle", "voom")
ERRORS = ("FDR", "s FDR", "TPR at 5 % FDP", "RMSE", "coverage, called", "any", "correlation")
"""Columns whose standard errors over the sets are kept."""
FIGURE = {"FDR": "FDR of calls at 5 %", "TPR at 5 % FDP": "TPR at 5 % FDP", "RMSE": "RMSE of log2 fold changes"}
CARRIED = "trust carried_p_value"
TRUST_COLUMNS = {
    "trust n_genes": "genes shared",
    "trust n_directions": "directions",
    "trust dispersion_trust": "trust in dispersions",
    CARRIED: "p-value of groups along directions",
}
TABLES = {
    "within": (
        "People of one sex, the reference of the other people of the cohort",
        ("FDR", "s FDR", "TPR at 5 % FDP", "RMSE", "coverage, called", "CPU s"),
    ),
    "equal": ("The same, groups that differ by nothing", ("any", "calls", "null p < .05")),
    "across": ("One study to another", ("FDR", "s FDR", "TPR at 5 % FDP", "RMSE")),
    "wrong": ("Wrong references", ("FDR", "s FDR", "TPR at 5 % FDP", "RMSE")),
    "real": ("Snf2 over wild-type yeast", ("TPR", "TPR at 5 % FDP", "correlation", "coverage", CARRIED)),
    "along": (
        "A treatment along the first direction of the reference",
        ("TPR", "correlation", "RMSE", "coverage", CARRIED, "named"),
    ),
    "batch": ("A hidden batch that the reference has seen, three against three", ("FDR", "TPR at 5 % FDP", "RMSE")),
    "stability": ("Another reference for the same study", ("moved, median", "moved, 95 %")),
}
COLUMNS = {
    CARRIED: TRUST_COLUMNS[CARRIED],
    "s FDR": "FDR by s-value",
    "any": "studies with a call",
    "calls": "false calls",
    "null p < .05": "p < .05",
    "coverage, called": "coverage, called genes",
    "named": "direction named",
    "moved, median": "change in standard errors, median",
}
TRUST = "What a study took from its reference"


def page(sets: int | None, versions: dict[str, str], parts: Sequence[str] | None = None) -> Page:
    """Compute the parts (all by default), and make the page of these and of what the cache holds of the others."""
    found = [reference.rows(part, sets, compute=parts is None or part in parts) for part in reference.PARTS]
    cells = with_errors(pd.concat([part for part in found if len(part)], ignore_index=True))
    command = "python -m benchmarks reference" + (f" --sets {sets}" if sets is not None else "")
    drawn = cells[cells["source"] == "within"] if "within" in set(cells["source"]) else cells
    figure = dots(drawn, FIGURE, ("bulkvi", "reference", "voom"), ("n",), nominal="FDR")
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
    for part, (title, metrics) in TABLES.items():
        mine = cells[(cells["source"] == part) & cells["method"].isin(METHODS)]
        shown = [metric for metric in metrics if metric in mine and mine[metric].notna().any()]
        if shown:
            found[title] = by_cell(mine, shown)
    trust = [name for name in TRUST_COLUMNS if name in cells]
    with_reference = cells[(cells["method"] == "reference") & cells["source"].isin(["within", "across", "wrong"])]
    if trust and len(with_reference):
        found[TRUST] = with_reference.set_index(["scenario", "n"])[trust].rename(columns=TRUST_COLUMNS)
    return found


def by_cell(cells: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """A row for each cell and method, a column for each metric: the mean and, in brackets, its standard error over the sets."""
    order = {method: k for k, method in enumerate(METHODS)}
    places = cells.groupby(["scenario", "n"], sort=False).ngroup()
    cells = cells.iloc[np.lexsort([cells["method"].map(order), places])]
    index = pd.MultiIndex.from_arrays(
        [cells["scenario"], cells["n"], cells["method"].map(lambda method: LABELS.get(method, method))],
        names=["study", "n", "analysis"],
    )
    table = {
        COLUMNS.get(metric, metric): [_with_error(row, metric) for _, row in cells.iterrows()] for metric in metrics
    }
    return pd.DataFrame({"sets": cells["sets"].to_numpy()} | table, index=index)


def _with_error(row: pd.Series, metric: str) -> str:
    """A mean and, in brackets, its standard error."""
    if not np.isfinite(row[metric]):
        return "-"
    error = row.get(f"{metric} se", np.nan)
    return f"{row[metric]:.3f}" + (f" ({error:.3f})" if np.isfinite(error) else "")
