"""The generative benchmark in one figure."""

from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

REFERENCE = "bulkvi nb"
# Okabe and Ito's colours; the marker tells the families apart without them.
FAMILIES = {"bulkvi": ("#0072B2", "o"), "scVI": ("#D55E00", "s"), "": ("#555555", "D")}


class Row(NamedTuple):
    """A row of panels."""

    part: str
    column: str
    label: str
    factor: float
    marked: float
    """Where a line stands."""


PANELS = (
    Row("held out", "ahead", f"held-out log likelihood per count\nless that of {REFERENCE} (right is better)", 1, 0),
    Row("replicated", "variance_inside", "genes whose variance lies inside\n95 % of the replicates', %", 100, 95),
    Row("latent", "silhouette", "silhouette of known groups\n(right is further apart)", 1, 0),
)


def figure(rows: pd.DataFrame) -> Figure:
    """Cohorts from left to right; held-out likelihood, replicated variances and separation of groups from top to bottom.

    Parameters
    ----------
    rows
        From :func:`benchmarks.generative.rows`; a point for each seed, a line through their mean.
    """
    rows = rows.assign(ahead=_ahead(rows))
    cohorts = list(dict.fromkeys(rows["cohort"]))
    methods = [list(dict.fromkeys(rows.loc[rows["part"] == row.part, "method"])) for row in PANELS]
    drawn = Figure(figsize=(2.2 + 2.3 * len(cohorts), 1.2 + 0.24 * sum(map(len, methods))), layout="constrained")
    grid = drawn.subplots(
        len(PANELS), len(cohorts), squeeze=False, sharex="row", sharey="row", height_ratios=[len(m) for m in methods]
    )
    for axes, row, names in zip(grid, PANELS, methods, strict=True):
        of_part = rows[rows["part"] == row.part]
        for ax, cohort in zip(axes, cohorts, strict=True):
            _panel(ax, of_part[of_part["cohort"] == cohort], row, names)
        if row.column == "ahead":
            axes[0].set_xscale("symlog", linthresh=0.05, linscale=1.0)
            axes[0].set_xticks([-10, -1, -0.1, 0, 0.1], ["−10", "−1", "−0.1", "0", "0.1"])
            axes[0].minorticks_off()
        for ax in axes:
            ax.set_xlabel(row.label, fontsize=7)
    for ax, cohort in zip(grid[0], cohorts, strict=True):
        ax.set_title(cohort, fontsize=9)
    return drawn


def _panel(ax: Axes, rows: pd.DataFrame, row: Row, methods: list[str]) -> None:
    ax.axvline(row.marked, color="0.8", linewidth=1, zorder=0)
    for place, method in enumerate(methods):
        values = rows.loc[rows["method"] == method, row.column].dropna() * row.factor
        if values.empty:
            continue
        colour, marker = FAMILIES[next(family for family in FAMILIES if method.startswith(family))]
        ax.scatter(values, [place] * len(values), s=16, color=colour, marker=marker, alpha=0.6, linewidths=0)
        ax.vlines(values.mean(), place - 0.32, place + 0.32, color=colour, linewidth=1.6)
    ax.set_yticks(range(len(methods)), methods, fontsize=8)
    ax.set_ylim(len(methods) - 0.4, -0.6)
    ax.tick_params(axis="x", labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def _ahead(rows: pd.DataFrame) -> pd.Series:
    """Log likelihood less the reference's on the same split; NaN in the other parts."""
    held_out = rows[rows["part"] == "held out"]
    reference = held_out[held_out["method"] == REFERENCE].set_index(["cohort", "seed"])["log_likelihood"]
    keys = pd.MultiIndex.from_frame(held_out[["cohort", "seed"]])
    return (held_out["log_likelihood"] - reference.reindex(keys).to_numpy()).reindex(rows.index)
