from os import PathLike
from typing import Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from bulkvi.names import BASE_MEAN, COMPOSITION_SHIFT, LOG_FC, LOG_FC_MLE
from bulkvi.pl._axes import AXES_HEIGHT, legend_height, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import (
    called_genes,
    count_genes,
    draw_calls,
    explain_calls,
    finite_genes,
    say_above,
    split_calls,
    table_values,
)

LABELS: Final = {LOG_FC: "Log2 fold change", LOG_FC_MLE: "Log2 fold change\n(not shrunk)"}
NEGLIGIBLE: Final = 0.01
"""Composition shift that is too small to be seen, log2."""


def ma(
    de: pd.DataFrame,
    *,
    level: float = 0.05,
    column: Literal["log_fc", "log_fc_mle"] = "log_fc",
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Do the fold changes depend on expression? Draw them over the mean count of each gene.

    Genes called at ``adj_p_value < level`` are coloured, their number stands below the Axes. The dashed line is where zero
    lay before the shift that most genes share was taken off, if the table says so and it is more than 0.01. Above the
    Axes stands how many genes are drawn and how many are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the columns ``base_mean``, ``adj_p_value`` and
        ``column``, and maybe ``attrs["composition_shift"]`` (log2). It is not changed.
    level
        False discovery rate, in (0, 1).
    column
        ``"log_fc"``, or ``"log_fc_mle"`` for the effects without shrinkage.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Mean counts are per unit size factor, on a log axis; fold changes are in log base 2.

    Raises
    ------
    TypeError
        If ``de`` is not a table.
    KeyError
        If a column is missing.
    ValueError
        If ``level`` is out of range, ``column`` is none of the two, or no gene has finite values.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"base_mean": [900.0, 80.0, 7.0], "log_fc": [2.0, -1.0, 0.1], "adj_p_value": [3e-9, 1.5e-4, 0.5]},
    ...     index=["FKBP5", "VCAM1", "ACTB"],
    ... )
    >>> ax = bv.pl.ma(de)  # in real life the table that model.differential_expression gives
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'Log2 fold change')
    """
    if column not in LABELS:
        raise ValueError(f"unknown `column` {column!r}; choose one of {list(LABELS)}.")
    columns = [BASE_MEAN, column]
    values = table_values(de, columns)
    called = called_genes(de, level)
    values[0, values[0] <= 0] = np.nan  # no place on a log axis
    drawn = finite_genes(values, columns)
    x, y = values[:, drawn]
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(2))
    parts = split_calls(y, called[drawn])
    draw_calls(ax, x, y, parts)
    ax.axhline(0, color="0.2", linewidth=0.6, zorder=1.5)
    ax.set(xscale="log", xlabel="Mean count / size factor", ylabel=LABELS[column])
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    _draw_shift(ax, float(de.attrs.get(COMPOSITION_SHIFT, 0.0)))
    explain_calls(ax, parts, level)
    say_above(ax, count_genes(len(de), int(drawn.sum())))
    return finish(ax, show=show, save=save)


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
