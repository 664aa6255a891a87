from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi.names import SIZE_FACTOR
from bulkvi.pl._axes import (
    AXES_HEIGHT,
    GROUP_COLOURS,
    MARKERS,
    MAX_LEVELS,
    MAX_VECTOR_POINTS,
    SMALL,
    check_column,
    colour_samples,
    legend_height,
    new_axes,
    text_width,
    width_in_points,
)
from bulkvi.pl._counts_axis import expm1, gene_title, log1p, set_count_ticks
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import legend_beneath, say_above
from bulkvi.pl._gene_strata import (
    NAMED_RATE,
    draw_stratum_rates,
    legend_rows,
    rates_by_level,
    strata_legend,
    strata_of,
)
from bulkvi.pl._normalised import check_size_factors, find_gene, normalised
from bulkvi.pl._text import plain, set_fonts

BESIDE: Final = 0.3
"""How far right of the samples the rate stands, in groups."""
SPREAD: Final = 0.25
"""Width over which samples of a group are spread, in groups."""
GOLDEN: Final = 0.618
"""Steps of this length modulo one fill an interval evenly, however many there are."""
SLANT: Final = 40
"""Angle of group names that have no room side by side, degrees."""


def gene(
    adata: AnnData,
    gene: str,
    groupby: str,
    *,
    rates: pd.DataFrame | None = None,
    within: str | Sequence[str] | None = None,
    order: Sequence[Any] | None = None,
    size_factor_key: str = SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw count / size factor of each sample by group. Do the counts of a gene bear out what the table says?

    The axis is that of log(1 + x), so that zeros have their place. Samples are spread sideways by their order, which has
    no meaning. With ``rates`` the model's rate is drawn beside the samples of each group, with its credible interval. Rates
    ``within`` other columns are drawn beside the samples of each of their levels, those of a level joined by a line: a gene
    may have another level in each sex or cell line, and the fold change is then that within them.

    Parameters
    ----------
    adata
        Samples x genes with counts and, in ``obs``, size factors; dense, sparse, dask, or backed by a file. It is not
        changed.
    gene
        A name in ``var_names``, or a symbol that ``var["symbol"]`` holds once.
    groupby
        Column of ``obs``; its values are taken as levels. Samples without a value are not drawn, and counted above the
        Axes.
    rates
        Table of ``model.get_group_rates``: genes in its index (those of ``var_names``, several are allowed), a row for
        each group, and the columns ``group`` (a level of ``groupby``), ``rate``, ``rate_low`` and ``rate_high``, counts
        per unit size factor. Rates within other columns have a column ``stratum`` as well.
    within
        Columns of ``obs`` by whose levels the samples of a group are drawn apart; with up to 4 combinations of levels each has a
        marker. By default those that the rates were given within.
    order
        Levels that stand first, from the left, such as ``["untrt", "trt"]``: with the reference on the left, up looks like up.
        The others follow in the order of the categories, which is alphabetical for a column of text.
    size_factor_key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    offset_key
        Layer with a factor for each count, as in :meth:`bulkvi.BulkVI.setup_anndata`; counts are then divided by the
        gene's factor over its geometric mean as well. None for none.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Counts and rates are per unit size factor.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData, or ``rates`` not a table.
    KeyError
        If there is no such gene, column or layer, or ``rates`` has no row of the gene.
    ValueError
        If a symbol or name stands for several genes, a size factor or an offset is not positive, a count is negative or
        not finite, no sample has a group, ``order`` names what is no level, or the groups of ``rates`` are not levels of ``groupby``.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.size_factors(adata)
    >>> ax = bv.pl.gene(adata, "FKBP5", "dex")
    >>> ax.get_title(loc="left")
    'FKBP5 (ENSG00000096060)'
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['untrt', 'trt']
    """
    groups = check_column(adata, groupby).astype("category").cat.remove_unused_categories()
    check_size_factors(adata, size_factor_key)
    if groups.cat.categories.empty:
        raise ValueError(f"no sample has a value in adata.obs[{groupby!r}].")
    groups = _reordered(groups, order, groupby)
    levels = list(groups.cat.categories)
    position = find_gene(adata, gene)
    name = str(adata.var_names[position])
    strata = strata_of(adata, within, rates)
    by_level = None if rates is None else rates_by_level(rates, name, groupby, levels, strata)
    values = normalised(
        adata, np.array([position]), size_factor_key=size_factor_key, layer=layer, offset_key=offset_key
    )[:, 0]
    codes = groups.cat.codes.to_numpy()
    colours = _colours(adata, groupby, levels)
    drawn = codes >= 0
    made = ax is None
    ax = new_axes() if ax is None else ax
    ax.set_yscale("function", functions=(log1p, expm1))
    label_height = _name_groups(ax, [plain(level) for level in levels])
    x, parts = codes + _spread(codes), [(drawn, MARKERS[0])]
    if strata is not None:
        x = codes + strata.middles[strata.codes] + _spread(codes * len(strata.labels) + strata.codes) * strata.width
        parts = [(drawn & (strata.codes == k), marker) for k, marker in enumerate(strata.markers)]
    for at, marker in parts:
        ax.scatter(
            x[at],
            values[at],
            s=float(np.clip(2_400 / drawn.sum(), 4, 20)),
            color=[colours[code] for code in codes[at]],
            marker=marker,
            alpha=0.8,
            linewidths=0,
            rasterized=drawn.sum() > MAX_VECTOR_POINTS,
        )
    right = len(levels) - 0.5
    if strata is not None:
        if by_level is not None:
            draw_stratum_rates(ax, strata, by_level)
        strata_legend(ax, strata, lower=label_height, rates=by_level is not None)
    elif by_level is not None:
        _draw_rates(ax, by_level, label_height)
        right += BESIDE / 2
    ylabel = "Count / size factor" if offset_key is None else "Count / size factor / relative offset"
    ax.set(xlim=(-0.5, right), xlabel=plain(groupby), ylabel=ylabel)
    set_fonts([ax.xaxis.label])
    set_count_ticks(ax)
    figure = ax.get_figure(root=True)
    if made and figure is not None:
        rows = int(rates is not None) if strata is None else legend_rows(ax, strata, rates=rates is not None)
        figure.set_figheight(AXES_HEIGHT + label_height / 72 + legend_height(rows))
    undrawn = [f"{(~drawn).sum():,} samples without {plain(groupby)}"] if not drawn.all() else []
    say_above(ax, [gene_title(adata, position), *undrawn])
    return finish(ax, show=show, save=save)


def _reordered(groups: pd.Series, order: Sequence[Any] | None, groupby: str) -> pd.Series:
    """The groups, their categories in the order that is asked for."""
    levels = list(groups.cat.categories)
    first = [] if order is None else list(order)
    strange = [level for level in first if level not in levels]
    if strange or len(set(first)) < len(first):
        raise ValueError(f"`order` names levels of {groupby!r}, each once, of {levels}; it is {first}.")
    return groups.cat.reorder_categories([*first, *(level for level in levels if level not in first)])


def _colours(adata: AnnData, groupby: str, levels: list) -> list[str]:
    """Colour of each level: that of the other plots, where a number is not a level."""
    column = adata.obs[groupby]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) or len(levels) > MAX_LEVELS:
        return [GROUP_COLOURS[0]] * len(levels)
    by_label = {level.label: level.colour for level in colour_samples(adata, groupby).levels}
    return [by_label[str(level)] for level in levels]


def _spread(codes: np.ndarray) -> np.ndarray:
    """Sideways shifts of the samples, even in each group and the same at each call."""
    shift = np.zeros(codes.size)
    for code in np.unique(codes):
        at = codes == code
        shift[at] = SPREAD * ((0.5 + GOLDEN * np.arange(at.sum())) % 1 - 0.5)
    return shift


def _name_groups(ax: Axes, labels: list[str]) -> float:
    """Write the groups below the Axes, aslant if they have no room side by side; how much higher that is, points."""
    ax.set_xticks(range(len(labels)), labels)
    set_fonts(ax.get_xticklabels())
    longest = max(map(len, labels))
    if len(labels) * text_width(longest + 2) / SMALL <= width_in_points(ax):
        return 0.0
    ax.tick_params(axis="x", labelrotation=SLANT)
    for label in ax.get_xticklabels():
        label.set(horizontalalignment="right", rotation_mode="anchor", fontsize="small")
    height = max(label.get_window_extent().height for label in ax.get_xticklabels())
    return float(72 * height / ax.figure.dpi - SMALL * plt.rcParams["font.size"])


def _draw_rates(ax: Axes, by_level: np.ndarray, label_height: float) -> None:
    at, rate, low, high = by_level
    bars = ax.errorbar(
        at + BESIDE,
        rate,
        yerr=[rate - low, high - rate],
        fmt="D",
        color="black",
        markersize=3.5,
        linewidth=1.2,
        capsize=2.5,
        label=NAMED_RATE,
    )
    legend_beneath(ax, [bars], lower=label_height)
