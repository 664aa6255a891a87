"""Genes of a table as points: what can be drawn of them, how so many look, and what is said above the Axes."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bulkvi.arguments import check_number
from bulkvi.names import ADJ_P_VALUE, P_VALUE
from bulkvi.pl._axes import MAX_VECTOR_POINTS, OKABE_ITO, beneath, text_width, width_in_points
from bulkvi.pl._text import set_fonts

DE: Final = ("de", "model.differential_expression()")
"""Argument that takes the table of differential expression, and what gives that table."""

NOT_CALLED: Final = "0.6"
DOWN: Final = OKABE_ITO[0]
UP: Final = OKABE_ITO[1]


def check_columns(table: pd.DataFrame, columns: Sequence[str], origin: tuple[str, str] = DE) -> None:
    """Raise a TypeError for what is no table, and a KeyError that says which columns are missing and what gives them."""
    argument, source = origin
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a table, as {source} gives it, not {type(table).__name__}.")
    missing = [column for column in columns if column not in table]
    if missing:
        raise KeyError(f"no columns {missing} in `{argument}`; it has {list(table.columns)}. {source} gives them.")


def table_values(table: pd.DataFrame, columns: Sequence[str], origin: tuple[str, str] = DE) -> np.ndarray:
    """Columns of a table as numbers, columns x genes, NaN where there is none; errors as :func:`check_columns`."""
    check_columns(table, columns, origin)
    return table[list(columns)].to_numpy(dtype=float, na_value=np.nan, copy=True).T


def finite_genes(values: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Which genes have finite values in all of the columns, boolean; an error where none has."""
    finite = np.isfinite(values).all(0)
    if not finite.any():
        raise ValueError(f"none of the {finite.size} genes has finite values in all of {list(columns)}.")
    return finite


def called_genes(de: pd.DataFrame, level: float) -> np.ndarray:
    """Which genes are called at a false discovery rate, boolean."""
    check_number("level", level)
    if not 0 < level < 1:
        raise ValueError(f"`level` is a false discovery rate between 0 and 1; it is {level}.")
    return table_values(de, [ADJ_P_VALUE])[0] < level


def p_values_of(de: pd.DataFrame) -> np.ndarray:
    """The p-values, NaN where there is none; an error that names one outside [0, 1]."""
    p_value = table_values(de, [P_VALUE])[0]
    outside = (p_value < 0) | (p_value > 1)
    if outside.any():
        raise ValueError(
            f"p-values lie between 0 and 1; {outside.sum()} of `de` do not, such as {p_value[outside][0]:g} of gene "
            f"{de.index[outside][0]!r}."
        )
    return p_value


def points_look(n_points: int) -> dict[str, Any]:
    """How a scatter of so many points looks: small and see-through where points would hide each other."""
    many = n_points > MAX_VECTOR_POINTS
    return {"s": 2 if many else 8, "alpha": 0.3 if many else 0.6, "linewidths": 0, "rasterized": many}


def draw_calls(ax: Axes, x: np.ndarray, y: np.ndarray, parts: Sequence[np.ndarray]) -> None:
    """Draw genes in the colours of not called, down and up.

    Parameters
    ----------
    ax
        Where to draw.
    x, y
        Coordinates of the genes.
    parts
        Which genes to draw as each of the three, boolean, as :func:`split_calls` gives them.
    """
    look = points_look(x.size)
    for at, colour in zip(parts, (NOT_CALLED, DOWN, UP), strict=True):
        ax.scatter(x[at], y[at], color=colour, **look)


def split_calls(effect: np.ndarray, called: np.ndarray) -> list[np.ndarray]:
    """Which genes are not called, called and down, called and up; NaN is in none of them."""
    known = np.isfinite(effect)
    return [known & ~called, called & (effect < 0), called & (effect >= 0)]


def explain_calls(ax: Axes, parts: Sequence[np.ndarray], level: float) -> None:
    """Write below an Axes how many genes are called, in the colours of :func:`draw_calls`."""
    words = zip(parts[1:], (DOWN, UP), ("down", "up"), strict=True)
    handles = [dot(colour, f"{at.sum():,} {word}") for at, colour, word in words]
    legend_beneath(ax, handles, title=f"Called at {ADJ_P_VALUE} < {level:g}")


def dot(colour: str, label: str) -> Line2D:
    """A dot for a legend."""
    return Line2D([], [], linestyle="none", marker="o", markersize=5, markeredgewidth=0, color=colour, label=label)


def legend_beneath(
    ax: Axes, handles: list[Any], *, title: str | None = None, lower: float = 0, ncols: int | None = None
) -> None:
    """Legend below an Axes, of one row by default; lower by so many points, for tick labels that reach further down."""
    legend = ax.legend(
        handles=handles,
        title=title,
        ncols=ncols or len(handles),
        fontsize="small",
        title_fontsize="small",
        frameon=False,
        handlelength=1.2,
        handletextpad=0.3,
        columnspacing=1.2,
        alignment="left",
        **beneath(ax, lower=lower),
    )
    set_fonts([*legend.get_texts(), legend.get_title()])


def columns_that_fit(ax: Axes, texts: Sequence[str]) -> int:
    """Columns of a legend below an Axes, one or two, that these texts fill column by column."""
    half = (len(texts) + 1) // 2
    longest = [max(map(len, part), default=0) + 7 for part in (texts[:half], texts[half:])]
    return 2 if len(texts) > 1 and text_width(sum(longest)) <= width_in_points(ax) else 1


def say_above(ax: Axes, sayings: Sequence[str]) -> None:
    """Write above an Axes, in as many lines as the width needs; names in it are :func:`~bulkvi.pl._text.plain`."""
    lines = [sayings[0]]
    for saying in sayings[1:]:
        joined = f"{lines[-1]}; {saying}"
        if text_width(len(joined)) <= width_in_points(ax):
            lines[-1] = joined
        else:
            lines[-1] += ";"
            lines.append(saying)
    set_fonts([ax.set_title("\n".join(lines), loc="left", fontsize="small")])


def count_genes(n_genes: int, n_drawn: int, *more: str) -> list[str]:
    """How many genes are drawn, and how many are not."""
    missing = [f"{n_genes - n_drawn:,} without finite values"] if n_drawn < n_genes else []
    return [f"{n_drawn:,} genes", *missing, *more]
