"""Tables over seeds in Markdown, and promises held against them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.peers import METHODS
from benchmarks.scores import binomial_se

CELL = ["scenario", "source", "n"]
TESTS = ("deseq2", "edger_ql", "voom")
VERDICT = {True: "PASS", False: "**FAIL**", None: "not measured"}


def medians(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Medians over the seeds, cells x methods."""
    found = rows.pivot_table(key, CELL, "method", "median", sort=False)
    return found.reindex(columns=found.columns.union(["ours", *METHODS]))


class Column(NamedTuple):
    """A column of a table: which number of which method, and the number of trials behind each if it is a share."""

    header: str
    method: str
    key: str
    trials: str | None = None


def columns(key: str, header: str, *methods: str, trials: str | None = None) -> list[Column]:
    """The same number of several methods."""
    return [Column(f"{header} {method}".strip(), method, key, trials) for method in methods]


def show(title: str, rows: pd.DataFrame, wanted: Sequence[Column]) -> None:
    """Print a Markdown table, a line a cell: median over the seeds (mean, and binomial error of the mean of a share)."""
    lines = []
    for cell, part in rows.groupby(CELL, sort=False):
        entries = [str(part["seed"].nunique())]
        for column in wanted:
            mine = part[part["method"] == column.method]
            values = mine[column.key].dropna() if column.key in mine else mine.iloc[:0, 0]
            entry = f"{values.median():.3f} ({values.mean():.3f}" if len(values) else "-"
            if len(values) and column.trials:
                entry += f" ± {binomial_se(min(max(values.mean(), 0), 1), mine[column.trials].sum()):.3f}"
            entries.append(entry + ")" if len(values) else entry)
        lines.append([*map(str, cell), *entries])
    print_table(title, [*CELL, "sets", *(column.header for column in wanted)], lines)


def digest(title: str, rows: pd.DataFrame, wanted: Sequence[Column]) -> None:
    """Print a small table: a line a scenario, a column a group size, medians over sources and seeds."""
    sizes = sorted(rows["n"].unique())
    lines = []
    for scenario, part in rows.groupby("scenario", sort=False):
        entries = []
        for n in sizes:
            mine = [part[(part["n"] == n) & (part["method"] == column.method)] for column in wanted]
            values = [
                m.get(column.key, pd.Series(dtype=float)).median() for m, column in zip(mine, wanted, strict=True)
            ]
            entries.append(" / ".join("-" if np.isnan(value) else f"{value:.3f}".lstrip("0") for value in values))
        lines.append([str(scenario), *entries])
    headers = " / ".join(column.header for column in wanted)
    print_table(f"{title}: {headers}", ["scenario", *(f"n = {n}" for n in sizes)], lines)


def print_table(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table under a heading."""
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")


class Promise(NamedTuple):
    """One line of what must be shown, and what was found."""

    what: str
    limit: str
    found: str
    kept: bool | None
    """None if nothing was measured."""


def promise(what: str, cells: pd.Series, low: float = -np.inf, high: float = np.inf) -> Promise:
    """Whether all cells lie within ``low`` and ``high``; names the one that is furthest out, or nearest to it."""
    limit = " and ".join([f">= {low:g}"] * bool(low > -np.inf) + [f"<= {high:g}"] * bool(high < np.inf))
    cells = cells.dropna()
    if cells.empty:
        return Promise(what, limit, "-", kept=None)
    slack = np.minimum(cells - low, high - cells)
    worst = slack.idxmin()
    name = "/".join(map(str, worst)) if isinstance(worst, tuple) else str(worst)
    found = f"{cells[worst]:.3g} in {name}; {int((slack < 0).sum())} of {len(cells)} outside"
    return Promise(what, limit, found, bool((slack >= 0).all()))


def print_promises(promises: Iterable[Promise]) -> None:
    """Print PASS or FAIL, line by line."""
    lines = [(p.what, p.limit, p.found, VERDICT[p.kept]) for p in promises]
    print_table("Promises", ["promise", "limit", "found (the cell furthest out)", ""], lines)


def lead(rows: pd.DataFrame, key: str, peers: Sequence[str] = TESTS) -> pd.Series:
    """Ours minus the best peer, medians."""
    table = medians(rows, key)
    return table["ours"] - table.reindex(columns=list(peers)).max(axis=1, skipna=True)
