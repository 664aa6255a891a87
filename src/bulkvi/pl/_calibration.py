from os import PathLike
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from bulkvi import calibration_names as cn
from bulkvi.pl._figure import AXES_HEIGHT, OKABE_ITO, finish, legend_below, legend_height, new_axes
from bulkvi.pl._text import write_caption

LOWEST = 1e-4
NOT_FINER = 0.7


class Calibration(Protocol):
    """Result of ``model.calibrate``."""

    @property
    def fdr(self) -> pd.DataFrame:
        """A row for each score and threshold."""

    @property
    def relabellings(self) -> pd.DataFrame:
        """A row for each permutation, score and threshold."""


def calibration(
    report: Calibration,
    *,
    kind: Literal["fdr", "calls"] = "fdr",
    score: str | None = None,
    threshold: float = 0.05,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the false discovery rate estimated from permuted labels. Is the nominal rate kept?

    ``kind="fdr"``: the empirical over the nominal rate, with a bar for its Monte-Carlo interval. The points of a calibrated
    method lie on or below the diagonal. Nothing is drawn where no gene is called, and rates below 1e-4 lie on the lower edge.

    ``kind="calls"``: the number of genes called after each permutation of the labels, and a line for the data.

    Parameters
    ----------
    report
        Result of ``model.calibrate``. It is not changed.
    kind
        Which of the two.
    score
        ``"adj_p_value"`` or ``"s_value"``. By default both in the first plot, and the first of the report in the second.
    threshold
        Threshold of the calls that are counted in the second plot; one of the report.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``report`` is not a result of ``model.calibrate`` or lacks the score, or ``kind`` or ``threshold`` is not a choice.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=300)
    >>> bv.pp.size_factors(adata)
    >>> bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    >>> report = bv.BulkVI(adata).calibrate("group", "B", "A", n_permutations=10, progress_bar=False)
    >>> bv.pl.calibration(report).get_xlabel()
    'Nominal rate'
    """
    if not (hasattr(report, "fdr") and hasattr(report, "relabellings")):
        raise TypeError(f"`report` must be a result of model.calibrate, not {type(report).__name__}.")
    if kind not in ("fdr", "calls"):
        raise ValueError(f"`kind` must be 'fdr' or 'calls'; it is {kind!r}.")
    known = list(report.fdr[cn.SCORE].unique())
    if score is not None and score not in known:
        raise KeyError(f"the report has no score {score!r}; it has {known}.")
    thresholds = report.fdr[cn.THRESHOLD].unique().tolist()
    if threshold not in thresholds:
        raise ValueError(f"`threshold` is {threshold}; the report has {thresholds}.")
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + (legend_height(1) if kind == "calls" else 0))
    if kind == "fdr":
        _draw_fdr(ax, report.fdr, known if score is None else [score])
    else:
        _draw_calls(ax, report, score or known[0], threshold)
    return finish(ax, show=show, save=save)


def _draw_fdr(ax: Axes, table: pd.DataFrame, scores: list[str]) -> None:
    ends = (table[cn.THRESHOLD].min() * NOT_FINER, 1.0)
    handles = [*ax.plot(ends, ends, color="0.5", linewidth=0.8, linestyle="--", label="as nominal")]
    for i, score in enumerate(scores):
        rows = table[(table[cn.SCORE] == score) & table[cn.EMPIRICAL_FDR].notna()]
        rates = (cn.EMPIRICAL_FDR, cn.EMPIRICAL_FDR_LOW, cn.EMPIRICAL_FDR_HIGH)
        y, low, high = (rows[name].clip(LOWEST).to_numpy() for name in rates)
        # a little to the side, so that the bars of two scores do not hide each other
        x = rows[cn.THRESHOLD].to_numpy() * 1.04 ** (2 * i - len(scores) + 1)
        colour = OKABE_ITO[i]
        ax.vlines(x, low, high, color=colour, linewidth=0.8)
        handles += ax.plot(x, y, color=colour, marker="os"[i % 2], markersize=3.5, linewidth=1, label=score)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=(LOWEST, 1.3), xlabel="Nominal rate", ylabel="Empirical FDR")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.legend(handles=handles, loc="upper left", fontsize="small", frameon=False, handlelength=1.2)


def _draw_calls(ax: Axes, report: Calibration, score: str, threshold: float) -> None:
    data, permuted = (
        table.loc[(table[cn.SCORE] == score) & (table[cn.THRESHOLD] == threshold), cn.CALLS].to_numpy()
        for table in (report.fdr, report.relabellings)
    )
    on_data = int(data[0])
    largest = max(on_data, int(permuted.max()), 1)
    bins = np.linspace(-0.5, largest + 0.5, min(largest + 1, 30) + 1)
    ax.hist(permuted, bins=bins.tolist(), color=OKABE_ITO[0], edgecolor="white", linewidth=0.4)
    line = ax.axvline(on_data, color=OKABE_ITO[1], linewidth=1.2, linestyle="--", label=f"on the data: {on_data:,}")
    ax.set(xlabel=f"Genes with {score} < {threshold:g}", ylabel="Permutations")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    legend_below(ax, [line])
    write_caption(ax, [f"{permuted.size:,} permutations", f"{(permuted > 0).mean():.0%} with a call"])
