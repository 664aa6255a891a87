from os import PathLike

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi.names import LOG_FC, LOG_FC_MLE
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


def shrinkage(
    de: pd.DataFrame,
    *,
    ax: Axes | None = None,
    level: float = 0.05,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """What does the prior do to the effects? Draw them with shrinkage over those without.

    A gene on the grey diagonal keeps the fold change that its counts say; one near the horizontal line says too little
    to be believed. Genes called at ``adj_p_value < level`` are coloured, their number stands below the Axes. Above the
    Axes stands how many genes are drawn and how many are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the columns ``log_fc_mle``, ``log_fc`` and
        ``adj_p_value``. It is not changed.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    level
        False discovery rate, in (0, 1).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Both coordinates are in log base 2; the axes have scales of their own.

    Raises
    ------
    TypeError
        If ``de`` is not a table.
    KeyError
        If a column is missing.
    ValueError
        If ``level`` is out of range, or no gene has finite values.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"log_fc_mle": [2.1, -1.2, 3.0], "log_fc": [2.0, -1.0, 0.1], "adj_p_value": [3e-9, 1.5e-4, 0.5]},
    ...     index=["FKBP5", "VCAM1", "ACTB"],
    ... )
    >>> ax = bv.pl.shrinkage(de)  # in real life the table that model.differential_expression gives
    >>> ax.get_title(loc="left")
    '3 genes'
    """
    columns = [LOG_FC_MLE, LOG_FC]
    values = table_values(de, columns)
    called = called_genes(de, level)
    drawn = finite_genes(values, columns)
    x, y = values[:, drawn]
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(2))
    parts = split_calls(x, called[drawn])
    draw_calls(ax, x, y, parts)
    ax.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
    for draw_zero in (ax.axhline, ax.axvline):
        draw_zero(0, color="0.8", linewidth=0.6, zorder=0)
    ax.margins(0.06)
    ax.set(xlabel="Log2 fold change, not shrunk", ylabel="Log2 fold change,\nshrunk")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    explain_calls(ax, parts, level)
    say_above(ax, count_genes(len(de), int(drawn.sum())))
    return finish(ax, show=show, save=save)
