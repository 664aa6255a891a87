"""Figures of one column width, their scales and legends, and what a plot does last."""

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy

from bulkvi.pl._text import SMALL, plain, set_fonts, text_width, width_in_points

COLUMN_WIDTH: Final = 3.3  # width of a new figure, inches: one column of a journal
AXES_HEIGHT: Final = 2.4
PANEL_COLUMNS: Final = 2  # panels side by side: two columns of a journal
LAID_OUT: Final = 0.85  # width of an Axes after layout, when its labels have room, as a share of that before
DPI: Final = 300  # dots per inch of saved bitmaps, and of many points that are one image in a vector file
MAX_VECTOR_POINTS: Final = 2_000  # above this many points a vector file becomes slow to open
OKABE_ITO: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
"""Palette that colour-blind readers can distinguish (Okabe and Ito 2008), lightest and black last."""


def new_axes(*, height: float = AXES_HEIGHT) -> Axes:
    """Make an Axes in a new pyplot figure of one column width; ``height`` in inches."""
    return plt.subplots(figsize=(COLUMN_WIDTH, height), layout="constrained")[1]


def new_panels(n_panels: int, *, height: float = AXES_HEIGHT) -> list[Axes]:
    """Make Axes of one column width each in a new pyplot figure, at most `PANEL_COLUMNS` side by side; ``height`` of one in inches."""
    n_columns, n_rows = min(n_panels, PANEL_COLUMNS), panel_rows(n_panels)
    size = (COLUMN_WIDTH * n_columns, height * n_rows)
    axes = plt.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)[1].ravel().tolist()
    for empty in axes[n_panels:]:
        empty.remove()
    return axes[:n_panels]


def panel_rows(n_panels: int) -> int:
    """Count the rows of panels in a figure."""
    return math.ceil(n_panels / PANEL_COLUMNS)


def set_height(ax: Axes, inches: float) -> None:
    """Set the height of the figure of an Axes."""
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.set_figheight(inches)


def finish(ax: Axes, *, show: bool, save: str | PathLike[str] | None) -> Axes:
    """Save the figure of an Axes, then show it, each on request; raise TypeError if ``show`` is no bool."""
    if not isinstance(show, bool):
        raise TypeError(f"`show` is True or False; it is {show!r}.")
    figure = ax.get_figure(root=True)
    if save is not None and figure is not None:
        # text of vector files as text: journals refuse matplotlib's usual outlines
        with plt.rc_context({"pdf.fonttype": 42, "ps.fonttype": 42}):
            figure.savefig(save, dpi=DPI)
    if show:
        plt.show()
    return ax


def set_round_ticks(*axes: Axis) -> None:
    """Put about five ticks at round numbers."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def draw_agreement(ax: Axes) -> None:
    """Draw the line y = x and the two zero lines, and set round ticks."""
    ax.axline((0, 0), slope=1, color="0.4", linewidth=0.8)
    for draw_zero in (ax.axhline, ax.axvline):
        draw_zero(0, color="0.8", linewidth=0.6, zorder=0)
    set_round_ticks(ax.xaxis, ax.yaxis)


def set_square(ax: Axes, reach: float) -> None:
    """Give both axes the limits ``-reach`` and ``reach`` and the same scale."""
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")


def draw_colour_bar(ax: Axes, drawn: ScalarMappable, label: str) -> None:
    """Draw a colour bar to the right of an Axes, of the same height."""
    bar = ax.inset_axes((1.03, 0, 0.05, 1))
    ax.figure.colorbar(drawn, cax=bar, label=plain(label))
    set_fonts([bar.yaxis.label])


def legend_marker(
    colour: str, label: str, *, marker: str = "o", edge: str | None = None, markersize: float = 5
) -> Line2D:
    """Make a marker for a legend; ``edge`` is the colour of its outline, None for no outline."""
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=markersize,
        color=colour,
        markeredgewidth=0 if edge is None else 0.9,
        markeredgecolor=colour if edge is None else edge,
        label=label,
    )


def legend_below(
    ax: Axes, handles: Sequence[Any], *, title: str | None = None, lower: float = 0, ncols: int | None = None
) -> None:
    """Draw a legend below an Axes, by default in one row if it fits; ``lower`` points make room for long tick labels."""
    if ncols is None:
        labels, room = [str(one.get_label()) for one in handles], LAID_OUT * width_in_points(ax)
        fits = text_width(sum(len(label) + 4 for label in labels)) <= room
        ncols = len(handles) if fits else legend_columns(room, labels)
    legend = ax.legend(
        handles=list(handles),
        title=title,
        ncols=ncols,
        fontsize="small",
        title_fontsize="small",
        frameon=False,
        handlelength=1.2,
        handletextpad=0.3,
        columnspacing=1.2,
        alignment="left",
        **place_below_labels(ax, lower=lower),
    )
    set_fonts([*legend.get_texts(), legend.get_title()])


def place_below_labels(ax: Axes, *, lower: float = 0) -> dict[str, Any]:
    """Place a legend below the tick labels and the label of the x axis, ``lower`` points further down."""
    # clear of tick labels and axis label, whatever their size; an Axes may have no ticks
    sizes = [float(text.get_fontsize()) for text in (ax.xaxis.label, *ax.xaxis.get_ticklabels()[:1])]
    return place_below(ax, 1.2 * sum(sizes) + 12 + lower)


def place_below(ax: Axes, points: float) -> dict[str, Any]:
    """Place a legend so many points below an Axes: arguments of ``ax.legend``."""
    anchor = offset_copy(ax.transAxes, fig=ax.get_figure(root=True), y=-points, units="points")
    return {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": anchor, "borderaxespad": 0}


def legend_columns(width: float, labels: Sequence[str]) -> int:
    """Count the columns of a legend that fit into a width in points."""
    fitting = int(width / text_width(max(map(len, labels)) + 5))
    return max(1, min(fitting, len(labels)))


def one_or_two_columns(ax: Axes, texts: Sequence[str]) -> int:
    """Choose one or two columns for a legend below an Axes that these texts fill column by column."""
    half = (len(texts) + 1) // 2
    longest = [max(map(len, part), default=0) + 7 for part in (texts[:half], texts[half:])]
    return 2 if len(texts) > 1 and text_width(sum(longest)) <= width_in_points(ax) else 1


def legend_height(n_entries: int, n_columns: int = 1, *, title: bool = False) -> float:
    """Approximate height of a legend, inches."""
    rows = math.ceil(n_entries / n_columns) + title
    return rows * 1.6 * SMALL * plt.rcParams["font.size"] / 72
