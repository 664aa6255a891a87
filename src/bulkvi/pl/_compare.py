from collections.abc import Sequence
from os import PathLike
from typing import Final, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi import comparison_names as cn
from bulkvi.pl._figure import (
    OKABE_ITO,
    draw_agreement,
    finish,
    legend_below,
    legend_height,
    legend_marker,
    new_axes,
    one_or_two_columns,
    set_height,
    set_square,
)
from bulkvi.pl._gene_table import (
    GeneNames,
    axis_reach,
    check_limit,
    count_beyond,
    count_genes,
    display_names,
    finite_genes,
    points_look,
    select_labelled,
    table_values,
)
from bulkvi.pl._text import plain, set_fonts, write_caption, write_names

ORIGIN: Final = ("comparison.table", "bulkvi.tl.compare()")
LOOKS: Final = {
    # the last are drawn over the others
    cn.NEITHER: ("0.75", "o", "none"),
    cn.NA_OTHER: (OKABE_ITO[5], "s", "NA in {other}"),
    cn.NA_HERE: (OKABE_ITO[6], "s", "NA in {here}"),
    cn.NA_BOTH: ("0.5", "s", "NA in both"),
    cn.BOTH: (OKABE_ITO[0], "o", "both"),
    cn.ONLY_OTHER: (OKABE_ITO[2], "v", "{other} only"),
    cn.ONLY_HERE: (OKABE_ITO[1], "^", "{here} only"),
    cn.EFFECT_DIFFERS: (OKABE_ITO[4], "D", "effects differ"),
    cn.OPPOSITE: (OKABE_ITO[3], "X", "both, opposite signs"),
}
"""Colour, marker and words of each class with effects in both tables."""
DISAGREE: Final = (cn.ONLY_HERE, cn.ONLY_OTHER, cn.OPPOSITE, cn.EFFECT_DIFFERS)
HEIGHT: Final = 3.2


class Compared(Protocol):
    """Result of ``bulkvi.tl.compare``."""

    @property
    def labels(self) -> tuple[str, str]:
        """Names of the two tables."""

    @property
    def level(self) -> float:
        """False discovery rate at which genes are called."""

    @property
    def column(self) -> str:
        """Which effects are compared."""

    @property
    def table(self) -> pd.DataFrame:
        """A row for each gene."""

    @property
    def concordance(self) -> pd.Series:
        """Measures of agreement."""


def compare(
    comparison: Compared,
    *,
    label: int | Sequence[str] = 5,
    gene_names: GeneNames = None,
    limit: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the effects of one table over those of the other. Where do they agree, and for which genes do they differ?

    Both axes have the same limits; on the grey line the two agree. Colours and markers are the classes of
    :func:`bulkvi.tl.compare`, explained and counted below the Axes. The caption gives the concordance and the number of genes.

    Parameters
    ----------
    comparison
        Result of :func:`bulkvi.tl.compare`. It is not changed.
    label
        Number of genes to name, those with the most different effects where the tables disagree; or the genes to name, by
        the index of ``comparison.table``.
    gene_names
        Names of the genes: a column of ``comparison.table``, or names by gene such as ``adata.var["symbol"]``. By default
        the column ``symbol`` if there is one, else the index. A gene without a name keeps that of the index.
    limit
        Largest absolute log2 fold change on the axes: genes beyond it are drawn at the edge, and counted in the caption. By
        default the axes hold all genes.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes: the effects of the second table on the x axis, those of the first on the y axis, log base 2.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``comparison`` is not a result of :func:`bulkvi.tl.compare`, a gene to name or ``gene_names`` is not in its table,
        ``label`` or ``limit`` is out of range, or no gene has both effects.

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
    check_limit(limit)
    table = comparison.table
    columns = [comparison.column + cn.OTHER, comparison.column]
    values = table_values(table, columns, ORIGIN)
    drawn = finite_genes(values, columns)
    classes = table[cn.CLASS].to_numpy(dtype=object)
    bound = axis_reach(values[:, drawn], limit)
    difference = np.where(drawn & np.isin(classes, DISAGREE), np.abs(values[1] - values[0]), -1.0)
    ranked = np.argsort(-difference, kind="stable")
    chosen = select_labelled(table, label, ranked[difference[ranked] >= 0], "comparison.table")
    chosen = chosen[drawn[chosen]]
    names = display_names(table, chosen, gene_names, "comparison.table")
    parts = {one: drawn & (classes == one) for one in LOOKS}
    parts = {one: at for one, at in parts.items() if at.any()}
    here, other = map(plain, comparison.labels)
    texts = {one: f"{LOOKS[one][2].format(here=here, other=other)}: {at.sum():,}" for one, at in parts.items()}
    is_new = ax is None
    ax = new_axes(height=HEIGHT) if ax is None else ax
    n_columns = one_or_two_columns(ax, list(texts.values()))
    if is_new:
        set_height(ax, HEIGHT + legend_height(len(parts), n_columns, title=True))
    x, y = values.clip(-bound, bound)
    look = points_look(int(drawn.sum()))
    handles = []
    for one, at in parts.items():
        colour, marker, _ = LOOKS[one]
        larger = {"s": 3 * look["s"], "alpha": 0.7} if one in DISAGREE else {}
        ax.scatter(x[at], y[at], color=colour, marker=marker, **(look | larger))
        handles.append(legend_marker(colour, texts[one], marker=marker))
    draw_agreement(ax)
    set_square(ax, (1.15 if chosen.size else 1.06) * bound)
    ax.set(xlabel=f"Log2 fold change, {other}", ylabel=f"Log2 fold change, {here}")
    set_fonts([ax.xaxis.label, ax.yaxis.label])
    legend_below(ax, handles, ncols=n_columns, title=f"Called at {comparison.level:g} by")
    beyond = count_beyond(drawn & (np.abs(values) > bound).any(0), limit)
    write_caption(ax, [*_agreement(comparison.concordance), *count_genes(len(table), int(drawn.sum()), *beyond)])
    write_names(ax, x[chosen], y[chosen], names)
    return finish(ax, show=show, save=save)


def check_compared(comparison: Compared) -> None:
    """Raise TypeError for anything but a result of ``bulkvi.tl.compare``."""
    if not all(hasattr(comparison, name) for name in ("labels", "level", "column", "table", "concordance")):
        raise TypeError(f"`comparison` must be a result of bulkvi.tl.compare, not {type(comparison).__name__}.")


def _agreement(values: pd.Series) -> list[str]:
    """Known measures of agreement, for the caption."""
    words = {cn.PEARSON: "Pearson", cn.SLOPE: "slope", cn.JACCARD: "Jaccard of calls"}
    return [f"{word} {values[name]:.2f}" for name, word in words.items() if np.isfinite(values[name])]
