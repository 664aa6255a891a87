from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi.design_names import ASSOCIATION, COLUMN, MEASURE, OTHER_COLUMN
from bulkvi.pl._figure import COLUMN_WIDTH, draw_colour_bar, finish, new_axes
from bulkvi.pl._text import plain, set_fonts

CELL = 0.26
MARGIN = 1.2
MAX_WRITTEN = 9
DARK = 0.6
NEARLY_ONE = 1 - 1e-9
ROUNDING = 1e-9


def design(
    check: Any,
    *,
    ax: Axes | None = None,
    annotate: bool | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw how closely each two columns of the table of samples are associated, from 0 to 1. Which are confounded?

    A dark cell in the row of a variable of the design marks a column whose effect cannot be separated from its own. The
    measure is Cramer's V for two categorical columns, eta squared for a categorical and a numeric one, squared correlation
    for two numeric ones; with few samples and many levels Cramer's V is large by chance.

    Parameters
    ----------
    check
        Result of ``bulkvi.tl.check_design``, or its table ``association``. It is not changed.
    annotate
        Whether to write the numbers into the cells; by default up to 9 columns.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``check`` is neither, a column of the table is missing, or there are no two columns to compare.

    Examples
    --------
    >>> import bulkvi as bv
    >>> check = bv.tl.check_design(bv.datasets.airway(), "~ cell + dex")
    >>> ax = bv.pl.design(check)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['cell', 'dex']
    """
    table = check if isinstance(check, pd.DataFrame) else getattr(check, "association", None)
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`check` must be a result of bulkvi.tl.check_design, or a table; it is a {type(check).__name__}."
        )
    missing = [name for name in (COLUMN, OTHER_COLUMN, ASSOCIATION, MEASURE) if name not in table]
    if missing:
        raise KeyError(f"the table lacks the columns {missing}; give the result of bulkvi.tl.check_design.")
    if table.empty:
        raise ValueError("there are no two columns of obs to compare: all others are constant or identifiers.")
    columns = list(dict.fromkeys([*table[COLUMN], *table[OTHER_COLUMN]]))
    place = {name: k for k, name in enumerate(columns)}
    matrix = np.full((len(columns), len(columns)), np.nan)
    for first, second, value in table[[COLUMN, OTHER_COLUMN, ASSOCIATION]].itertuples(index=False):
        matrix[place[first], place[second]] = matrix[place[second], place[first]] = value
    if ax is None:
        ax = new_axes(height=max(1.8, min(MARGIN + CELL * len(columns), 2 * COLUMN_WIDTH)))
    edges = np.arange(len(columns) + 1) - 0.5
    unknown = np.ma.masked_invalid(matrix)
    drawn = ax.pcolormesh(edges, edges, unknown, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    ax.invert_yaxis()
    ax.set_facecolor("0.95")
    ticks = range(len(columns))
    labels = [plain(column) for column in columns]
    ax.set_xticks(ticks, labels, rotation=45, ha="right", rotation_mode="anchor", fontsize="small")
    ax.set_yticks(ticks, labels, fontsize="small")
    set_fonts([*ax.get_xticklabels(), *ax.get_yticklabels()])
    ax.tick_params(length=0)
    if len(columns) <= MAX_WRITTEN if annotate is None else annotate:
        for row, column in np.argwhere(np.isfinite(matrix)):
            value = matrix[row, column]
            # rounded down: only a full association is written as 1
            text = "1" if value > NEARLY_ONE else f"{int(100 * value + ROUNDING) / 100:.2f}".removeprefix("0")
            colour = "white" if value > DARK else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize="x-small", color=colour)
    draw_colour_bar(ax, drawn, "Association")
    return finish(ax, show=show, save=save)
