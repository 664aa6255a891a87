"""Axes of one column width, and samples drawn on them in the colours of a column of ``obs``."""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.colors import is_color_like
from matplotlib.legend import Legend
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import offset_copy

from bulkvi.pl._text import plain, set_fonts

COLUMN_WIDTH: Final = 3.3
"""Width of a figure that an Axes is made in, inches: one column of a journal."""

AXES_HEIGHT: Final = 2.4
LAID_OUT: Final = 0.85
"""Width of an Axes beside its labels, as a share of what it has before the figure is laid out."""
SMALL: Final = 0.833
"""Font size that matplotlib calls small, as a share of the usual one."""

OKABE_ITO: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Palette that colour-blind readers can tell apart (Okabe and Ito 2008), lightest and black last."""

GROUP_COLOURS: Final = tuple(OKABE_ITO[i] for i in (2, 3, 4, 5, 6, 7, 0, 1))
"""The same for groups of samples: blue and orange last, as they mean down and up elsewhere."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""Second channel beside the colour; one more than colours, so that the pairs repeat only after 72 levels."""

MAX_LEVELS: Final = len(OKABE_ITO) * len(MARKERS)
LEGEND_ROWS: Final = 16
LEGEND_MARKER: Final = 30.0
"""Area of a marker in a legend, square points."""
TICKS_APART: Final = 0.15
"""Least distance of labelled ticks, as a share of the axis."""
MISSING: Final = "missing"
MISSING_COLOUR: Final = "lightgray"
EDGE: Final = "0.25"
# Above this many points a vector file becomes slow to open.
MAX_VECTOR_POINTS: Final = 2_000


class Level(NamedTuple):
    """Samples that share a marker and a legend entry."""

    label: str
    members: np.ndarray
    """Which samples, boolean, shape ``(n_samples,)``."""
    colour: str
    marker: str
    missing: bool = False
    """Whether their value is missing; a level may be called so too."""


class Colouring(NamedTuple):
    """How samples are told apart."""

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
        """Whether there is anything to explain by markers."""
        return self.title is not None and bool(self.levels)


def new_axes(*, height: float = AXES_HEIGHT) -> Axes:
    """Axes in a new pyplot figure of one column width."""
    return plt.subplots(figsize=(COLUMN_WIDTH, height), layout="constrained")[1]


def new_sample_axes(colouring: Colouring, legend_loc: str | None) -> Axes:
    """As :func:`new_axes`, higher by the legend that will stand below."""
    figure, ax = plt.subplots(figsize=(COLUMN_WIDTH, AXES_HEIGHT), layout="constrained")
    if legend_loc == "below" and colouring.has_legend:
        rows = 1 + math.ceil(len(colouring.levels) / legend_columns(LAID_OUT * width_in_points(ax), colouring.labels))
        figure.set_figheight(AXES_HEIGHT + legend_height(rows))
    return ax


def check_column(adata: AnnData, column: str) -> pd.Series:
    """Column of ``obs``, or a KeyError that lists the columns."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    if column not in adata.obs:
        raise KeyError(f"no column {column!r} in adata.obs; it has {list(adata.obs.columns)}.")
    return adata.obs[column]


def colour_samples(adata: AnnData, column: str | None) -> Colouring:
    """Decide colours and markers of all samples; numbers get a colour bar, all else levels."""
    everyone = np.ones(adata.n_obs, dtype=bool)
    if column is None:
        return Colouring(None, [Level("", everyone, GROUP_COLOURS[0], MARKERS[0])], None)
    values = check_column(adata, column)
    absent = values.isna().to_numpy(copy=True)
    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    numbers = values.to_numpy(dtype=float, na_value=np.nan, copy=True) if numeric else None
    if numbers is not None:
        absent |= ~np.isfinite(numbers)  # infinite ones have no place on a colour bar
        numbers[absent] = np.nan
    missing = [Level(MISSING, absent, MISSING_COLOUR, MARKERS[0], missing=True)] if absent.any() else []
    if numbers is not None:
        return Colouring(column, missing, numbers)
    categories = values.astype("category").cat.remove_unused_categories().cat.categories
    if len(categories) > MAX_LEVELS:
        raise ValueError(
            f"adata.obs[{column!r}] has {len(categories)} levels; at most {MAX_LEVELS} can be told apart. Group them, or "
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
    """Colours that scanpy keeps in ``uns``, by level; none unless there is one for each category."""
    stored = [str(colour) for colour in adata.uns.get(f"{column}_colors", ())]
    categories = values.astype("category").cat.categories
    if len(stored) != len(categories) or not all(map(is_color_like, stored)):
        return {}
    return dict(zip(categories, stored, strict=True))


def draw_samples(
    ax: Axes, x: np.ndarray, y: np.ndarray, colouring: Colouring, *, size: float | None, legend_loc: str | None
) -> None:
    """Draw a point for each sample, with a legend or a colour bar.

    Parameters
    ----------
    ax
        Where to draw.
    x, y
        Coordinates, shape ``(n_samples,)``.
    colouring
        Colours and markers.
    size
        Area of a marker in square points; smaller for more samples if None.
    legend_loc
        ``"below"``, ``"right margin"``, a location that matplotlib knows, or None for no legend.
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


class ApartLocator(MaxNLocator):
    """Evenly spaced numbers on a log axis, without those whose labels would meet."""

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Ticks from the smaller to the larger end."""
        ticks = [tick for tick in super().tick_values(vmin, vmax) if vmin <= tick <= vmax and tick > 0]
        kept = ticks[:1]
        for tick in ticks[1:]:
            if math.log(tick / kept[-1]) > TICKS_APART * math.log(vmax / vmin):
                kept.append(tick)
        return kept


def set_log_ticks(axis: Axis, values: np.ndarray) -> None:
    """Ticks of a log axis; one shorter than a decade would otherwise have one tick or none."""
    narrow = values.max() < 10 * values.min()
    axis.set_major_locator(ApartLocator(5, steps=[1, 2, 5, 10]) if narrow else LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())


def draw_colour_bar(ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Colour bar at the right of an Axes, as high as it."""
    bar = ax.inset_axes((1.03, 0, 0.05, 1))
    ax.figure.colorbar(drawn, cax=bar, label=plain(label))
    set_fonts([bar.yaxis.label])


def _draw_legend(ax: Axes, colouring: Colouring, handles: list[PathCollection], loc: str, size: float) -> None:
    place: dict[str, Any] = {"loc": loc, "ncols": math.ceil(len(colouring.levels) / LEGEND_ROWS)}
    if loc == "right margin":
        place |= {"loc": "upper left", "bbox_to_anchor": (1, 1), "borderaxespad": 0.3}
    elif loc == "below":
        place |= beneath(ax)
        place["ncols"] = legend_columns(LAID_OUT * width_in_points(ax), colouring.labels)
    # a legend wider than its Axes would make them narrower at each layout of the figure
    room = LAID_OUT * ax.get_window_extent().width
    while (
        _legend(ax, colouring, handles, place, size).get_window_extent().width > room
        and loc == "below"
        and place["ncols"] > 1
    ):
        place["ncols"] -= 1


def _legend(
    ax: Axes, colouring: Colouring, handles: list[PathCollection], place: dict[str, Any], size: float
) -> Legend:
    # named here: a label of its own that begins with "_" would keep a level out of the legend
    legend = ax.legend(
        handles=handles,
        labels=colouring.labels,
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
    return legend


def beneath(ax: Axes, *, lower: float = 0) -> dict[str, Any]:
    """Where a legend stands below an Axes, or lower by so many points: arguments of ``ax.legend``."""
    # clear of tick labels and axis label, whatever their size
    # an Axes may have no ticks
    sizes = [float(text.get_fontsize()) for text in (ax.xaxis.label, *ax.xaxis.get_ticklabels()[:1])]
    return below_by(ax, 1.2 * sum(sizes) + 12 + lower)


def below_by(ax: Axes, points: float) -> dict[str, Any]:
    """Where a legend stands so many points below an Axes: arguments of ``ax.legend``."""
    anchor = offset_copy(ax.transAxes, fig=ax.get_figure(root=True), y=-points, units="points")
    return {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": anchor, "borderaxespad": 0}


def legend_columns(width: float, labels: Sequence[str]) -> int:
    """How many columns of a legend fit into so many points."""
    fitting = int(width / text_width(max(map(len, labels)) + 5))
    return max(1, min(fitting, len(labels)))


def legend_height(rows: int) -> float:
    """Rough height of a legend of so many rows, inches."""
    return rows * 1.6 * SMALL * plt.rcParams["font.size"] / 72


def width_in_points(ax: Axes) -> float:
    """Width of an Axes in points."""
    return 72 * ax.get_window_extent().width / ax.figure.dpi


def text_width(n_characters: int) -> float:
    """Rough width of small text in points."""
    return 0.5 * SMALL * plt.rcParams["font.size"] * n_characters
