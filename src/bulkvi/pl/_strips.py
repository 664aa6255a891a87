"""Matrices whose columns are samples: cells, strips of colour above for columns of ``obs``, their legends below."""

from collections.abc import Sequence
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba_array
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from matplotlib.transforms import ScaledTranslation, Transform, blended_transform_factory

from bulkvi.pl._figure import legend_columns, place_below
from bulkvi.pl._samples import Colouring, colour_samples
from bulkvi.pl._text import plain, set_fonts

STRIP: Final = 0.12  # height of a strip, inches
GAP: Final = 0.04  # between the strips and the matrix, inches
LINE: Final = 14.0  # height of a line of text below the matrix with its margins, points
PAD: Final = 8.0  # above and below names, points
PER_NAME: Final = 6.6  # least room for the name of a sample, points
MAX_EDGES: Final = 30  # most samples whose cells in a strip have white edges
MAX_VECTOR_CELLS: Final = 10_000


def colour_columns(adata: AnnData, color: str | Sequence[str] | None) -> list[Colouring]:
    """Colour the samples by each column, in the colours of all other plots."""
    columns = [] if color is None else [color] if isinstance(color, str) else list(color)
    return [colour_samples(adata, column) for column in columns]


def sort_samples(colourings: Sequence[Colouring], n_samples: int) -> np.ndarray:
    """Order the samples by the first column, ties by the next and then by position; missing values last."""
    keys = [np.arange(n_samples)]
    for colouring in reversed(colourings):
        key = np.full(n_samples, np.inf)
        known = [level for level in colouring.levels if not level.missing]
        for rank, level in enumerate(known):
            key[level.members] = rank
        if colouring.values is not None:
            key = np.where(np.isnan(colouring.values), np.inf, colouring.values)
        keys.append(key)
    return np.lexsort(keys)


def sample_colours(colouring: Colouring) -> np.ndarray:
    """Red, green, blue and alpha of each sample."""
    if colouring.values is None:
        colours = np.ones((colouring.levels[0].members.size, 4))
    else:
        low, high = _value_range(colouring.values)
        colours = plt.get_cmap("viridis")((colouring.values - low) / ((high - low) or 1.0))
    for level in colouring.levels:
        colours[level.members] = to_rgba_array(level.colour)
    return colours


def draw_cells(
    ax: Axes,
    values: np.ndarray,
    *,
    cmap: str | None = None,
    limits: tuple[float, float] | None = None,
    edges: bool = False,
) -> QuadMesh:
    """Draw the cells of a matrix, first row on top, each one unit wide and high around its position.

    ``values`` are numbers (rows x columns), coloured between ``limits``, or colours (rows x columns x 4); ``edges`` draws
    white lines between the cells.
    """
    rows, columns = values.shape[:2]
    low, high = (None, None) if limits is None else limits
    cells = ax.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        values,
        cmap=cmap,
        vmin=low,
        vmax=high,
        # lines in the colour of the cell, or viewers show the page between the cells
        edgecolors="white" if edges else "face",
        linewidth=0.3 if edges else 0.1,
        rasterized=rows * columns > MAX_VECTOR_CELLS,
    )
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    return cells


def axes_above(ax: Axes, x: float, inches: float, width: float, height: float) -> Axes:
    """Add an Axes above another: ``x`` and ``width`` as shares of its width, the rest in inches from its upper edge."""
    place = blended_transform_factory(ax.transAxes, _inches_from(ax, (0, 1)))
    return ax.inset_axes((x, inches, width, height), transform=place)


def axes_at_right(ax: Axes, inches: float, width: float) -> Axes:
    """Add an Axes to the right of another, so many inches from it and wide, with the same vertical axis."""
    # in inches: a layout that must find the width of both at once ends with one of them cut
    place = blended_transform_factory(_inches_from(ax, (1, 0)), ax.transAxes)
    return ax.inset_axes((inches, 0, width, 1), transform=place, sharey=ax)


def _inches_from(ax: Axes, corner: tuple[float, float]) -> Transform:
    """Coordinates in inches from a corner of an Axes, wherever the layout puts it."""
    to_corner = ScaledTranslation(*corner, ax.transAxes)  # type: ignore[arg-type]  # any transform that moves with ax
    return ax.figure.dpi_scale_trans + to_corner


def draw_strips(ax: Axes, colourings: Sequence[Colouring], order: np.ndarray) -> float:
    """Draw a strip of colours for each column above an Axes; return the height in use above it, inches."""
    if not colourings:
        return 0.0
    strips = axes_above(ax, 0, GAP, 1, STRIP * len(colourings))
    draw_cells(strips, np.stack([sample_colours(one)[order] for one in colourings]), edges=order.size <= MAX_EDGES)
    strips.set_xticks([])
    strips.yaxis.tick_right()
    strips.set_yticks(range(len(colourings)), [plain(one.title) for one in colourings], fontsize="x-small")
    set_fonts(strips.get_yticklabels())
    strips.tick_params(length=0, pad=2)
    for spine in strips.spines.values():
        spine.set_visible(False)
    return GAP + STRIP * len(colourings)


def draw_legends(ax: Axes, colourings: Sequence[Colouring], *, below: float, width: float) -> float:
    """Draw the legends of the columns, one under the other, from so many points below an Axes; return where they end.

    ``width`` is the largest of a legend, points.
    """
    for colouring in colourings:
        entries = _entries(colouring)
        labels = [plain(entry.get_label()) for entry in entries]
        # `ax.legend` would keep one only
        legend = Legend(
            ax,
            entries,
            labels,
            title=plain(colouring.title),
            ncols=legend_columns(width, labels),
            fontsize="small",
            title_fontsize="small",  # type: ignore[arg-type]  # as ax.legend takes it
            frameon=False,
            borderpad=0.2,
            handlelength=0.8,
            handleheight=0.8,
            handletextpad=0.3,
            columnspacing=0.8,
            alignment="left",
            **place_below(ax, below),
        )
        set_fonts([*legend.get_texts(), legend.get_title()])
        ax.add_artist(legend)
        legend.set_clip_on(False)
        below += 72 * legend.get_window_extent().height / ax.figure.dpi
    return below


def _entries(colouring: Colouring) -> list[Patch]:
    """Colours of the levels; of numbers the smallest, the middle and the largest."""
    entries = []
    if colouring.values is not None and not np.isnan(colouring.values).all():
        low, high = _value_range(colouring.values)
        shares = (0.0, 0.5, 1.0) if high > low else (0.0,)
        viridis = plt.get_cmap("viridis")
        entries = [Patch(color=viridis(share), label=f"{low + share * (high - low):.3g}") for share in shares]
    return entries + [Patch(color=level.colour, label=level.label) for level in colouring.levels]


def _value_range(values: np.ndarray) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
