from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi.arguments import check_number
from bulkvi.gene_order import order_by_significance
from bulkvi.names import ADJ_P_VALUE, LOG_FC, LOG_FC_HIGH, LOG_FC_LOW, P_VALUE, SIZE_FACTOR
from bulkvi.pl._annotation import (
    GAP,
    LINE,
    PAD,
    above,
    beside,
    colour_columns,
    draw_cells,
    draw_legends,
    draw_strips,
    have_room,
    sort_samples,
)
from bulkvi.pl._axes import new_axes, width_in_points
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_names import names_of
from bulkvi.pl._gene_points import DOWN, UP, called_genes, check_columns, table_values
from bulkvi.pl._normalised import find_gene, normalised, symbol_of
from bulkvi.pl._text import plain, set_fonts

ROW: Final = 0.11
"""Height of a gene, inches."""
BAR: Final = 0.07
"""Height of the colour bar, inches."""
ABOVE: Final = 0.4
"""Height of the colour bar with its labels and margins, inches."""
TYPICAL: Final = 95
"""Percentile of the absolute values at which the colours end."""
PANEL_LABELS: Final = 30.0
"""Height of what stands below the fold changes, points."""
PANEL: Final = 0.6
"""Width of the fold changes, inches."""


def heatmap(
    adata: AnnData,
    de: pd.DataFrame,
    *,
    genes: int | Sequence[str] = 30,
    color: str | Sequence[str] | None = None,
    level: float = 0.05,
    gene_names: str | Mapping[str, str] | pd.Series | None = None,
    effects: bool = True,
    limit: float | None = None,
    size_factor_key: str = SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    label: bool | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Do all samples of a group bear out the top genes? Draw their counts in each sample, and the fold changes beside them.

    A cell is log2(1 + count / size factor) minus the gene's mean over the samples, so that red is more than the gene's mean
    and blue less. Beside the genes stand their log2 fold changes with intervals. What is drawn is what genes were chosen
    for: a heat map of top genes shows a difference even where there is none but noise, and is no evidence of its own.

    Parameters
    ----------
    adata
        Samples x genes with counts and, in ``obs``, size factors; dense, sparse, dask, or backed by a file. It is not
        changed.
    de
        Table of ``model.differential_expression``, with the genes in its index. It is not changed.
    genes
        How many genes: the most significant of those called at ``adj_p_value < level``, from the one most up to the one
        most down. Or the genes themselves, names in ``var_names`` or symbols in ``var["symbol"]``, from top to bottom.
    color
        Columns of ``obs`` to show as strips of colour above the samples, in the colours of :func:`~bulkvi.pl.latent`. They
        say the order of the samples as well: by the first column, then by the second, and else as in ``adata``. Colours
        repeat after 8 levels.
    level
        False discovery rate, in (0, 1).
    gene_names
        What to call the genes: a column of ``de``, or names by gene. By default the column ``symbol`` of ``de`` or of
        ``adata.var``, else the names of the genes.
    effects
        Whether to draw the fold changes, from the columns ``log_fc``, ``log_fc_low`` and ``log_fc_high`` of ``de``.
    limit
        Where the colours end, log2; by default where 95 % of the cells lie within. Cells beyond have the last colour.
    size_factor_key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    offset_key
        Layer with a factor for each count, as in :func:`~bulkvi.pl.gene`; None for none.
    label
        Whether to write the names of the samples; by default if they have room.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches), as high as the genes need.
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes of the heat map.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData, or ``de`` not a table.
    KeyError
        If there is no such gene, column or layer.
    ValueError
        If no gene is called or given, a number is out of range, a size factor or an offset is not positive, or a count is
        negative or not finite.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.size_factors(adata)
    >>> de = pd.DataFrame(
    ...     {"log_fc": [3.8, -3.4], "log_fc_low": [3.4, -3.8], "log_fc_high": [4.2, -3.0]},
    ...     index=["ENSG00000096060", "ENSG00000162692"],
    ... )  # in real life the table that model.differential_expression gives
    >>> ax = bv.pl.heatmap(adata, de, genes=["FKBP5", "VCAM1"], color=["dex", "cell"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['FKBP5', 'VCAM1']
    """
    if limit is not None:
        check_number("limit", limit)
    if limit is not None and not limit > 0:
        raise ValueError(f"`limit` must be > 0 (log2); it is {limit}.")
    check_columns(de, [LOG_FC, LOG_FC_LOW, LOG_FC_HIGH] if effects else [])
    colourings = colour_columns(adata, color)
    at, rows = _choose(adata, de, genes, level)
    values = np.log2(1 + normalised(adata, at, size_factor_key=size_factor_key, layer=layer, offset_key=offset_key)).T
    values -= values.mean(1, keepdims=True)
    order = sort_samples(colourings, adata.n_obs)
    if gene_names is None and "symbol" not in de:
        names = [symbol_of(adata, position) for position in at]
    else:
        names = names_of(de, rows, gene_names, "de")
    bound = float(limit or np.percentile(np.abs(values), TYPICAL) or 1.0)
    made = ax is None
    ax = new_axes(height=1.0 + ROW * len(names)) if ax is None else ax
    cells = draw_cells(ax, values[:, order], cmap="RdBu_r", limits=(-bound, bound))
    ax.set_yticks(range(len(names)), [plain(name) for name in names], fontsize="x-small")
    set_fonts(ax.get_yticklabels())
    used = draw_strips(ax, colourings, order)
    bar = above(ax, 0, used + 0.1, 0.4, BAR)
    beyond = bool((np.abs(values) > bound).any())
    ax.figure.colorbar(
        cells, cax=bar, orientation="horizontal", extend="both" if beyond else "neither", extendfrac=0.08
    )
    bar.xaxis.set_ticks_position("top")
    bar.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10], symmetric=True))
    bar.tick_params(labelsize="x-small", length=2, pad=1)
    bar.text(1.15, 0.5, "log2 count, gene's\nmean taken off", transform=bar.transAxes, fontsize="x-small", va="center")
    if effects:
        _draw_effects(ax, table_values(de, [LOG_FC, LOG_FC_LOW, LOG_FC_HIGH])[:, rows])
    below = _name_samples(ax, [plain(name) for name in adata.obs_names[order]], label=label)
    below = max(below, PANEL_LABELS) if effects else below
    width = width_in_points(ax) + (72 * (GAP + PANEL) if effects else 0)
    below = draw_legends(ax, colourings, below=below, width=width)
    figure = ax.get_figure(root=True)
    if made and figure is not None:
        figure.set_figheight(ROW * len(names) + used + ABOVE + below / 72)
    return finish(ax, show=show, save=save)


def _choose(
    adata: AnnData, de: pd.DataFrame, genes: int | Sequence[str], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the genes in ``var``, and their rows in the table, from top to bottom."""
    if isinstance(genes, bool | float | np.floating):
        raise TypeError(f"`genes` is a number of genes, 1 or more, or the genes themselves; it is {genes!r}.")
    if isinstance(genes, int | np.integer):
        if genes < 1:
            raise ValueError(f"`genes` is a number of genes, 1 or more, or the genes themselves; it is {genes}.")
        effect = table_values(de, [P_VALUE, LOG_FC])[1]
        called = called_genes(de, level) & np.isfinite(effect)
        if not called.any():
            raise ValueError(
                f"no gene has {ADJ_P_VALUE} < {level:g}: there are no top genes to draw. Name the genes in `genes`, or "
                "give a larger `level`."
            )
        order = order_by_significance(de)
        top = order[called[order]][:genes]
        rows = top[np.argsort(-effect[top], kind="stable")]
        return np.array([find_gene(adata, gene) for gene in de.index[rows]]), rows
    wanted = [genes] if isinstance(genes, str) else list(genes)
    if not wanted:
        raise ValueError("`genes` is empty: name at least one gene, or say how many.")
    at = np.array([find_gene(adata, gene) for gene in wanted])
    rows = de.index.get_indexer(adata.var_names[at])
    absent = [gene for gene, row in zip(wanted, rows, strict=True) if row < 0]
    if absent:
        raise KeyError(f"genes to draw are not in the index of `de`: {absent[:5]}; it holds {list(de.index[:3])} ...")
    return at, rows


def _draw_effects(ax: Axes, effects: np.ndarray) -> None:
    """Fold changes with their intervals at the right of the heat map, in the colours of up and down."""
    panel = beside(ax, GAP, PANEL)
    places = np.arange(effects.shape[1])
    for at, colour in ((effects[0] < 0, DOWN), (effects[0] >= 0, UP)):
        middle, low, high = effects[:, at]
        panel.hlines(places[at], low, high, color=colour, linewidth=0.8)
        panel.scatter(middle, places[at], color=colour, s=5, linewidths=0)
    panel.axvline(0, color="0.6", linewidth=0.6, zorder=0)
    panel.tick_params(axis="y", left=False, labelleft=False)
    panel.tick_params(axis="x", labelsize="x-small", length=2, pad=1)
    panel.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    panel.set_xlabel("log2 fold\nchange", fontsize="x-small", labelpad=1)
    for side in ("top", "right", "left"):
        panel.spines[side].set_visible(False)


def _name_samples(ax: Axes, names: Sequence[str], *, label: bool | None) -> float:
    """Write the names of the samples below an Axes if they have room, else their number; points that this needs."""
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.draw_without_rendering()  # gives the Axes its final width
    label = have_room(names, width_in_points(ax)) if label is None else label
    ax.tick_params(length=0)
    if not label:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(names):,} samples", fontsize="small")
        return LINE
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
    set_fonts(ax.get_xticklabels())
    longest = max(one.get_window_extent().height for one in ax.get_xticklabels())
    return float(72 * longest / ax.figure.dpi) + PAD
