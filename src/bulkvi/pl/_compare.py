import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bulkvi import comparison_names as cn
from bulkvi.arguments import check_number
from bulkvi.pl._axes import OKABE_ITO, legend_height, new_axes
from bulkvi.pl._compared import Compared, check_compared
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_names import chosen_genes, names_of, write_names
from bulkvi.pl._gene_points import (
    columns_that_fit,
    count_genes,
    finite_genes,
    legend_beneath,
    points_look,
    say_above,
    table_values,
)
from bulkvi.pl._text import plain, set_fonts

LOOKS: Final = {
    # those that are drawn over others stand last
    cn.NEITHER: ("0.75", "o"),
    cn.NA_OTHER: (OKABE_ITO[5], "s"),
    cn.NA_HERE: (OKABE_ITO[6], "s"),
    cn.NA_BOTH: ("0.5", "s"),
    cn.BOTH: (OKABE_ITO[0], "o"),
    cn.ONLY_OTHER: (OKABE_ITO[2], "v"),
    cn.ONLY_HERE: (OKABE_ITO[1], "^"),
    cn.EFFECT_DIFFERS: (OKABE_ITO[4], "D"),
    cn.OPPOSITE: (OKABE_ITO[3], "X"),
}
"""Colour and marker of each class that has effects in both tables."""

DISAGREE: Final = (cn.ONLY_HERE, cn.ONLY_OTHER, cn.OPPOSITE, cn.EFFECT_DIFFERS)


def compare(
    comparison: Compared,
    *,
    label: int | Sequence[str] = 5,
    gene_names: str | Mapping[str, str] | pd.Series | None = None,
    limit: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Where do two tables agree, and which genes do they see differently? Draw the effects of one over the other's.

    Both axes have the same limits; the grey line is where the two agree. Colours and markers are the classes of
    :func:`bulkvi.tl.compare`, explained and counted below the Axes; above it stand the concordance, and how many genes are
    drawn.

    Parameters
    ----------
    comparison
        What :func:`bulkvi.tl.compare` returned. It is not changed.
    label
        How many genes to name, those whose effects are furthest apart where the tables disagree; or the genes to name, as in
        the index of ``comparison.table``.
    gene_names
        What to call the genes: a column of ``comparison.table``, or names by gene such as ``adata.var["symbol"]``. By default
        the column ``symbol`` if there is one, else the index. A gene without a name keeps that of the index.
    limit
        Largest absolute log2 fold change on the axes: genes beyond it are drawn at the edge, and counted above the Axes. By
        default the axes hold all genes.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes: the other table's effects from left to right, ours upwards, log base 2.

    Raises
    ------
    TypeError
        If ``comparison`` is not what :func:`bulkvi.tl.compare` returns.
    KeyError
        If a gene to name is not in the table, or ``gene_names`` is no column of it.
    ValueError
        If ``label`` or ``limit`` is out of range, or no gene has both effects.

    Examples
    --------
    >>> import bulkvi as bv
    >>> genes = ["FKBP5", "VCAM1", "ACTB"]
    >>> ours = pd.DataFrame(
    ...     {"log_fc": [2.0, -1.0, 0.1], "p_value": [1e-9, 1e-4, 0.5], "adj_p_value": [1e-9, 2e-4, 0.5]}, genes
    ... )
    >>> theirs = pd.DataFrame({"logFC": [2.2, -1.1, 0.2], "PValue": [1e-8, 0.2, 0.4], "FDR": [3e-8, 0.3, 0.4]}, genes)
    >>> ax = bv.pl.compare(bv.tl.compare(ours, theirs))
    >>> ax.get_xlabel(), [text.get_text() for text in ax.get_legend().texts]
    ('Log2 fold change, edgeR', ['none: 1', 'both: 1', 'bulkvi only: 1'])
    """
    check_compared(comparison)
    if limit is not None:
        check_number("limit", limit)
    if limit is not None and not limit > 0:
        raise ValueError(f"`limit` must be > 0 (log2); it is {limit}.")
    table = comparison.table
    columns = [comparison.column + cn.OTHER, comparison.column]
    origin = ("comparison.table", "bulkvi.tl.compare()")
    values = table_values(table, columns, origin)
    drawn = finite_genes(values, columns)
    classes = table[cn.CLASS].to_numpy(dtype=object)
    bound = (float(np.abs(values[:, drawn]).max()) or 1.0) if limit is None else float(limit)
    outside = drawn & (np.abs(values) > bound).any(0)
    apart = np.where(drawn & np.isin(classes, DISAGREE), np.abs(values[1] - values[0]), -1.0)
    ranked = np.argsort(-apart, kind="stable")
    chosen = chosen_genes(table, label, ranked[apart[ranked] >= 0], "comparison.table")
    chosen = chosen[drawn[chosen]]
    names = names_of(table, chosen, gene_names, "comparison.table")
    parts = {one: drawn & (classes == one) for one in LOOKS}
    parts = {one: at for one, at in parts.items() if at.any()}
    here, other = map(plain, comparison.labels)
    short = _short_words((here, other))
    texts = {one: f"{short[one]}: {at.sum():,}" for one, at in parts.items()}
    made = ax is None
    ax = new_axes(height=3.2) if ax is None else ax
    n_columns = columns_that_fit(ax, list(texts.values()))
    figure = ax.get_figure(root=True)
    if made and figure is not None:
        figure.set_figheight(3.2 + legend_height(1 + math.ceil(len(parts) / n_columns)))
    x, y = values.clip(-bound, bound)
    look = points_look(int(drawn.sum()))
    handles = []
    for one, at in parts.items():
        colour, marker = LOOKS[one]
        larger = {"s": 3 * look["s"], "alpha": 0.7} if one in DISAGREE else {}
        ax.scatter(x[at], y[at], color=colour, marker=marker, **(look | larger))
        handles.append(_entry(colour, marker, texts[one]))
    ax.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
    for draw_zero in (ax.axhline, ax.axvline):
        draw_zero(0, color="0.8", linewidth=0.6, zorder=0)
    reach = (1.15 if chosen.size else 1.06) * bound
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel=f"Log2 fold change, {other}", ylabel=f"Log2 fold change, {here}")
    set_fonts([ax.xaxis.label, ax.yaxis.label])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    legend_beneath(ax, handles, ncols=n_columns, title=f"Called at {comparison.level:g} by")
    beyond = [f"{outside.sum():,} beyond ±{limit:g}"] if outside.any() else []
    say_above(ax, [*_concordance(comparison.concordance), *count_genes(len(table), int(drawn.sum()), *beyond)])
    write_names(ax, x[chosen], y[chosen], names)
    return finish(ax, show=show, save=save)


def _short_words(labels: tuple[str, str]) -> dict[str, str]:
    here, other = labels
    return {
        cn.NEITHER: "none",
        cn.BOTH: "both",
        cn.NA_OTHER: f"NA in {other}",
        cn.NA_HERE: f"NA in {here}",
        cn.NA_BOTH: "NA in both",
        cn.ONLY_OTHER: f"{other} only",
        cn.ONLY_HERE: f"{here} only",
        cn.EFFECT_DIFFERS: "effects differ",
        cn.OPPOSITE: "both, opposite signs",
    }


def _entry(colour: str, marker: str, text: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=marker, markersize=5, markeredgewidth=0, color=colour, label=text)


def _concordance(values: pd.Series) -> list[str]:
    """What is known of Pearson's correlation, the slope and the overlap of the calls."""
    words = {cn.PEARSON: "Pearson", cn.SLOPE: "slope", cn.JACCARD: "Jaccard of calls"}
    return [f"{word} {values[name]:.2f}" for name, word in words.items() if np.isfinite(values[name])]
