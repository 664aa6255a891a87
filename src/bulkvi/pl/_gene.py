from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bulkvi.names import GROUP, RATE, RATE_HIGH, RATE_LOW, SIZE_FACTOR
from bulkvi.pl._axes import (
    AXES_HEIGHT,
    GROUP_COLOURS,
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
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import check_columns, legend_beneath, say_above
from bulkvi.pl._normalised import check_size_factors, find_gene, normalised, symbol_of

ORIGIN: Final = ("rates", "model.get_group_rates()")
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
    order: Sequence[Any] | None = None,
    size_factor_key: str = SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Do the counts of a gene bear out what the table says? Draw count / size factor of each sample by group.

    The axis is that of log(1 + x), so that zeros have their place. Samples are spread sideways by their order, which has
    no meaning. With ``rates`` the model's rate stands beside the samples of each group, with its credible interval.

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
        per unit size factor.
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
    by_level = None if rates is None else _rates_by_level(rates, name, groupby, levels)
    values = normalised(
        adata, np.array([position]), size_factor_key=size_factor_key, layer=layer, offset_key=offset_key
    )[:, 0]
    codes = groups.cat.codes.to_numpy()
    colours = _colours(adata, groupby, levels)
    drawn = codes >= 0
    made = ax is None
    ax = new_axes() if ax is None else ax
    ax.set_yscale("function", functions=(_log1p, _expm1))
    label_height = _name_groups(ax, [str(level) for level in levels])
    ax.scatter(
        (codes + _spread(codes))[drawn],
        values[drawn],
        s=float(np.clip(2_400 / drawn.sum(), 4, 20)),
        color=[colours[code] for code in codes[drawn]],
        alpha=0.8,
        linewidths=0,
        rasterized=drawn.sum() > MAX_VECTOR_POINTS,
    )
    right = len(levels) - 0.5
    if by_level is not None:
        _draw_rates(ax, by_level, label_height)
        right += BESIDE / 2
    ylabel = "Count / size factor" if offset_key is None else "Count / size factor / relative offset"
    ax.set(xlim=(-0.5, right), xlabel=groupby, ylabel=ylabel)
    _set_ticks(ax)
    figure = ax.get_figure(root=True)
    if made and figure is not None:
        figure.set_figheight(AXES_HEIGHT + label_height / 72 + (0 if rates is None else legend_height(1)))
    undrawn = [f"{(~drawn).sum():,} samples without {groupby}"] if not drawn.all() else []
    say_above(ax, [_title(adata, position), *undrawn])
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


def _title(adata: AnnData, position: int) -> str:
    name = str(adata.var_names[position])
    symbol = symbol_of(adata, position)
    return name if symbol == name else f"{symbol} ({name})"


def _rates_by_level(rates: pd.DataFrame, name: str, groupby: str, levels: list) -> np.ndarray:
    """Position of a group, rate, lower and upper end of its interval; 4 x groups."""
    check_columns(rates, [GROUP, RATE, RATE_LOW, RATE_HIGH], ORIGIN)
    rows = rates[rates.index == name]
    if rows.empty:
        raise KeyError(f"`rates` has no row of gene {name!r}; its index holds {list(rates.index[:3])} ...")
    given = [str(group) for group in rows[GROUP]]
    places = {str(level): place for place, level in enumerate(levels)}
    strange = [group for group in given if group not in places]
    if strange or len(set(given)) < len(given):
        raise ValueError(
            f"`rates` of gene {name!r} must have one row for a group, and groups that are levels of {groupby!r}, "
            f"{list(places)}; it has {given}."
        )
    values = rows[[RATE, RATE_LOW, RATE_HIGH]].to_numpy(dtype=float, na_value=np.nan).T
    return np.vstack([[places[group] for group in given], values])


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
        label="model's rate, credible interval",
    )
    legend_beneath(ax, [bars], lower=label_height)


def _log1p(x: np.ndarray) -> np.ndarray:
    """log(1 + x), and its mirror image below zero, where the margin of the Axes may be."""
    return np.sign(x) * np.log1p(np.abs(x))


def _expm1(y: np.ndarray) -> np.ndarray:
    return np.sign(y) * np.expm1(np.abs(y))


def _set_ticks(ax: Axes) -> None:
    """Round numbers as ticks of an axis of log(1 + x)."""
    low, high = ax.get_ylim()
    if high < 1:
        ax.set_ylim(top=1)
    decades = 10.0 ** np.arange(np.ceil(np.log10(max(high, 10))))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [tick for tick in (0, *np.outer(decades, steps).ravel()) if low <= tick <= high]
        if 3 <= len(ticks) <= 7:
            ax.yaxis.set_major_locator(FixedLocator(ticks))
            break
    ax.yaxis.set_minor_locator(NullLocator())
    thousands = EngFormatter(sep=" ")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: thousands(x) if x >= 10_000 else f"{x:,.4g}"))
