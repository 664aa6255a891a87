from collections.abc import Sequence
from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi.gene_order import minus_log10, order_by_significance
from bulkvi.names import LOG_FC, P_VALUE, STAT
from bulkvi.pl._figure import AXES_HEIGHT, finish, legend_height, new_axes
from bulkvi.pl._gene_table import (
    DOWN,
    NOT_CALLED,
    UP,
    GeneNames,
    called_genes,
    checked_p_values,
    count_genes,
    display_names,
    draw_calls,
    explain_calls,
    finite_genes,
    name_contrast,
    select_labelled,
    split_calls,
    table_values,
)
from bulkvi.pl._text import write_caption, write_names


def volcano(
    de: pd.DataFrame,
    *,
    level: float = 0.05,
    label: int | Sequence[str] = 10,
    gene_names: GeneNames = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    r"""Draw -log10 p-values over log fold changes. Which genes change, by how much, and how certain is that?

    Genes called at ``adj_p_value < level`` are coloured and counted below the Axes. The caption counts the genes that are
    drawn and those that are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the columns ``log_fc``, ``p_value`` and
        ``adj_p_value``. It is not changed.
    level
        False discovery rate, in (0, 1).
    label
        Number of genes to name, the most significant of those called; or the genes to name, by the index of ``de``.
    gene_names
        Names of the genes: a column of ``de``, or names by gene such as ``adata.var["symbol"]``. By default the
        column ``symbol`` if ``de`` has one, else the index. A gene without a name keeps that of the index.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Log fold changes are in log base 2. A p-value below 1e-300, which has lost digits, is drawn at the value
    that follows from the column ``stat``, :math:`2 \Phi(-|stat|)`; a p-value of 0 without ``stat`` is a triangle at the
    upper edge, counted in the caption.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``de`` is not a table or lacks a column or a gene to name, a number is out of range, a p-value lies outside [0, 1],
        or no gene has finite values.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame(
    ...     {"log_fc": [2.0, -1.0, 0.1], "p_value": [1e-9, 1e-4, 0.5], "adj_p_value": [3e-9, 1.5e-4, 0.5]},
    ...     index=["FKBP5", "VCAM1", "ACTB"],
    ... )
    >>> ax = bv.pl.volcano(de)  # in practice the table of model.differential_expression
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['1 down', '1 up']
    """
    values = np.vstack([table_values(de, [LOG_FC]), checked_p_values(de)])
    called = called_genes(de, level)
    drawn = finite_genes(values, [LOG_FC, P_VALUE])
    x, p_value = values
    height = minus_log10(p_value, table_values(de, [STAT])[0] if STAT in de else None)
    order = order_by_significance(de)
    chosen = select_labelled(de, label, order[(drawn & called)[order]], "de")
    chosen = chosen[drawn[chosen]]
    names = display_names(de, chosen, gene_names, "de")
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(1, title=True) + 0.4)
    beyond = drawn & np.isinf(height)
    inside = drawn & ~beyond
    edge = 1.04 * max(height[inside].max(initial=0), 1.0)
    y = np.minimum(height, edge)
    parts = split_calls(np.where(drawn, x, np.nan), called & drawn)
    draw_calls(ax, x, y, [at & inside for at in parts])
    for at, colour in zip(parts, (NOT_CALLED, DOWN, UP), strict=True):
        if (at & beyond).any():
            ax.scatter(x[at & beyond], y[at & beyond], s=14, marker="^", color=colour, linewidths=0)
    # room for names of the outermost genes, and above a row of triangles
    reach = (1.2 if chosen.size else 1.06) * (np.abs(x[drawn]).max() or 1.0)
    top = 1.25 if chosen.size and beyond.any() else 1.08
    ax.set(xlim=(-reach, reach), ylim=(-0.02 * edge, top * edge))
    ax.set(xlabel="Log2 fold change", ylabel="-log10 p-value")
    explain_calls(ax, parts, level)
    ax.axvline(0, color="0.8", linewidth=0.6, zorder=0)
    at_edge = [f"{beyond.sum():,} with p = 0, at the edge"] if beyond.any() else []
    write_caption(ax, name_contrast(de) + count_genes(len(de), int(drawn.sum()), *at_edge))
    write_names(ax, x[chosen], y[chosen], names)
    return finish(ax, show=show, save=save)
