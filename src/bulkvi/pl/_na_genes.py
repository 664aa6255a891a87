import math
from os import PathLike
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bulkvi import comparison_names as cn
from bulkvi.arguments import check_number, check_whole
from bulkvi.pl._axes import AXES_HEIGHT, OKABE_ITO, legend_height, new_axes
from bulkvi.pl._compared import Compared, check_compared
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import columns_that_fit, count_genes, finite_genes, legend_beneath, say_above, table_values
from bulkvi.pl._text import plain, set_fonts

TESTED: Final = "0.75"
LOOKS: Final[tuple[tuple[str, Literal["-", "--", ":", "-."]], ...]] = (
    (OKABE_ITO[1], "-"),
    (OKABE_ITO[0], "--"),
    (OKABE_ITO[2], ":"),
    (OKABE_ITO[3], "-."),
    (OKABE_ITO[4], "-"),
    (OKABE_ITO[5], "--"),
)
"""Colour and line of the reasons, the most frequent first."""


def na_genes(
    comparison: Compared,
    *,
    n_bins: int = 50,
    limit: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """What about the genes that the other method leaves without an answer? Draw our effects of them, and of the others.

    Grey: genes that the other method tested. Lines: genes without an adjusted p-value or without a row there, by reason
    (:func:`bulkvi.tl.compare`). Heights are shares of each group, so that few genes can be seen beside many, on an axis that
    is even below one in a hundred and logarithmic above. Numbers stand below the Axes.

    Parameters
    ----------
    comparison
        What :func:`bulkvi.tl.compare` returned. It is not changed.
    n_bins
        Number of bars.
    limit
        Largest absolute log2 fold change on the axis; the outermost bars hold what lies beyond. By default the axis holds
        all genes.
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
        If ``comparison`` is not what :func:`bulkvi.tl.compare` returns.
    ValueError
        If ``n_bins`` or ``limit`` is out of range, or no gene has an effect of ours.

    Examples
    --------
    >>> import pandas as pd
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
    check_whole("n_bins", n_bins)
    if n_bins < 1:
        raise ValueError(f"`n_bins` must be at least 1; it is {n_bins}.")
    if limit is not None:
        check_number("limit", limit)
    if limit is not None and not limit > 0:
        raise ValueError(f"`limit` must be > 0 (log2); it is {limit}.")
    table = comparison.table
    values = table_values(table, [comparison.column], ("comparison.table", "bulkvi.tl.compare()"))
    drawn = finite_genes(values, [comparison.column])
    effect = values[0]
    left_out = drawn & table[cn.CLASS].isin([cn.NA_OTHER, cn.NA_BOTH, cn.ABSENT_OTHER]).to_numpy()
    tested = drawn & ~left_out
    reasons = table[cn.REASON][left_out].value_counts()
    groups = {reason: left_out & (table[cn.REASON] == reason).to_numpy() for reason in reasons.index}
    bound = (float(np.abs(effect[drawn]).max()) or 1.0) if limit is None else float(limit)
    texts = [f"{plain(reason)}: {at.sum():,}" for reason, at in groups.items()]
    made = ax is None
    ax = new_axes() if ax is None else ax
    n_columns = columns_that_fit(ax, [f"tested: {tested.sum():,}", *texts])
    figure = ax.get_figure(root=True)
    if made and figure is not None:
        figure.set_figheight(AXES_HEIGHT + legend_height(1 + math.ceil((1 + len(groups)) / n_columns)))
    edges = np.linspace(-bound, bound, n_bins + 1)
    handles: list[Patch] = []
    if tested.any():
        ax.stairs(_shares(effect[tested], edges), edges, fill=True, color=TESTED)
        handles.append(Patch(color=TESTED, label=f"tested: {tested.sum():,}"))
    for i, at in enumerate(groups.values()):
        colour, line = LOOKS[i % len(LOOKS)]
        ax.stairs(_shares(effect[at], edges), edges, color=colour, linestyle=line, linewidth=1.1)
        handles.append(Patch(facecolor="none", edgecolor=colour, linestyle=line, label=texts[i]))
    ax.axvline(0, color="0.4", linewidth=0.6, zorder=0)
    here, other = map(plain, comparison.labels)
    ax.set_yscale("symlog", linthresh=0.01, linscale=1)
    ax.set(
        xlim=(-1.02 * bound, 1.02 * bound),
        ylim=(0, 1.1),
        xlabel=f"Log2 fold change, {here}",
        ylabel="Share of the group",
    )
    set_fonts([ax.xaxis.label])
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend_beneath(ax, list(handles), title=f"In {other}", ncols=n_columns)
    beyond = (np.abs(effect[drawn]) > bound).sum()
    more = [f"{beyond:,} beyond ±{limit:g}"] if beyond else []
    say_above(ax, count_genes(len(table), int(drawn.sum()), *more))
    return finish(ax, show=show, save=save)


def _shares(effect: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of the genes in each bar, those beyond the edges in the outermost."""
    heights, _ = np.histogram(effect.clip(edges[0], edges[-1]), bins=edges)
    return heights / effect.size
