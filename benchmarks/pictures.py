"""The figures of the page: one dot for each method and cell, small panels side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.page import LABELS

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
HIGHLIGHT = "bulkvi"
NOMINAL = 0.05
WIDTH = 7.0
"""Inches: two columns of a journal."""


def dots(
    cells: pd.DataFrame, metrics: Mapping[str, str], methods: Sequence[str], groups: Sequence[str], *, nominal: str = ""
) -> Figure:
    """Methods as lines, metrics as panels, cells as dots: a marker and colour for each group of cells.

    Parameters
    ----------
    cells
        Means, a row for each cell and method; ``groups`` are columns whose values together name the dot.
    metrics
        Column -> title of its panel.
    nominal
        The metric with a line at the nominal 5 %.
    """
    known = [method for method in methods if method in set(cells["method"])]
    named = cells.assign(n="n = " + cells["n"].astype(str))
    names = named[list(groups)].agg(", ".join, axis=1)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.3 * len(known) + 0.17 * _legend_lines(names)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    lines = {method: len(known) - 1 - k for k, method in enumerate(known)}
    labels = list(dict.fromkeys(names))
    spread = np.linspace(0.28, -0.28, len(labels)) if len(labels) > 1 else np.zeros(1)
    for ax, (metric, title) in zip(axes, metrics.items(), strict=True):
        for line in range(0, len(known), 2):
            ax.axhspan(line - 0.5, line + 0.5, color="0.955", lw=0)
        for k, label in enumerate(labels):
            mine = cells[(names == label) & cells["method"].isin(known) & cells[metric].notna()]
            ax.plot(
                mine[metric],
                mine["method"].map(lines) + spread[k],
                MARKERS[k % len(MARKERS)],
                color=OKABE_ITO[k % len(OKABE_ITO)],
                ms=4.5,
                mec="white",
                mew=0.4,
                label=label,
                clip_on=False,
            )
        if metric == nominal:
            ax.axvline(NOMINAL, color="0.3", lw=0.8, ls="--")
        ax.set_title(title, fontsize=8)
        ax.set_xlim(left=min(0, ax.get_xlim()[0]))
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(list(lines.values()), [LABELS.get(method, method) for method in lines], fontsize=8)
    for tick in axes[0].get_yticklabels():
        tick.set_fontweight("bold" if tick.get_text() == LABELS[HIGHLIGHT] else "normal")
    axes[0].set_ylim(-0.5, len(known) - 0.5)
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=4, fontsize=7, frameon=False, handletextpad=0.1)
    return figure


def _legend_lines(names: pd.Series) -> int:
    return -(-names.nunique() // 4)


def false_calls(rows: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Calls where none is right: a dot for each data set, on a scale that shows zero."""
    known = [method for method in methods if method in set(rows["method"])]
    cells = list(rows.groupby(["source", "n"], sort=False))
    figure = Figure(figsize=(WIDTH, 1.2 + 0.3 * len(known)))
    axes = figure.subplots(1, len(cells), sharey=True, sharex=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.13, right=0.97, bottom=0.22, top=0.8, wspace=0.35)
    largest = max(1_000.0, rows["calls"].max())
    rng = np.random.default_rng(0)
    for ax, ((source, n), part) in zip(axes, cells, strict=True):
        for k, method in enumerate(reversed(known)):
            calls = part.loc[part["method"] == method, "calls"].dropna()
            colour = OKABE_ITO[0] if method == HIGHLIGHT else "0.45"
            ax.plot(calls, k + rng.uniform(-0.25, 0.25, len(calls)), ".", color=colour, ms=4, clip_on=False)
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(0, 2 * largest)
        ax.set_xticks([0, 10, 1_000], ["0", "10", "1000"])
        ax.set_title(f"{source}\nn = {n}".replace("_", "\n"), fontsize=7)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(known)), [LABELS[method] for method in reversed(known)], fontsize=8)
    figure.supxlabel("false calls at 5 %", fontsize=8)
    return figure


def lines(cells: pd.DataFrame, metrics: Mapping[str, str], methods: Sequence[str]) -> Figure:
    """Metrics against the number of samples, a line for each method, both scales logarithmic."""
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    for ax, (metric, title) in zip(axes, metrics.items(), strict=True):
        for k, method in enumerate(methods):
            mine = cells[(cells["method"] == method) & cells[metric].notna()]
            width = 2.2 if method == HIGHLIGHT else 1.2
            ax.loglog(
                mine["n"], mine[metric], marker=MARKERS[k], color=OKABE_ITO[k], lw=width, ms=4, label=LABELS[method]
            )
        ax.set_xlabel("samples", fontsize=8)
        ax.tick_params(which="both", labelsize=7)
        ax.set_title(title, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    handles, texts = axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside right center", fontsize=7, frameon=False)
    return figure
