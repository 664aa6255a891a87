from os import PathLike
from typing import Final

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, StrMethodFormatter

from bulkvi.arguments import check_number
from bulkvi.names import SIZE_FACTOR
from bulkvi.pl._axes import (
    check_column,
    colour_samples,
    draw_samples,
    new_sample_axes,
    set_log_ticks,
    text_width,
    width_in_points,
)
from bulkvi.pl._finish import finish
from bulkvi.pl._text import plain, set_fonts

MAX_LABELS: Final = 12
GAP: Final = 5
"""Between a point and its name, points."""
LINE: Final = 9
"""Height of a name, points."""
SIDES: Final = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [1, -1], [-1, 1], [-1, -1]])
"""Where a name may stand: right, left, above, below its point, and between these."""
PREFERENCE: Final = 0.01 * np.arange(len(SIDES))
N_STARTS: Final = 20
N_ROUNDS: Final = 4
MAX_ROOM: Final = 0.3
"""Largest share of the width that is kept free for names at either side."""
BLOCK_ELEMENTS: Final = 10_000_000


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
    """Do size factors follow depth? Draw them against the total count of each sample, both on log axes.

    Where most genes do not change, both say how deeply a sample was sequenced and the points lie along the grey line, on
    which size factor and total count are proportional. A sample far off the line has a few genes that take up much of its
    reads, or a composition of its own.

    Parameters
    ----------
    adata
        Samples x genes with size factors in ``obs``; dense, sparse, dask, or backed by a file. It is not changed. Total
        counts are those of the genes it holds.
    key
        Column of ``obs`` with the size factors.
    layer
        Layer that holds the counts; None for ``adata.X``.
    color
        Column of ``obs``, as in :func:`~bulkvi.pl.latent`.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches).
    label
        Whether to write the name of each sample beside it; by default up to 12 samples.
    size
        Area of a marker in square points; by default smaller for more samples.
    legend_loc
        ``"below"`` the Axes, ``"right margin"``, a location that matplotlib knows such as ``"best"``, or None for no legend.
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes. Total counts are in reads, size factors have no unit.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData.
    KeyError
        If there is no such column of ``obs`` or layer.
    ValueError
        If a size factor or a total count is not positive, or ``color`` has too many levels to tell apart.

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
    factors = check_column(adata, key).to_numpy(dtype=float)
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"no layer {layer!r} in adata.layers; it has {layers}.")
    totals = _totals(adata, layer)
    for what, values in ((f"adata.obs[{key!r}]", factors), ("the total count", totals)):
        wrong = ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            raise ValueError(
                f"{what} must be finite and > 0 to stand on a log axis; it is {values[wrong][0]} in sample "
                f"{adata.obs_names[wrong][0]!r} and wrong in {wrong.sum()} of {adata.n_obs} samples."
            )
    colouring = colour_samples(adata, color)
    ax = new_sample_axes(colouring, legend_loc) if ax is None else ax
    draw_samples(ax, totals, factors, colouring, size=size, legend_loc=legend_loc)
    ax.set(xscale="log", yscale="log", xlabel="Total count (reads)", ylabel="Size factor")
    centre = np.exp(np.log(totals).mean()), np.exp(np.log(factors).mean())
    # two points close by: far ones would widen the limits
    ax.axline(centre, (1.001 * centre[0], 1.001 * centre[1]), color="0.7", linewidth=0.8, zorder=0)
    set_log_ticks(ax.xaxis, totals)
    set_log_ticks(ax.yaxis, factors)
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    labelled = adata.n_obs <= MAX_LABELS if label is None else label
    if labelled:
        _write_names(ax, totals, factors, [plain(name) for name in adata.obs_names])
    return finish(ax, show=show, save=save)


def _totals(adata: AnnData, layer: str | None) -> np.ndarray:
    counts = adata.X if layer is None else adata.layers[layer]
    if counts is None:
        raise ValueError("adata.X is empty; name the layer that holds the counts.")
    rows = max(1, BLOCK_ELEMENTS // max(adata.n_vars, 1))
    # by rows, as a matrix in a file can be sliced but not summed
    sums = [np.asarray(counts[start : start + rows].sum(1)).ravel() for start in range(0, adata.n_obs, rows)]
    return np.concatenate(sums).astype(float)


def _write_names(ax: Axes, x: np.ndarray, y: np.ndarray, names: list[str]) -> None:
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.draw_without_rendering()  # gives the Axes its final size
    widths = np.array([text_width(len(name) + 1) for name in names])
    room = min((widths.max() + 2 * GAP) / width_in_points(ax), MAX_ROOM)
    high = (GAP + 1.5 * LINE) / (72 * ax.get_window_extent().height / ax.figure.dpi)
    ax.margins(x=room / (1 - 2 * room), y=high / (1 - 2 * high))
    ax.autoscale_view()
    points = ax.transData.transform(np.column_stack([x, y])) * 72 / ax.figure.dpi
    for sample, (right, up) in enumerate(_choose_sides(points, widths)):
        text = ax.annotate(
            names[sample],
            (x[sample], y[sample]),
            xytext=(GAP * right, GAP * up),
            textcoords="offset points",
            horizontalalignment=("center", "left", "right")[right],
            verticalalignment=("center", "bottom", "top")[up],
            fontsize="x-small",
        )
        set_fonts([text])
        text.set_in_layout(False)  # or long names would shrink the Axes


def _choose_sides(points: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Side of each point on which its name stands, so that names of these widths hide few points and each other."""
    n = len(points)
    reach = np.column_stack([GAP + widths / 2, np.full(n, GAP + LINE / 2)])
    centres = points[:, None] + reach[:, None] * SIDES
    to_points = np.abs(centres[:, :, None] - points)
    to_names = np.abs(centres[:, :, None, None] - centres)
    hides = (to_points[..., 0] < widths[:, None, None] / 2 + GAP / 2) & (to_points[..., 1] < LINE)
    meets = (to_names[..., 0] < (widths[:, None, None, None] + widths[:, None]) / 2) & (to_names[..., 1] < LINE)
    meets[np.arange(n), :, np.arange(n)] = False
    alone = hides.sum(2) + PREFERENCE
    # one name after the other to its best side; from several starts, as each alone can get stuck
    rng = np.random.default_rng(0)
    sides = rng.integers(len(SIDES), size=(N_STARTS, n))
    everyone = np.arange(n)
    for sample in [*range(n)] * N_ROUNDS:
        met = meets[sample][:, everyone, sides]
        sides[:, sample] = (alone[sample][:, None] + met.sum(2)).argmin(0)
    cost = alone[everyone, sides].sum(1) + [meets[everyone, start][:, everyone, start].sum() / 2 for start in sides]
    return SIDES[sides[cost.argmin()]]
