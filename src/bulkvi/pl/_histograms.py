from os import PathLike
from typing import Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from bulkvi import comparison_names as cn
from bulkvi.arguments import check_whole
from bulkvi.names import P_VALUE
from bulkvi.pl._compare import ORIGIN, Compared, check_compared
from bulkvi.pl._figure import (
    AXES_HEIGHT,
    OKABE_ITO,
    finish,
    legend_below,
    legend_height,
    new_axes,
    one_or_two_columns,
    set_height,
    set_round_ticks,
)
from bulkvi.pl._gene_table import (
    axis_reach,
    check_limit,
    checked_p_values,
    count_beyond,
    count_genes,
    finite_genes,
    name_contrast,
    table_values,
)
from bulkvi.pl._text import plain, set_fonts, write_caption

TESTED: Final = "0.75"
COLOURS: Final = tuple(OKABE_ITO[i] for i in (1, 0, 2, 3, 4, 5))  # of the reasons, the most frequent first
DASHES: Final[tuple[Literal["-", "--", ":", "-."], ...]] = ("-", "--", ":", "-.", "-", "--")


def p_values(
    de: pd.DataFrame,
    *,
    ax: Axes | None = None,
    n_bins: int = 20,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the histogram of p-values, with the height of every bar if no gene changes. Are the p-values trustworthy?

    Expect equal bars, and a peak at zero if there are genes that change. Bars that rise towards one, or a hump in the
    middle, are signs of variation that the model lacks, such as a hidden batch. The caption counts the genes that are
    drawn and those that are not.

    Parameters
    ----------
    de
        Table of ``model.differential_expression``: a row per gene, with the column ``p_value``. It is not changed.
    n_bins
        Number of bars.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``de`` is not a table or lacks the column, a p-value lies outside [0, 1] or none is known, or ``n_bins`` is below 1.

    Examples
    --------
    >>> import bulkvi as bv
    >>> de = pd.DataFrame({"p_value": [0.001, 0.02, 0.3, 0.7, 0.9]})
    >>> ax = bv.pl.p_values(de, n_bins=5)  # in practice the table of model.differential_expression
    >>> [int(bar.get_height()) for bar in ax.patches]
    [2, 1, 0, 1, 1]
    """
    check_whole("n_bins", n_bins, least=1)
    values = checked_p_values(de)
    p_value = values[finite_genes(values[None], [P_VALUE])]
    ax = new_axes(height=AXES_HEIGHT + legend_height(1)) if ax is None else ax
    ax.hist(p_value, bins=n_bins, range=(0, 1), color=OKABE_ITO[0], edgecolor="white", linewidth=0.4)
    expected = ax.axhline(
        p_value.size / n_bins, color=OKABE_ITO[1], linewidth=1.2, linestyle="--", label="expected if no gene changed"
    )
    ax.set(xlim=(0, 1), xlabel="p-value", ylabel="Genes")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    legend_below(ax, [expected])
    write_caption(ax, name_contrast(de) + count_genes(len(de), p_value.size))
    return finish(ax, show=show, save=save)


def na_genes(
    comparison: Compared,
    *,
    n_bins: int = 50,
    limit: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the effects of the genes for which the other method has no result, and of those for which it has one.

    Grey: genes that the other method tested. Lines: genes without an adjusted p-value or without a row there, by reason
    (:func:`bulkvi.tl.compare`). Heights are shares of each group, so that small groups are visible next to large ones, on an
    axis that is linear below 1 % and logarithmic above. The legend counts the genes.

    Parameters
    ----------
    comparison
        Result of :func:`bulkvi.tl.compare`. It is not changed.
    n_bins
        Number of bars.
    limit
        Largest absolute log2 fold change on the axis; the outermost bars hold the genes beyond. By default the axis holds
        all genes.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, ValueError
        If ``comparison`` is not a result of :func:`bulkvi.tl.compare`, a number is out of range, or no gene has an effect.

    Examples
    --------
    >>> import bulkvi as bv
    >>> genes = ["FKBP5", "VCAM1", "ACTB"]
    >>> ours = pd.DataFrame(
    ...     {"log_fc": [2.0, -1.0, 0.1], "p_value": [1e-9, 1e-4, 0.5], "adj_p_value": [1e-9, 2e-4, 0.5]}, genes
    ... )
    >>> theirs = pd.DataFrame(
    ...     {"log2FoldChange": [2.2, -1.1, 0.2], "pvalue": [1e-8, 0.2, 0.4], "padj": [3e-8, 0.3, None]}, genes
    ... )
    >>> ax = bv.pl.na_genes(bv.tl.compare(ours, theirs))
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['tested: 2', 'independent_filtering: 1']
    """
    check_compared(comparison)
    check_whole("n_bins", n_bins, least=1)
    check_limit(limit)
    table = comparison.table
    values = table_values(table, [comparison.column], ORIGIN)
    drawn = finite_genes(values, [comparison.column])
    effect = values[0]
    without = drawn & table[cn.CLASS].isin([cn.NA_OTHER, cn.NA_BOTH, cn.ABSENT_OTHER]).to_numpy()
    tested = drawn & ~without
    reasons = table[cn.REASON][without].value_counts()
    groups = {reason: without & (table[cn.REASON] == reason).to_numpy() for reason in reasons.index}
    bound = axis_reach(effect[drawn], limit)
    texts = [f"{plain(reason)}: {at.sum():,}" for reason, at in groups.items()]
    is_new = ax is None
    ax = new_axes() if ax is None else ax
    n_columns = one_or_two_columns(ax, [f"tested: {tested.sum():,}", *texts])
    if is_new:
        set_height(ax, AXES_HEIGHT + legend_height(1 + len(groups), n_columns, title=True))
    edges = np.linspace(-bound, bound, n_bins + 1)
    handles: list[Patch] = []
    if tested.any():
        ax.stairs(_shares(effect[tested], edges), edges, fill=True, color=TESTED)
        handles.append(Patch(color=TESTED, label=f"tested: {tested.sum():,}"))
    for i, at in enumerate(groups.values()):
        colour, line = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        ax.stairs(_shares(effect[at], edges), edges, color=colour, linestyle=line, linewidth=1.1)
        handles.append(Patch(facecolor="none", edgecolor=colour, linestyle=line, label=texts[i]))
    ax.axvline(0, color="0.4", linewidth=0.6, zorder=0)
    here, other = map(plain, comparison.labels)
    ax.set_yscale("symlog", linthresh=0.01, linscale=1)
    ax.set(xlim=(-1.02 * bound, 1.02 * bound), ylim=(0, 1.1))
    ax.set(xlabel=f"Log2 fold change, {here}", ylabel="Share of the group")
    set_fonts([ax.xaxis.label])
    set_round_ticks(ax.xaxis)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_below(ax, handles, title=f"In {other}", ncols=n_columns)
    beyond = count_beyond(drawn & (np.abs(effect) > bound), limit)
    write_caption(ax, count_genes(len(table), int(drawn.sum()), *beyond))
    return finish(ax, show=show, save=save)


def _shares(effect: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the genes in each bar; the outermost bars hold those beyond the edges."""
    heights, _ = np.histogram(effect.clip(edges[0], edges[-1]), bins=edges)
    return heights / effect.size
