from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi.names import COVARIATE, RATE, RATE_HIGH, RATE_LOW, SIZE_FACTOR
from bulkvi.pl._counts import (
    checked_size_factors,
    count_undrawn,
    find_gene,
    gene_title,
    label_counts,
    normalised,
    sample_points_look,
    set_count_scale,
)
from bulkvi.pl._figure import AXES_HEIGHT, finish, legend_below, legend_height, new_axes, set_height
from bulkvi.pl._gene_strata import NAMED_RATE, draw_strata_legend, draw_stratum_rates, find_strata, rates_by_level
from bulkvi.pl._gene_table import check_table, table_values
from bulkvi.pl._samples import GROUP_COLOURS, MARKERS, MAX_LEVELS, check_column, colour_samples
from bulkvi.pl._text import SMALL, plain, set_fonts, text_width, width_in_points, write_caption
from bulkvi.study.columns import is_number

RATE_AT: Final = 0.3  # place of a rate to the right of the samples, in groups
SPREAD: Final = 0.25  # width over which samples of a group are spread, in groups
GOLDEN: Final = 0.618  # steps of this length modulo one fill an interval evenly, however many there are
SLANT: Final = 40  # angle of group names that have no room side by side, degrees


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
    """Draw count / size factor of each sample by group. Do the counts of a gene support its result?

    The axis is that of log(1 + x), which includes zero. Samples are spread horizontally in their order, without meaning.
    With ``rates`` the model's rate is drawn next to the samples of each group, with its credible interval. Rates ``within``
    other columns are drawn next to the samples of each of their levels and joined by a line within each level: the rate of a
    gene may depend on sex or cell line, and the fold change is then the one within these levels.

    Parameters
    ----------
    adata
        Samples x genes with counts and size factors, in memory, in dask arrays or in a file. It is not changed.
    gene
        A name in ``var_names``, or a symbol that occurs once in ``var["symbol"]``.
    groupby
        Column of ``obs``; its values are levels. Samples without a value are not drawn, and counted in the caption.
    rates
        Table of ``model.get_group_rates``: genes in its index (those of ``var_names``, several are allowed), a row for
        each group, and the columns ``group`` (a level of ``groupby``), ``rate``, ``rate_low`` and ``rate_high``, counts
        per unit size factor. Rates within other columns also have a column ``stratum``.
    within
        Columns of ``obs`` by whose levels the samples of a group are separated; up to 4 combinations of levels have a marker
        each. By default the columns of the rates.
    order
        First levels, from the left, such as ``["untrt", "trt"]``: put the reference level on the left. The others follow in
        the order of the categories, which is alphabetical for a column of text.
    size_factor_key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    offset_key
        Layer with a factor for each count, as in :meth:`bulkvi.BulkVI.setup_anndata`; counts are then also divided by the
        factor relative to the geometric mean of its gene. None for none.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Counts and rates are per unit size factor.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such gene, column, layer or level, several genes have the name or symbol, a size factor or an offset is
        not positive, a count is negative or not finite, no sample has a group, or ``rates`` does not fit gene and groups.

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
    checked_size_factors(adata, size_factor_key)
    if groups.cat.categories.empty:
        raise ValueError(f"no sample has a value in adata.obs[{groupby!r}].")
    groups = _reordered(groups, order, groupby)
    levels = list(groups.cat.categories)
    position = find_gene(adata, gene)
    strata = find_strata(adata, within, rates)
    by_level = None if rates is None else rates_by_level(rates, str(adata.var_names[position]), groupby, levels, strata)
    values = normalised(
        adata, np.array([position]), size_factor_key=size_factor_key, layer=layer, offset_key=offset_key
    )[:, 0]
    codes = groups.cat.codes.to_numpy()
    colours = _colours(adata, groupby, levels)
    drawn = codes >= 0
    is_new = ax is None
    ax = new_axes() if ax is None else ax
    set_count_scale(ax)
    label_height = _name_groups(ax, [plain(level) for level in levels])
    x, parts = codes + _spread(codes), [(drawn, MARKERS[0])]
    if strata is not None:
        x = codes + strata.middles[strata.codes] + _spread(codes * len(strata.labels) + strata.codes) * strata.width
        parts = [(drawn & (strata.codes == k), marker) for k, marker in enumerate(strata.markers)]
    look = sample_points_look(int(drawn.sum()))
    for at, marker in parts:
        ax.scatter(x[at], values[at], color=[colours[code] for code in codes[at]], marker=marker, **look)
    right, height = len(levels) - 0.5, 0.0
    if strata is not None:
        if by_level is not None:
            draw_stratum_rates(ax, strata, by_level)
        height = draw_strata_legend(ax, strata, lower=label_height, rates=by_level is not None)
    elif by_level is not None:
        _draw_rates(ax, by_level, label_height)
        right, height = right + RATE_AT / 2, legend_height(1)
    ax.set(xlim=(-0.5, right), xlabel=plain(groupby))
    set_fonts([ax.xaxis.label])
    label_counts(ax, offset_key)
    if is_new:
        set_height(ax, AXES_HEIGHT + label_height / 72 + height)
    write_caption(ax, [gene_title(adata, position), *count_undrawn(drawn, groupby)])
    return finish(ax, show=show, save=save)


def gene_trend(
    adata: AnnData,
    gene: str,
    covariate: str,
    *,
    curve: pd.DataFrame | None = None,
    size_factor_key: str = SIZE_FACTOR,
    layer: str | None = None,
    offset_key: str | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw count / size factor of each sample over a numeric column. Does the gene change with it?

    The vertical axis is that of log(1 + x), which includes zero. With ``curve`` the fitted rate is drawn with its credible
    interval; it is the rate at the mean of all other columns of the design, so that all samples of one batch may lie above or
    below it.

    Parameters
    ----------
    adata
        Samples x genes with counts and size factors, in memory, in dask arrays or in a file. It is not changed.
    gene
        A name in ``var_names``, or a symbol that occurs once in ``var["symbol"]``.
    covariate
        Numeric column of ``obs``. Samples without a finite value are not drawn, and counted in the caption.
    curve
        Table of ``model.get_rate_curve``: genes in its index (those of ``var_names``, several are allowed), and the columns
        ``covariate``, ``rate``, ``rate_low`` and ``rate_high``, counts per unit size factor.
    size_factor_key, layer, offset_key
        Column of ``obs`` with the size factors, layers with counts and offsets, as in :func:`~bulkvi.pl.gene`.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Counts and rates are per unit size factor.

    Raises
    ------
    TypeError, KeyError, ValueError
        As for :func:`~bulkvi.pl.gene`, and if the column is not numeric or has no finite value, or ``curve`` lacks the gene.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.simulate(n_per_group=4, n_genes=300)
    >>> bv.pp.size_factors(adata)
    >>> adata.obs["age"] = [31, 40, 28, 55, 61, 33, 47, 52]
    >>> ax = bv.pl.gene_trend(adata, "gene007", "age")
    >>> ax.get_xlabel()
    'age'
    """
    column = check_column(adata, covariate)
    if not is_number(column):
        raise ValueError(f"adata.obs[{covariate!r}] is not numeric: draw the samples by group with bulkvi.pl.gene.")
    x = column.to_numpy(dtype=float, na_value=np.nan, copy=True)
    drawn = np.isfinite(x)
    if not drawn.any():
        raise ValueError(f"no sample has a finite value in adata.obs[{covariate!r}].")
    position = find_gene(adata, gene)
    line = None if curve is None else _curve_of(curve, str(adata.var_names[position]))
    values = normalised(
        adata, np.array([position]), size_factor_key=size_factor_key, layer=layer, offset_key=offset_key
    )[:, 0]
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + (0 if line is None else legend_height(1)))
    set_count_scale(ax)
    ax.scatter(x[drawn], values[drawn], color=GROUP_COLOURS[0], **sample_points_look(int(drawn.sum())))
    if line is not None:
        at, rate, low, high = line
        ax.fill_between(at, low, high, color="black", alpha=0.12, linewidth=0)
        legend_below(ax, ax.plot(at, rate, color="black", linewidth=1.2, label="fitted rate, credible interval"))
    ax.set_xlabel(plain(covariate))
    set_fonts([ax.xaxis.label])
    label_counts(ax, offset_key)
    write_caption(ax, [gene_title(adata, position), *count_undrawn(drawn, covariate)])
    return finish(ax, show=show, save=save)


def _reordered(groups: pd.Series, order: Sequence[Any] | None, groupby: str) -> pd.Series:
    """Put some categories first."""
    levels = list(groups.cat.categories)
    first = [] if order is None else list(order)
    unknown = [level for level in first if level not in levels]
    if unknown or len(set(first)) < len(first):
        raise ValueError(f"`order` must hold levels of {groupby!r}, each once, of {levels}; it is {first}.")
    return groups.cat.reorder_categories([*first, *(level for level in levels if level not in first)])


def _colours(adata: AnnData, groupby: str, levels: list) -> list[str]:
    """Colour of each level as in the other plots; one colour for numbers, which are no levels there."""
    if is_number(adata.obs[groupby]) or len(levels) > MAX_LEVELS:
        return [GROUP_COLOURS[0]] * len(levels)
    by_label = {level.label: level.colour for level in colour_samples(adata, groupby).levels}
    return [by_label[str(level)] for level in levels]


def _spread(codes: np.ndarray) -> np.ndarray:
    """Horizontal shifts of the samples, even in each group and the same at each call."""
    shift = np.zeros(codes.size)
    for code in np.unique(codes):
        at = codes == code
        shift[at] = SPREAD * ((0.5 + GOLDEN * np.arange(at.sum())) % 1 - 0.5)
    return shift


def _name_groups(ax: Axes, labels: list[str]) -> float:
    """Write the groups below the Axes, slanted if they have no room side by side; return the extra height, points."""
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
    at, _, rate, low, high = by_level
    look: dict[str, Any] = {"fmt": "D", "color": "black", "markersize": 3.5, "linewidth": 1.2, "capsize": 2.5}
    bars = ax.errorbar(at + RATE_AT, rate, yerr=[rate - low, high - rate], label=NAMED_RATE, **look)
    legend_below(ax, [bars], lower=label_height)


def _curve_of(curve: pd.DataFrame, name: str) -> np.ndarray:
    """Covariate in ascending order, rate, lower and upper end of its interval; 4 x points."""
    columns = [COVARIATE, RATE, RATE_LOW, RATE_HIGH]
    check_table(curve, columns, ("curve", "model.get_rate_curve()"))
    rows = curve[curve.index == name]
    if rows.empty:
        raise KeyError(f"`curve` has no row of gene {name!r}; its index holds {list(curve.index[:3])} ...")
    return table_values(rows.sort_values(COVARIATE), columns)
