from os import PathLike
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from bulkvi import calibration_names
from bulkvi.pl._axes import AXES_HEIGHT, OKABE_ITO, legend_height, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import legend_beneath, say_above

LOWEST = 1e-4
NOT_FINER = 0.7


class Calibration(Protocol):
    """What ``model.calibrate`` returns."""

    @property
    def fdr(self) -> pd.DataFrame:
        """A row for each score and threshold."""

    @property
    def relabellings(self) -> pd.DataFrame:
        """A row for each relabelling, score and threshold."""


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
    """Is the false discovery rate what it says? Draw what relabelled samples say about it.

    ``kind="fdr"``: the empirical rate of false calls against the nominal one, with a bar for its Monte-Carlo interval and
    the diagonal that a method without fault lies on or below. Nothing is drawn where no gene is called, and rates below
    1e-4 lie on the lower edge.

    ``kind="calls"``: how many genes the method calls when the labels mean nothing, and a line for the data.

    Parameters
    ----------
    report
        What ``model.calibrate`` returned. It is not changed.
    kind
        Which of the two.
    score
        ``"adj_p_value"`` or ``"s_value"``. By default both in the first plot, and the first that there is in the second.
    threshold
        Of the calls that are counted in the second plot; one that the report has.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError
        If ``report`` is not a report.
    KeyError
        If the report does not have the score.
    ValueError
        If ``kind`` or ``threshold`` is not among the choices.

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
        raise TypeError(f"`report` must be what model.calibrate returns, not {type(report).__name__}.")
    if kind not in ("fdr", "calls"):
        raise ValueError(f"`kind` must be 'fdr' or 'calls'; it is {kind!r}.")
    known = list(report.fdr[calibration_names.SCORE].unique())
    if score is not None and score not in known:
        raise KeyError(f"the report has no score {score!r}; it has {known}.")
    thresholds = report.fdr[calibration_names.THRESHOLD].unique().tolist()
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
    nominal = table[calibration_names.THRESHOLD].to_numpy()
    ends = (nominal.min() * NOT_FINER, 1.0)
    handles = [*ax.plot(ends, ends, color="0.5", linewidth=0.8, linestyle="--", label="as nominal")]
    for i, score in enumerate(scores):
        rows = table[(table[calibration_names.SCORE] == score) & table[calibration_names.EMPIRICAL_FDR].notna()]
        x, y = (
            rows[calibration_names.THRESHOLD].to_numpy(),
            rows[calibration_names.EMPIRICAL_FDR].clip(LOWEST).to_numpy(),
        )
        low, high = (
            rows[name].clip(LOWEST).to_numpy()
            for name in (calibration_names.EMPIRICAL_FDR_LOW, calibration_names.EMPIRICAL_FDR_HIGH)
        )
        colour, aside = OKABE_ITO[i], 1.04 ** (2 * i - len(scores) + 1)
        ax.vlines(x * aside, low, high, color=colour, linewidth=0.8)
        handles += ax.plot(x * aside, y, color=colour, marker="os"[i % 2], markersize=3.5, linewidth=1, label=score)
    ax.set(xscale="log", yscale="log", xlim=ends, ylim=(LOWEST, 1.3), xlabel="Nominal rate", ylabel="Empirical FDR")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.legend(handles=handles, loc="upper left", fontsize="small", frameon=False, handlelength=1.2)


def _draw_calls(ax: Axes, report: Calibration, score: str, threshold: float) -> None:
    here = [
        table[(table[calibration_names.SCORE] == score) & (table[calibration_names.THRESHOLD] == threshold)]
        for table in (report.fdr, report.relabellings)
    ]
    on_data, relabelled = int(here[0][calibration_names.CALLS].iloc[0]), here[1][calibration_names.CALLS].to_numpy()
    largest = max(on_data, int(relabelled.max()), 1)
    bins = np.linspace(-0.5, largest + 0.5, min(largest + 1, 30) + 1)
    ax.hist(relabelled, bins=bins.tolist(), color=OKABE_ITO[0], edgecolor="white", linewidth=0.4)
    line = ax.axvline(on_data, color=OKABE_ITO[1], linewidth=1.2, linestyle="--", label=f"on the data: {on_data:,}")
    ax.set(xlabel=f"Genes with {score} < {threshold:g}", ylabel="Relabellings")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    legend_beneath(ax, [line])
    say_above(ax, [f"{relabelled.size:,} relabellings", f"{(relabelled > 0).mean():.0%} with a call"])
