from os import PathLike
from typing import Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from bulkvi.names import BASE_MEAN, COMPOSITION_SHIFT, LOG_FC, LOG_FC_MLE
from bulkvi.pl._figure import AXES_HEIGHT, draw_agreement, finish, legend_height, new_axes, set_round_ticks
from bulkvi.pl._gene_table import (
    called_genes,
    count_genes,
    draw_calls,
    explain_calls,
    finite_genes,
    name_contrast,
    split_calls,
    table_values,
)
from bulkvi.pl._text import write_caption

LABELS: Final = {LOG_FC: "Log2 fold change", LOG_FC_MLE: "Log2 fold change\n(not shrunk)"}
NEGLIGIBLE: Final = 0.01  # composition shift that is too small to be seen, log2


def ma(
    de: pd.DataFrame,
    *,
    level: float = 0.05,
    column: Literal["log_fc", "log_fc_mle"] = "log_fc",
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw fold changes over the mean count of each gene. Do they depend on expression?

    Genes called at ``adj_p_value < level`` are coloured and counted below the Axes. The dashed line is zero before the
    composition shift, the change that most genes share, was subtracted; it is drawn if the table has a shift above 0.01.
    The caption counts the genes that are drawn and those that are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the columns ``base_mean``, ``adj_p_value`` and
        ``column``, and optionally ``attrs["composition_shift"]`` (log2). It is not changed.
    level
        False discovery rate, in (0, 1).
    column
        ``"log_fc"``, or ``"log_fc_mle"`` for the effects without shrinkage.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Mean counts are per unit size factor, on a log axis; fold changes are in log base 2.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``de`` is not a table or lacks a column, an argument is out of range, or no gene has finite values.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"base_mean": [900.0, 80.0, 7.0], "log_fc": [2.0, -1.0, 0.1], "adj_p_value": [3e-9, 1.5e-4, 0.5]},
    ...     index=["FKBP5", "VCAM1", "ACTB"],
    ... )
    >>> ax = bv.pl.ma(de)  # in practice the table of model.differential_expression
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'Log2 fold change')
    """
    if column not in LABELS:
        raise ValueError(f"unknown `column` {column!r}; choose one of {list(LABELS)}.")
    columns = [BASE_MEAN, column]
    values = table_values(de, columns)
    values[0, values[0] <= 0] = np.nan  # no place on a log axis
    ax = _draw_called(ax, de, values, columns, level, by=1)
    ax.axhline(0, color="0.2", linewidth=0.6, zorder=1.5)
    ax.set(xscale="log", xlabel="Mean count / size factor", ylabel=LABELS[column])
    set_round_ticks(ax.yaxis)
    _draw_shift(ax, float(de.attrs.get(COMPOSITION_SHIFT, 0.0)))
    return finish(ax, show=show, save=save)


def shrinkage(
    de: pd.DataFrame,
    *,
    ax: Axes | None = None,
    level: float = 0.05,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw effects with shrinkage over those without. What does the prior do to the effects?

    A gene on the grey diagonal keeps the fold change of its counts; a gene near the horizontal line has too little evidence
    for its fold change. Genes called at ``adj_p_value < level`` are coloured and counted below the Axes. The caption counts
    the genes that are drawn and those that are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the columns ``log_fc_mle``, ``log_fc`` and
        ``adj_p_value``. It is not changed.
    level
        False discovery rate, in (0, 1).
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Both coordinates are in log base 2; the two axes have different scales.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``de`` is not a table or lacks a column, ``level`` is out of range, or no gene has finite values.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"log_fc_mle": [2.1, -1.2, 3.0], "log_fc": [2.0, -1.0, 0.1], "adj_p_value": [3e-9, 1.5e-4, 0.5]},
    ...     index=["FKBP5", "VCAM1", "ACTB"],
    ... )
    >>> ax = bv.pl.shrinkage(de)  # in practice the table of model.differential_expression
    >>> ax.get_title(loc="left")
    '3 genes'
    """
    columns = [LOG_FC_MLE, LOG_FC]
    ax = _draw_called(ax, de, table_values(de, columns), columns, level, by=0)
    draw_agreement(ax)
    ax.margins(0.06)
    ax.set(xlabel="Log2 fold change, not shrunk", ylabel="Log2 fold change,\nshrunk")
    return finish(ax, show=show, save=save)


def _draw_called(
    ax: Axes | None, de: pd.DataFrame, values: np.ndarray, columns: list[str], level: float, *, by: int
) -> Axes:
    """Draw genes at their two values in the colour of their call, whose direction is the sign of value ``by``."""
    called = called_genes(de, level)
    drawn = finite_genes(values, columns)
    ax = new_axes(height=AXES_HEIGHT + legend_height(1, title=True)) if ax is None else ax
    parts = split_calls(values[by, drawn], called[drawn])
    draw_calls(ax, values[0, drawn], values[1, drawn], parts)
    explain_calls(ax, parts, level)
    write_caption(ax, name_contrast(de) + count_genes(len(de), int(drawn.sum())))
    return ax


def _draw_shift(ax: Axes, shift: float) -> None:
    if not abs(shift) > NEGLIGIBLE:
        return
    ax.axhline(-shift, color="black", linewidth=1, linestyle=(0, (4, 2)))
    ax.annotate(
        f"zero before shift ({-shift:+.2f})".replace("-", "\N{MINUS SIGN}"),
        (1, -shift),
        xytext=(-2, -2 if shift > 0 else 2),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        horizontalalignment="right",
        verticalalignment="top" if shift > 0 else "bottom",
        fontsize="x-small",
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )
