"""What one benchmark leaves for the page: tables in Markdown, a figure, and the numbers that the claims are checked against."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "bulkvi": "bulkvi",
    "deseq2": "DESeq2",
    "deseq2_shrink": "DESeq2, shrunken",
    "edger_ql": "edgeR QL",
    "voom": "limma-voom",
    "pydeseq2": "PyDESeq2",
    "scvi": "scVI",
    "scvi_zinb": "scVI, ZINB",
    "scvi_size_factors": "scVI, size factors",
    "zinb": "bulkvi, ZINB",
    "deseq2+sva": "DESeq2 + sva",
    "edger_ql+sva": "edgeR QL + sva",
    "voom+sva": "limma-voom + sva",
    "reference": "bulkvi, reference",
    "reference, direct": "reference, direct effect",
    "reference, total": "reference, total effect",
    "oracle": "bulkvi, batch known",
}
CELL = ("scenario", "source", "n")


@dataclass(frozen=True)
class Page:
    """What is left of one benchmark.

    Attributes
    ----------
    cells
        The numbers of the tables: a row for each cell and method, key columns first, then means over the data sets.
    tables
        Title -> table, as it is shown.
    figure
        The figure of the page.
    versions
        Package -> version.
    command
        What makes this page again.
    """

    cells: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    figure: "Figure"
    versions: Mapping[str, str]
    command: str


def write(name: str, page: Page, folder: Path) -> None:
    """Write ``<name>.md``, ``<name>.csv`` and ``<name>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    page.cells.round(5).to_csv(folder / f"{name}.csv", index=False)
    page.figure.savefig(folder / f"{name}.png", dpi=200, metadata={"Software": None})
    parts = [f"{title}\n\n{markdown(table)}" for title, table in page.tables.items()]
    named = ", ".join(f"{package} {number}" for package, number in page.versions.items())
    parts.append(f"`{page.command}`; {named}.")
    (folder / f"{name}.md").write_text("\n\n".join(parts) + "\n")


def markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, its index as first columns; numbers as they are shown on the page."""
    flat = table.reset_index() if table.index.names != [None] else table
    lines = [
        [str(column) for column in flat.columns],
        *[[shown(value) for value in row] for row in flat.itertuples(index=False)],
    ]
    numeric = [all(re.match(r"^[-+]?[\d.,]+|^-$", line[k]) for line in lines[1:]) for k in range(len(lines[0]))]
    ruler = ["--:" if right else ":--" for right in numeric]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ruler, *lines[1:]])


def shown(value: object) -> str:
    """A number with three decimals, or with three digits if large; a dash for what is not there."""
    if not isinstance(value, float | np.floating):
        return str(value)
    if not np.isfinite(value):
        return "-"
    if abs(value) < 10:
        return f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def means(rows: pd.DataFrame, keys: Sequence[str] = CELL) -> pd.DataFrame:
    """Means over the data sets of each cell and method, with their number in ``sets``."""
    grouped = rows.drop(columns="seed").groupby([*keys, "method"], sort=False)
    return grouped.mean().assign(sets=grouped.size()).reset_index()


def by_method(cells: pd.DataFrame, metric: str, methods: Sequence[str], keys: Sequence[str] = CELL) -> pd.DataFrame:
    """One number of several methods: cells x methods, with the number of data sets."""
    known = [method for method in methods if method in set(cells["method"])]
    wide = cells.pivot_table(metric, list(keys), "method", sort=False, dropna=False).reindex(columns=known)
    wide = wide.dropna(how="all").rename(columns=LABELS)
    wide.columns.name = None
    sets = cells[cells["method"].isin(known)].groupby(list(keys), sort=False)["sets"].min()
    wide.insert(0, "sets", sets.reindex(wide.index))
    return wide


def completed(cells: pd.DataFrame, earlier: pd.DataFrame, subset: str) -> pd.DataFrame:
    """Add the methods that were not run now to each cell, as an earlier run of the same data sets left them."""
    before = earlier[(earlier["subset"] == subset) & ~earlier["method"].isin(cells["method"])].drop(columns="subset")
    known = before.merge(cells[[*CELL, "sets"]].drop_duplicates(), on=[*CELL, "sets"])
    if len(known) < len(before):
        raise ValueError(f"The earlier table has other cells or numbers of data sets than this run ({subset}).")
    joined = pd.concat([cells, before], ignore_index=True)
    order = {cell: k for k, cell in enumerate(dict.fromkeys(cells[list(CELL)].itertuples(index=False, name=None)))}
    place = joined[list(CELL)].apply(tuple, axis=1).map(order)
    return joined.loc[place.sort_values(kind="stable").index].reset_index(drop=True)
