from os import PathLike
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi.pl._figure import OKABE_ITO, draw_agreement, draw_colour_bar, finish, new_axes, set_square
from bulkvi.pl._gene_table import axis_reach, check_limit, count_beyond, count_genes, points_look
from bulkvi.pl._text import plain, set_fonts, write_caption

KINDS: Final = ("points", "hexbin")
HEXAGONS: Final = 60
REMEDY: Final = "use the same gene ids in both, for example `table.set_index('gene_id')['log_fc']`."


def log_fc_scatter(
    x: pd.Series | str,
    y: pd.Series | str,
    *,
    data: pd.DataFrame | None = None,
    kind: Literal["points", "hexbin"] = "points",
    limit: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the fold changes of one analysis over those of another, a point per gene. Do they agree?

    Both axes have the same limits; on the grey line the two agree. The caption counts the genes that are drawn and those that
    are not.

    Parameters
    ----------
    x, y
        Log2 fold changes: two Series with the genes in their index, which are matched by name; or two columns of
        ``data``. Their names become the axis labels.
    data
        Table with a row per gene.
    kind
        ``"points"``, or ``"hexbin"`` for the number of genes per hexagon, where points would hide each other.
    limit
        Largest absolute log2 fold change on the axes: genes beyond it are drawn as triangles at the edge, and counted
        in the caption. By default the axes hold all genes.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Both coordinates are in log base 2.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``x`` and ``y`` are neither two Series nor two columns of ``data``, gene names are not unique, no gene has both
        values, or ``kind`` or ``limit`` is out of range.

    Examples
    --------
    >>> import bulkvi as bv
    >>> ours = pd.Series([1.0, -2.0, 0.1], index=["g1", "g2", "g3"], name="bulkvi")
    >>> theirs = pd.Series([-1.8, 1.1, None], index=["g2", "g1", "g3"], name="DESeq2")
    >>> ax = bv.pl.log_fc_scatter(theirs, ours)
    >>> ax.get_title(loc="left")
    '2 genes; 1 without finite values'
    >>> ax.get_xlabel()
    'DESeq2 (log2)'
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; choose one of {list(KINDS)}.")
    check_limit(limit)
    pair = _pair(x, y, data)
    values = pair.to_numpy(dtype=float)
    finite = values[np.isfinite(values).all(1)]
    if not len(finite):
        raise ValueError(f"none of the {len(values)} genes has a value in both; {REMEDY}")
    ax = new_axes(height=3.2 if kind == "points" else 2.9) if ax is None else ax  # a colour bar makes it narrower
    bound = axis_reach(finite, limit)
    outside = (np.abs(finite) > bound).any(1)
    if kind == "points":
        inside = finite[~outside]
        ax.scatter(*inside.T, color=OKABE_ITO[0], **points_look(len(inside)))
    else:
        _draw_hexagons(ax, finite[~outside], bound)
    if outside.any():
        _draw_outside(ax, finite[outside], bound)
    draw_agreement(ax)
    set_square(ax, 1.06 * bound)
    across, up = map(plain, pair.columns)
    ax.set(xlabel=f"{across} (log2)", ylabel=f"{up} (log2)")
    set_fonts([ax.xaxis.label, ax.yaxis.label])
    write_caption(ax, count_genes(len(values), len(finite), *count_beyond(outside, limit)))
    return finish(ax, show=show, save=save)


def _pair(x: pd.Series | str, y: pd.Series | str, data: pd.DataFrame | None) -> pd.DataFrame:
    """Join the two columns, a row for each gene of either."""
    if data is not None:
        if isinstance(x, pd.Series) or isinstance(y, pd.Series):
            raise TypeError("with `data`, `x` and `y` are names of its columns, not Series.")
        for column in (x, y):
            if column not in data:
                raise KeyError(f"no column {column!r} in `data`; it has {list(data.columns)}.")
        return pd.concat([data[x], data[y]], axis=1)
    return pd.concat([_by_gene("x", x), _by_gene("y", y)], axis=1, join="outer")


def _by_gene(argument: str, series: pd.Series | str) -> pd.Series:
    if not isinstance(series, pd.Series):
        raise TypeError(
            f"`{argument}` must be a Series with genes in its index, or a column name together with `data`; it is a "
            f"{type(series).__name__}."
        )
    if not series.index.is_unique:
        repeated = list(series.index[series.index.duplicated()].unique()[:5])
        raise ValueError(f"gene names of `{argument}` must be unique to be matched; repeated are {repeated}.")
    return series.rename(argument if series.name is None else series.name)


def _draw_hexagons(ax: Axes, points: np.ndarray, bound: float) -> None:
    extent = (-bound, bound, -bound, bound)
    look: dict[str, Any] = {"bins": "log", "mincnt": 1, "cmap": "viridis", "linewidths": 0}
    draw_colour_bar(ax, ax.hexbin(*points.T, gridsize=HEXAGONS, extent=extent, **look), "Genes")


def _draw_outside(ax: Axes, points: np.ndarray, bound: float) -> None:
    x, y = points.T
    within = np.abs(x) <= bound
    edges = {">": x > bound, "<": x < -bound, "^": within & (y > bound), "v": within & (y < -bound)}
    clipped = points.clip(-bound, bound)
    for marker, at in edges.items():
        if at.any():
            ax.scatter(clipped[at, 0], clipped[at, 1], s=12, marker=marker, color=OKABE_ITO[1], linewidths=0)
