from collections.abc import Sequence
from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi.gene_order import order_by_significance
from bulkvi.names import ADJ_P_VALUE, LOG_FC, LOG_FC_HIGH, LOG_FC_LOW, P_VALUE, SIZE_FACTOR, SYMBOL
from bulkvi.pl._counts import find_gene, normalised, symbol_of
from bulkvi.pl._figure import finish, new_axes, set_height
from bulkvi.pl._gene_table import (
    DOWN,
    UP,
    GeneNames,
    called_genes,
    check_in_index,
    check_limit,
    count_or_names,
    display_names,
    table_values,
)
from bulkvi.pl._strips import (
    GAP,
    LINE,
    PAD,
    PER_NAME,
    axes_above,
    axes_at_right,
    colour_columns,
    draw_cells,
    draw_legends,
    draw_strips,
    sort_samples,
)
from bulkvi.pl._text import plain, set_fonts, width_in_points

ROW: Final = 0.11  # height of a gene, inches
BAR: Final = 0.07  # height of the colour bar, inches
ABOVE: Final = 0.4  # height of the colour bar with its labels and margins, inches
TYPICAL: Final = 95  # percentile of the absolute values at which the colours end
PANEL_LABELS: Final = 30.0  # height of the labels below the fold changes, points
PANEL: Final = 0.6  # width of the panel of fold changes, inches


def heatmap(
    adata: AnnData,
    de: pd.DataFrame,
    *,
    genes: int | Sequence[str] = 30,
    color: str | Sequence[str] | None = None,
    level: float = 0.05,
    gene_names: GeneNames = None,
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
    """Draw the counts of the top genes in each sample, with their fold changes. Do all samples of a group agree?

    A cell is log2(1 + count / size factor) minus the gene's mean over the samples: red is above the mean of the gene, blue
    below. At the right are the log2 fold changes with their intervals. The genes are chosen by the difference that is drawn:
    a heat map of top genes shows a difference even in pure noise, and is no independent evidence.

    Parameters
    ----------
    adata
        Samples x genes with counts and size factors, in memory, in dask arrays or in a file. It is not changed.
    de
        Table of ``model.differential_expression``, with the genes in its index. It is not changed.
    genes
        Number of genes, the most significant of those called at ``adj_p_value < level``, sorted by fold change; or the
        genes from top to bottom, as names in ``var_names`` or symbols in ``var["symbol"]``.
    color
        Columns of ``obs`` to show as strips of colour above the samples, in the colours of :func:`~bulkvi.pl.latent`. The
        samples are sorted by the first column, then by the second, and else as in ``adata``. Colours repeat after 8 levels.
    level
        False discovery rate, in (0, 1).
    gene_names
        Names of the genes: a column of ``de``, or names by gene. By default the column ``symbol`` of ``de`` or of
        ``adata.var``, else the names in ``var_names``.
    effects
        Whether to draw the fold changes, from the columns ``log_fc``, ``log_fc_low`` and ``log_fc_high`` of ``de``.
    limit
        Largest absolute value of the colour scale, log2; by default 95 % of the cells are within. Cells beyond have the
        last colour.
    size_factor_key, layer, offset_key
        Column of ``obs`` with the size factors, layers with counts and offsets, as in :func:`~bulkvi.pl.gene`.
    label
        Whether to write the names of the samples; by default if there is room.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes of the heat map.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such gene, column or layer, no gene is called or given, a number is out of range, a size factor or an
        offset is not positive, or a count is negative or not finite.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.size_factors(adata)
    >>> de = pd.DataFrame(
    ...     {"log_fc": [3.8, -3.4], "log_fc_low": [3.4, -3.8], "log_fc_high": [4.2, -3.0]},
    ...     index=["ENSG00000096060", "ENSG00000162692"],
    ... )  # in practice the table of model.differential_expression
    >>> ax = bv.pl.heatmap(adata, de, genes=["FKBP5", "VCAM1"], color=["dex", "cell"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['FKBP5', 'VCAM1']
    """
    check_limit(limit)
    changes = table_values(de, [LOG_FC, LOG_FC_LOW, LOG_FC_HIGH] if effects else [])
    colourings = colour_columns(adata, color)
    at, rows = _choose(adata, de, genes, level)
    values = np.log2(1 + normalised(adata, at, size_factor_key=size_factor_key, layer=layer, offset_key=offset_key)).T
    values -= values.mean(1, keepdims=True)
    order = sort_samples(colourings, adata.n_obs)
    by_symbol = gene_names is None and SYMBOL not in de
    names = [symbol_of(adata, gene) for gene in at] if by_symbol else display_names(de, rows, gene_names, "de")
    bound = float(limit or np.percentile(np.abs(values), TYPICAL) or 1.0)
    is_new = ax is None
    ax = new_axes(height=1.0 + ROW * len(names)) if ax is None else ax
    cells = draw_cells(ax, values[:, order], cmap="RdBu_r", limits=(-bound, bound))
    ax.set_yticks(range(len(names)), [plain(name) for name in names], fontsize="x-small")
    set_fonts(ax.get_yticklabels())
    used = draw_strips(ax, colourings, order)
    bar = axes_above(ax, 0, used + 0.1, 0.4, BAR)
    extend = "both" if (np.abs(values) > bound).any() else "neither"
    ax.figure.colorbar(cells, cax=bar, orientation="horizontal", extend=extend, extendfrac=0.08)
    bar.xaxis.set_ticks_position("top")
    bar.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10], symmetric=True))
    bar.tick_params(labelsize="x-small", length=2, pad=1)
    bar.text(1.15, 0.5, "log2 count minus\ngene's mean", transform=bar.transAxes, fontsize="x-small", va="center")
    if effects:
        _draw_effects(ax, changes[:, rows])
    below = _name_samples(ax, [plain(name) for name in adata.obs_names[order]], label=label)
    below = max(below, PANEL_LABELS) if effects else below
    width = width_in_points(ax) + (72 * (GAP + PANEL) if effects else 0)
    below = draw_legends(ax, colourings, below=below, width=width)
    if is_new:
        set_height(ax, ROW * len(names) + used + ABOVE + below / 72)
    return finish(ax, show=show, save=save)


def _choose(
    adata: AnnData, de: pd.DataFrame, genes: int | Sequence[str], level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the genes in ``var``, and their rows in the table, from top to bottom."""
    wanted = count_or_names("genes", genes, least=1)
    if isinstance(wanted, int):
        effect = table_values(de, [P_VALUE, LOG_FC])[1]
        called = called_genes(de, level) & np.isfinite(effect)
        if not called.any():
            raise ValueError(
                f"no gene has {ADJ_P_VALUE} < {level:g}: name the genes in `genes`, or give a larger `level`."
            )
        order = order_by_significance(de)
        top = order[called[order]][:wanted]
        rows = top[np.argsort(-effect[top], kind="stable")]
        return np.array([find_gene(adata, gene) for gene in de.index[rows]]), rows
    if not wanted:
        raise ValueError("`genes` is empty: name at least one gene, or give a number.")
    at = np.array([find_gene(adata, gene) for gene in wanted])
    check_in_index(de, adata.var_names[at], "de")
    return at, de.index.get_indexer(adata.var_names[at])


def _draw_effects(ax: Axes, effects: np.ndarray) -> None:
    """Draw fold changes with their intervals at the right of the heat map, in the colours of up and down."""
    panel = axes_at_right(ax, GAP, PANEL)
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
    """Write the names of the samples below an Axes if there is room, else their number; return the height, points."""
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.draw_without_rendering()  # gives the Axes its final width
    label = PER_NAME * len(names) <= width_in_points(ax) if label is None else label
    ax.tick_params(length=0)
    if not label:
        ax.set_xticks([])
        ax.set_xlabel(f"{len(names):,} samples", fontsize="small")
        return LINE
    ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
    set_fonts(ax.get_xticklabels())
    longest = max(one.get_window_extent().height for one in ax.get_xticklabels())
    return float(72 * longest / ax.figure.dpi) + PAD
