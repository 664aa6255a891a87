from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bulkvi.names import BASE_MEAN, DISPERSION, DISPERSION_GENE, DISPERSION_TREND
from bulkvi.pl._axes import AXES_HEIGHT, OKABE_ITO, legend_height, new_axes
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import (
    count_genes,
    dot,
    finite_genes,
    legend_beneath,
    points_look,
    say_above,
    table_values,
)

COLUMNS: Final = (BASE_MEAN, DISPERSION_GENE, DISPERSION_TREND, DISPERSION)
POISSON: Final = 1e-6
"""Dispersion below which a gene's counts vary no more than Poisson counts."""

GENE_COLOUR: Final = "0.6"
N_TREND: Final = 200
"""Points of the trend that are joined by lines."""


def dispersion(
    dispersions: pd.DataFrame, *, ax: Axes | None = None, show: bool = False, save: str | PathLike[str] | None = None
) -> Axes:
    """How much do replicates vary? Draw the dispersion of each gene over its mean count, both on log axes.

    Grey are the dispersions that the genes' own counts alone say, blue what is believed of them once the trend over all
    genes, the line, is known too. Grey triangles at the lower edge are genes whose own counts vary no more than Poisson
    counts (dispersion below 1e-6). Above the Axes stands how many genes are drawn and how many are not.

    Parameters
    ----------
    dispersions
        Table of ``model.get_dispersions``: a row per gene, with the columns ``base_mean``, ``dispersion_gene``,
        ``dispersion_trend`` and ``dispersion``. It is not changed.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Mean counts are per unit size factor; the dispersion is alpha in variance = mean + alpha mean^2.

    Raises
    ------
    TypeError
        If ``dispersions`` is not a table.
    KeyError
        If a column is missing.
    ValueError
        If no gene has finite values above zero.

    Examples
    --------
    >>> import bulkvi as bv
    >>> dispersions = pd.DataFrame(
    ...     {
    ...         "base_mean": [900.0, 80.0, 7.0],
    ...         "dispersion_gene": [0.02, 0.3, 1e-8],
    ...         "dispersion_trend": [0.03, 0.05, 0.2],
    ...         "dispersion": [0.025, 0.1, 0.1],
    ...     }
    ... )
    >>> ax = bv.pl.dispersion(dispersions)  # in real life the table that model.get_dispersions gives
    >>> ax.get_title(loc="left")
    '3 genes; 1 with counting noise alone'
    """
    values = table_values(dispersions, COLUMNS, ("dispersions", "model.get_dispersions()"))
    # zero has no place on a log axis, but a gene's own dispersion may be zero
    values[[0, 2, 3]] = np.where(values[[0, 2, 3]] > 0, values[[0, 2, 3]], np.nan)
    drawn = finite_genes(values, COLUMNS)
    mean, own, trend, posterior = values[:, drawn]
    poisson = own < POISSON
    edge = 0.6 * min(own[~poisson].min(initial=np.inf), trend.min(), posterior.min())
    if ax is None:
        ax = new_axes(height=AXES_HEIGHT + legend_height(1))
    look = points_look(mean.size)
    ax.scatter(mean[~poisson], own[~poisson], color=GENE_COLOUR, **look)
    ax.scatter(mean, posterior, color=OKABE_ITO[0], **look)
    if poisson.any():
        ax.scatter(mean[poisson], np.full(poisson.sum(), edge), marker="v", color=GENE_COLOUR, **look | {"s": 8})
    order = np.argsort(mean)
    steps = np.linspace(np.log(mean.min()), np.log(mean.max()), N_TREND)
    ends = order[np.unique(np.searchsorted(np.log(mean[order]), steps).clip(max=mean.size - 1))]
    ax.plot(mean[ends], trend[ends], color=OKABE_ITO[1], linewidth=1.5)
    ax.set(xscale="log", yscale="log", xlabel="Mean count / size factor", ylabel="Dispersion")
    handles = [
        dot(GENE_COLOUR, "gene"),
        Line2D([], [], color=OKABE_ITO[1], linewidth=1.5, label="trend"),
        dot(OKABE_ITO[0], "posterior"),
    ]
    legend_beneath(ax, handles)
    at_edge = [f"{poisson.sum():,} with counting noise alone"] if poisson.any() else []
    say_above(ax, count_genes(len(dispersions), mean.size, *at_edge))
    return finish(ax, show=show, save=save)
