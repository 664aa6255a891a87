import math
from os import PathLike
from typing import Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from bulkvi.arguments import check_number
from bulkvi.names import SIZE_FACTOR
from bulkvi.pl._counts import checked_size_factors
from bulkvi.pl._figure import finish
from bulkvi.pl._samples import colour_samples, draw_samples, new_sample_axes
from bulkvi.pl._text import NAME_MARGIN, write_names
from bulkvi.study.counts import checked_counts

MAX_LABELS: Final = 12
TICK_DISTANCE: Final = 0.15  # least distance of labelled ticks, as a share of the axis


def size_factors(
    adata: AnnData,
    *,
    key: str = SIZE_FACTOR,
    layer: str | None = None,
    color: str | None = None,
    ax: Axes | None = None,
    label: bool | None = None,
    size: float | None = None,
    legend_loc: str | None = "below",
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw size factors over the total count of each sample, both on log axes. Do size factors follow depth?

    If most genes do not change, both measure the sequencing depth, and the points lie along the grey line, on which size
    factor and total count are proportional. A sample far from the line has a few genes with a large share of its reads, or
    another composition.

    Parameters
    ----------
    adata
        Samples x genes with counts and size factors, in memory, in dask arrays or in a file. It is not changed. Total counts are over the genes in ``adata``.
    key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    color
        Column of ``obs``, as in :func:`~bulkvi.pl.latent`.
    label
        Whether to write the name of each sample; by default up to 12 samples.
    size
        Area of a marker in square points; by default smaller for more samples.
    legend_loc
        ``"below"`` the Axes, ``"right margin"``, a location of matplotlib such as ``"best"``, or None for no legend.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes. Total counts are in reads, size factors have no unit.

    Raises
    ------
    TypeError, KeyError, ValueError
        If there is no such column or layer, a size factor is not positive, the counts are not raw counts, a sample has none,
        or ``color`` has too many levels to distinguish.

    Examples
    --------
    >>> import bulkvi as bv
    >>> adata = bv.datasets.airway()
    >>> bv.pp.size_factors(adata)
    >>> ax = bv.pl.size_factors(adata, color="cell")
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'Size factor')
    """
    if size is not None:
        check_number("size", size, above=0)
    factors = checked_size_factors(adata, key)
    totals = checked_counts(adata, layer).totals
    colouring = colour_samples(adata, color)
    ax = new_sample_axes([colouring], legend_loc)[0] if ax is None else ax
    draw_samples(ax, totals, factors, colouring, size=size, legend_loc=legend_loc)
    ax.set(xscale="log", yscale="log", xlabel="Total count (reads)", ylabel="Size factor")
    centre = np.exp(np.log(totals).mean()), np.exp(np.log(factors).mean())
    # two points close by: far ones would widen the limits
    ax.axline(centre, (1.001 * centre[0], 1.001 * centre[1]), color="0.7", linewidth=0.8, zorder=0)
    _set_log_ticks(ax.xaxis, totals)
    _set_log_ticks(ax.yaxis, factors)
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if adata.n_obs <= MAX_LABELS if label is None else label:
        ax.margins(NAME_MARGIN)
        write_names(ax, totals, factors, adata.obs_names.tolist(), ring=False)
    return finish(ax, show=show, save=save)


class SparseLocator(MaxNLocator):
    """Evenly spaced numbers on a log axis, without those whose labels would overlap."""

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Ticks from the smaller to the larger end."""
        ticks = [tick for tick in super().tick_values(vmin, vmax) if vmin <= tick <= vmax and tick > 0]
        kept = ticks[:1]
        for tick in ticks[1:]:
            if math.log(tick / kept[-1]) > TICK_DISTANCE * math.log(vmax / vmin):
                kept.append(tick)
        return kept


def _set_log_ticks(axis: Axis, values: np.ndarray) -> None:
    """Set ticks of a log axis; one shorter than a decade would otherwise have one tick or none."""
    narrow = values.max() < 10 * values.min()
    axis.set_major_locator(SparseLocator(5, steps=[1, 2, 5, 10]) if narrow else LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
