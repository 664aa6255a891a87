from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from bulkvi.names import COVARIATE, RATE, RATE_HIGH, RATE_LOW, SIZE_FACTOR
from bulkvi.pl._axes import AXES_HEIGHT, GROUP_COLOURS, MAX_VECTOR_POINTS, check_column, legend_height, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene import _expm1, _log1p, _set_ticks, _title
from bulkvi.pl._gene_points import legend_beneath, say_above, table_values
from bulkvi.pl._normalised import find_gene, normalised

ORIGIN: Final = ("curve", "model.get_rate_curve()")


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
    interval; it is the rate at the mean of all other columns of the design, so that samples of one batch may lie on one
    side of it.

    Parameters
    ----------
    adata
        Samples x genes with counts and, in ``obs``, size factors; dense, sparse, dask, or backed by a file. It is not
        changed.
    gene
        A name in ``var_names``, or a symbol that ``var["symbol"]`` holds once.
    covariate
        Numeric column of ``obs``. Samples without a finite value are not drawn, and counted above the Axes.
    curve
        Table of ``model.get_rate_curve``: genes in its index (those of ``var_names``, several are allowed), and the columns
        ``covariate``, ``rate``, ``rate_low`` and ``rate_high``, counts per unit size factor.
    size_factor_key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    offset_key
        Layer with a factor for each count, as in :func:`bulkvi.pl.gene`; None for none.
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
        If ``adata`` is not an AnnData, or ``curve`` not a table.
    KeyError
        If there is no such gene, column or layer, or ``curve`` has no row of the gene.
    ValueError
        If the column is not numeric or has no finite value, a symbol or name stands for several genes, a size factor or an
        offset is not positive, or a count is negative or not finite.

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
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
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
    ax.set_yscale("function", functions=(_log1p, _expm1))
    ax.scatter(
        x[drawn],
        values[drawn],
        s=float(np.clip(2_400 / drawn.sum(), 4, 20)),
        color=GROUP_COLOURS[0],
        alpha=0.8,
        linewidths=0,
        rasterized=drawn.sum() > MAX_VECTOR_POINTS,
    )
    if line is not None:
        at, rate, low, high = line
        ax.fill_between(at, low, high, color="black", alpha=0.12, linewidth=0)
        handles = ax.plot(at, rate, color="black", linewidth=1.2, label="fitted rate, credible interval")
        legend_beneath(ax, handles)
    name = covariate.replace("$", r"\$")  # a pair of them would be read as a formula
    per_offset = "" if offset_key is None else " / relative offset"
    ax.set(xlabel=name, ylabel=f"Count / size factor{per_offset}")
    _set_ticks(ax)
    undrawn = [f"{(~drawn).sum():,} samples without {name}"] if not drawn.all() else []
    say_above(ax, [_title(adata, position), *undrawn])
    return finish(ax, show=show, save=save)


def _curve_of(curve: pd.DataFrame, name: str) -> np.ndarray:
    """Covariate in rising order, rate, lower and upper end of its interval; 4 x points."""
    columns = [COVARIATE, RATE, RATE_LOW, RATE_HIGH]
    table_values(curve, columns, ORIGIN)  # raises for what is no such table
    rows = curve[curve.index == name]
    if rows.empty:
        raise KeyError(f"`curve` has no row of gene {name!r}; its index holds {list(curve.index[:3])} ...")
    return table_values(rows.sort_values(COVARIATE), columns, ORIGIN)
