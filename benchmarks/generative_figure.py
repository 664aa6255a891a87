"""The generative benchmark in one figure."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.generative_scores import N_BINS
from benchmarks.generative_tables import NARROW, REFERENCE, WIDE

# Okabe and Ito's colours; the marker distinguishes the families without them.
FAMILIES = {"bulkvi": ("#0072B2", "o"), "scVI": ("#D55E00", "s"), "PCA": ("#009E73", "^"), "": ("#555555", "D")}
HISTOGRAMS = {"bulkvi": "-", "scVI, best found": "--", "NB per gene": ":"}
"""Methods whose probability integral transform is drawn."""


class Row(NamedTuple):
    """A row of panels."""

    part: str
    column: str
    label: str
    factor: float
    marked: tuple[float, ...]
    """Places of lines."""


PANELS = (
    Row(
        "held out", "ahead", f"completed log likelihood per count\nless that of {REFERENCE} (right is better)", 1, (0,)
    ),
    Row("held out", "inside_95", "held-out counts in their\n95 % interval, %", 100, (94, 97)),
    Row("held out", "inside_50", "held-out counts in their\n50 % interval, %", 100, (48, 56)),
    Row("latent", "silhouette", "silhouette of known groups\n(right is further apart)", 1, (0,)),
)


def figure(rows: pd.DataFrame) -> Figure:
    """Cohorts from left to right; likelihood, intervals, latent space and probability integral transform down the page.

    Parameters
    ----------
    rows
        From :func:`benchmarks.generative.rows`; a point for each split or training, a line at their mean.
    """
    rows = rows[rows["part"].isin(["held out", "latent"]) & ~rows["method"].isin([NARROW, WIDE])]
    rows = rows[(rows["part"] != "latent") | (rows["dimensions"] == 0)]
    rows = rows.assign(ahead=_ahead(rows))
    cohorts = list(dict.fromkeys(rows["cohort"]))
    methods = [list(dict.fromkeys(rows.loc[rows["part"] == row.part, "method"])) for row in PANELS]
    heights = [*map(len, methods), 7]
    drawn = Figure(figsize=(2.4 + 1.7 * len(cohorts), 1.6 + 0.2 * sum(heights)), layout="constrained")
    grid = drawn.subplots(len(heights), len(cohorts), squeeze=False, sharex="row", sharey="row", height_ratios=heights)
    for axes, row, names in zip(grid, PANELS, methods, strict=False):
        of_part = rows[rows["part"] == row.part]
        for ax, cohort in zip(axes, cohorts, strict=True):
            _panel(ax, of_part[of_part["cohort"] == cohort], row, names)
            ax.set_xlabel(row.label, fontsize=6)
        if row.column == "ahead":
            axes[0].set_xscale("symlog", linthresh=0.1, linscale=1.0)
            axes[0].set_xticks([-10, -1, -0.1, 0, 0.1], ["−10", "−1", "−.1", "0", ".1"])
            axes[0].minorticks_off()
    for ax, cohort in zip(grid[-1], cohorts, strict=True):
        _histogram(ax, rows[(rows["part"] == "held out") & (rows["cohort"] == cohort)])
    grid[-1, 0].set_ylabel("share of counts", fontsize=7)
    grid[-1, 0].legend(fontsize=6, frameon=False)
    for ax, cohort in zip(grid[0], cohorts, strict=True):
        ax.set_title(cohort, fontsize=9)
    return drawn


def _panel(ax: Axes, rows: pd.DataFrame, row: Row, methods: list[str]) -> None:
    for place in row.marked:
        ax.axvline(place, color="0.8", linewidth=1, zorder=0)
    for place, method in enumerate(methods):
        values = rows.loc[rows["method"] == method, row.column].dropna() * row.factor
        if values.empty:
            continue
        colour, marker = _style(method)
        ax.scatter(values, [place] * len(values), s=12, color=colour, marker=marker, alpha=0.6, linewidths=0)
        ax.vlines(values.mean(), place - 0.32, place + 0.32, color=colour, linewidth=1.6)
    ax.set_yticks(range(len(methods)), methods, fontsize=7)
    ax.set_ylim(len(methods) - 0.4, -0.6)
    ax.tick_params(axis="x", labelsize=6)
    ax.spines[["top", "right"]].set_visible(False)


def _style(method: str) -> tuple[str, str]:
    return FAMILIES[next(family for family in FAMILIES if method.startswith(family))]


def _histogram(ax: Axes, rows: pd.DataFrame) -> None:
    """Mean histogram of the probability integral transform; flat if a model is true."""
    bins = [f"pit_{k}" for k in range(N_BINS)]
    ax.axhline(1 / N_BINS, color="0.8", linewidth=1, zorder=0)
    for method, dashes in HISTOGRAMS.items():
        shares = rows.loc[rows["method"] == method, bins].mean().to_numpy(dtype=float)
        if np.isfinite(shares).all():
            ax.stairs(shares, np.linspace(0, 1, N_BINS + 1), color=_style(method)[0], linestyle=dashes, label=method)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("probability integral transform\nof held-out counts (flat is calibrated)", fontsize=6)
    ax.tick_params(labelsize=6)
    ax.spines[["top", "right"]].set_visible(False)


def _ahead(rows: pd.DataFrame) -> pd.Series:
    """Completed log likelihood less the reference's on the same split; NaN in the other parts."""
    held_out = rows[rows["part"] == "held out"]
    reference = held_out[held_out["method"] == REFERENCE].set_index(["cohort", "seed"])["completion"]
    keys = pd.MultiIndex.from_frame(held_out[["cohort", "seed"]])
    return (held_out["completion"] - reference.reindex(keys).to_numpy()).reindex(rows.index)
