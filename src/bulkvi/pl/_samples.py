"""Samples in the colours and markers of a column of ``obs``."""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import is_color_like

from bulkvi.pl._figure import (
    AXES_HEIGHT,
    LAID_OUT,
    MAX_VECTOR_POINTS,
    OKABE_ITO,
    draw_colour_bar,
    legend_columns,
    legend_height,
    new_panels,
    panel_rows,
    place_below_labels,
    set_height,
)
from bulkvi.pl._text import plain, set_fonts, width_in_points
from bulkvi.study.columns import column_of, is_number

GROUP_COLOURS: Final = tuple(OKABE_ITO[i] for i in (2, 3, 4, 5, 6, 7, 0, 1))
"""The palette for groups of samples: blue and orange last, as they mean down and up elsewhere."""
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""One more than colours, so that pairs of colour and marker repeat only after 72 levels."""
MAX_LEVELS: Final = len(OKABE_ITO) * len(MARKERS)
LEGEND_ROWS: Final = 16
LEGEND_MARKER: Final = 30.0  # area of a marker in a legend, square points
MISSING: Final = "missing"
MISSING_COLOUR: Final = "lightgray"
EDGE: Final = "0.25"


class Level(NamedTuple):
    """Samples with the same marker and legend entry."""

    label: str
    members: np.ndarray
    """Which samples, boolean, shape ``(n_samples,)``."""
    colour: str
    marker: str
    missing: bool = False
    """Whether these samples have no value; a level may have the name "missing" too."""


class Colouring(NamedTuple):
    """Colours and markers of all samples."""

    title: str | None
    levels: list[Level]
    values: np.ndarray | None
    """Numbers for a colour bar, shape ``(n_samples,)``; samples with NaN are in ``levels``."""

    @property
    def labels(self) -> list[str]:
        """Names of the levels as they are drawn."""
        return [plain(level.label) for level in self.levels]

    @property
    def has_legend(self) -> bool:
        """Whether there are markers to explain."""
        return self.title is not None and bool(self.levels)


def check_anndata(adata: AnnData) -> None:
    """Raise TypeError for anything but an AnnData."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")


def check_column(adata: AnnData, column: str) -> pd.Series:
    """Return a column of ``obs``, or raise KeyError with the columns there are."""
    check_anndata(adata)
    if column not in adata.obs:
        raise KeyError(f"no column {column!r} in adata.obs; it has {list(adata.obs.columns)}.")
    return column_of(adata.obs, str(column))


def colour_samples(adata: AnnData, column: str | None) -> Colouring:
    """Choose colours and markers of all samples; numbers get a colour bar, other columns levels."""
    if column is None:
        everyone = np.ones(adata.n_obs, dtype=bool)
        return Colouring(None, [Level("", everyone, GROUP_COLOURS[0], MARKERS[0])], None)
    values = check_column(adata, column)
    absent = values.isna().to_numpy(copy=True)
    numbers = values.to_numpy(dtype=float, na_value=np.nan, copy=True) if is_number(values) else None
    if numbers is not None:
        absent |= ~np.isfinite(numbers)  # infinite ones have no place on a colour bar
        numbers[absent] = np.nan
    missing = [Level(MISSING, absent, MISSING_COLOUR, MARKERS[0], missing=True)] if absent.any() else []
    if numbers is not None:
        return Colouring(column, missing, numbers)
    categories = values.astype("category").cat.remove_unused_categories().cat.categories
    if len(categories) > MAX_LEVELS:
        raise ValueError(
            f"adata.obs[{column!r}] has {len(categories)} levels; at most {MAX_LEVELS} can be distinguished. Group them, or "
            "make the column numeric."
        )
    colours = _stored_colours(adata, values, column)
    levels = [
        Level(
            str(category),
            (values == category).to_numpy(dtype=bool, na_value=False),
            colours.get(category, GROUP_COLOURS[i % len(GROUP_COLOURS)]),
            MARKERS[i % len(MARKERS)],
        )
        for i, category in enumerate(categories)
    ]
    return Colouring(column, missing + levels, None)


def _stored_colours(adata: AnnData, values: pd.Series, column: str) -> dict[object, str]:
    """Read scanpy's colours from ``uns``, by level; none unless there is one for each category."""
    stored = [str(colour) for colour in adata.uns.get(f"{column}_colors", ())]
    categories = values.astype("category").cat.categories
    if len(stored) != len(categories) or not all(map(is_color_like, stored)):
        return {}
    return dict(zip(categories, stored, strict=True))


def new_sample_axes(colourings: Sequence[Colouring], legend_loc: str | None) -> list[Axes]:
    """Make an Axes for each colouring in a new figure, with room for the legends below."""
    panels = new_panels(len(colourings))
    width, room = LAID_OUT * width_in_points(panels[0]), 0.0
    for colouring in colourings:
        if legend_loc == "below" and colouring.has_legend:
            n_columns = legend_columns(width, colouring.labels)
            room = max(room, legend_height(len(colouring.levels), n_columns, title=True))
    set_height(panels[0], panel_rows(len(panels)) * (AXES_HEIGHT + room))
    return panels


def draw_samples(
    ax: Axes, x: np.ndarray, y: np.ndarray, colouring: Colouring, *, size: float | None, legend_loc: str | None
) -> None:
    """Draw a point for each sample, with a legend or a colour bar.

    Parameters
    ----------
    x, y
        Coordinates, shape ``(n_samples,)``.
    size
        Area of a marker in square points; None for smaller ones with more samples.
    legend_loc
        ``"below"``, ``"right margin"``, a location of matplotlib, or None for no legend.
    """
    size = float(np.clip(2_400 / max(x.size, 1), 4, 36)) if size is None else size
    look: dict[str, Any] = {
        "s": size,
        "linewidths": 0.4 if size > 10 else 0,
        "edgecolors": EDGE,
        "rasterized": x.size > MAX_VECTOR_POINTS,
    }
    handles = []
    for level in colouring.levels:
        at = level.members
        # rare levels above common ones, so that none is hidden; missing values below all
        points = ax.scatter(
            x[at],
            y[at],
            color=level.colour,
            marker=level.marker,
            label=None if colouring.title is None else plain(level.label),
            zorder=1 if level.missing else 1.9 - 0.8 * at.mean(),
            **look,
        )
        handles.append(points)
    if colouring.values is not None:
        known = ~np.isnan(colouring.values)
        points = ax.scatter(x[known], y[known], c=colouring.values[known], cmap="viridis", **look)
        draw_colour_bar(ax, points, str(colouring.title))
    if colouring.has_legend and legend_loc is not None:
        _draw_legend(ax, colouring, handles, legend_loc, size)


def _draw_legend(ax: Axes, colouring: Colouring, handles: list[PathCollection], loc: str, size: float) -> None:
    place: dict[str, Any] = {"loc": loc}
    n_columns = math.ceil(len(colouring.levels) / LEGEND_ROWS)
    if loc == "right margin":
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "borderaxespad": 0.3}
    elif loc == "below":
        place = place_below_labels(ax)
        n_columns = legend_columns(LAID_OUT * width_in_points(ax), colouring.labels)
    # a legend wider than its Axes would make them narrower at each layout of the figure
    room = LAID_OUT * ax.get_window_extent().width
    for ncols in range(n_columns, 0, -1):
        # labels are given here: matplotlib leaves out artists whose label begins with "_"
        legend = ax.legend(
            handles=handles,
            labels=colouring.labels,
            ncols=ncols,
            title=plain(colouring.title) if colouring.values is None else None,
            fontsize="small",
            title_fontsize="small",
            frameon="bbox_to_anchor" not in place,
            markerscale=math.sqrt(LEGEND_MARKER / size),
            handletextpad=0.1,
            columnspacing=0.8,
            alignment="left",
            **place,
        )
        set_fonts([*legend.get_texts(), legend.get_title()])
        if loc != "below" or legend.get_window_extent().width <= room:
            return
