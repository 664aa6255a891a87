"""Tables with a row per gene: checks, which genes to draw and to name, and their points."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi.arguments import check_number, check_whole
from bulkvi.names import ADJ_P_VALUE, CONTRAST, P_VALUE, SYMBOL
from bulkvi.pl._figure import MAX_VECTOR_POINTS, OKABE_ITO, legend_below, legend_marker
from bulkvi.pl._text import plain

GeneNames: TypeAlias = str | Mapping[str, str] | pd.Series | None

DE: Final = ("de", "model.differential_expression()")
"""Argument that takes the table of differential expression, and what returns that table."""
NOT_CALLED: Final = "0.6"
DOWN: Final = OKABE_ITO[0]
UP: Final = OKABE_ITO[1]


def check_table(table: pd.DataFrame, columns: Sequence[str], origin: tuple[str, str] = DE) -> None:
    """Raise TypeError for anything but a table, KeyError for missing columns; ``origin`` is an argument and its source."""
    argument, source = origin
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a table, as {source} returns it, not {type(table).__name__}.")
    missing = [column for column in columns if column not in table]
    if missing:
        raise KeyError(f"no columns {missing} in `{argument}`; it has {list(table.columns)}. {source} returns them.")


def table_values(table: pd.DataFrame, columns: Sequence[str], origin: tuple[str, str] = DE) -> np.ndarray:
    """Return columns of a checked table as numbers, columns x genes, NaN where missing."""
    check_table(table, columns, origin)
    return table[list(columns)].to_numpy(dtype=float, na_value=np.nan, copy=True).T


def finite_genes(values: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Which genes have finite values in all columns, boolean; raise ValueError if none has."""
    finite = np.isfinite(values).all(0)
    if not finite.any():
        raise ValueError(f"none of the {finite.size} genes has finite values in all of {list(columns)}.")
    return finite


def check_level(level: float) -> None:
    """Raise unless ``level`` is a false discovery rate."""
    check_number("level (a false discovery rate)", level, above=0, below=1)


def check_limit(limit: float | None) -> None:
    """Raise unless ``limit`` is None or a positive log2 fold change."""
    if limit is not None:
        check_number("limit (log2)", limit, above=0)


def called_genes(de: pd.DataFrame, level: float) -> np.ndarray:
    """Which genes are called at a false discovery rate, boolean."""
    check_level(level)
    return table_values(de, [ADJ_P_VALUE])[0] < level


def checked_p_values(de: pd.DataFrame) -> np.ndarray:
    """Return the p-values, NaN where missing; raise ValueError for one outside [0, 1]."""
    p_value = table_values(de, [P_VALUE])[0]
    outside = (p_value < 0) | (p_value > 1)
    if outside.any():
        raise ValueError(
            f"p-values lie between 0 and 1; {outside.sum()} of `de` do not, such as {p_value[outside][0]:g} of gene "
            f"{de.index[outside][0]!r}."
        )
    return p_value


def select_labelled(table: pd.DataFrame, label: int | Sequence[str], ranked: np.ndarray, argument: str) -> np.ndarray:
    """Positions of the genes to name: the first ``label`` of those ranked, or the genes given by the index."""
    genes = count_or_names("label", label, least=0)
    if isinstance(genes, int):
        return ranked[:genes]
    check_in_index(table, genes, argument)
    return np.flatnonzero(table.index.isin(genes))


def count_or_names(argument: str, value: int | Sequence[str], *, least: int) -> int | list[str]:
    """Return a number of genes or a list of names; raise unless it is one of them."""
    if isinstance(value, bool | int | float | np.number):
        check_whole(f"{argument} (a number of genes, or their names)", value, least=least)
        return int(value)
    return [value] if isinstance(value, str) else list(value)


def check_in_index(table: pd.DataFrame, genes: Sequence[str], argument: str) -> None:
    """Raise KeyError if genes are not in the index of the table that an argument is or holds."""
    absent = [gene for gene in genes if gene not in table.index]
    if absent:
        raise KeyError(
            f"genes are not in the index of `{argument}`: {absent[:5]}; it holds {list(table.index[:3])} ..."
        )


def display_names(table: pd.DataFrame, chosen: np.ndarray, gene_names: GeneNames, argument: str) -> list[str]:
    """Names of the chosen genes of a table; a gene without a name keeps that of the index."""
    if isinstance(gene_names, str) and gene_names not in table:
        raise KeyError(f"no column {gene_names!r} in `{argument}`; it has {list(table.columns)}.")
    if gene_names is None and SYMBOL in table:
        gene_names = SYMBOL
    genes = table.index[chosen]
    if gene_names is None:
        names = list(genes)
    elif isinstance(gene_names, str):
        names = list(table[gene_names].iloc[chosen])
    else:
        names = [gene_names.get(gene) for gene in genes]
    return [str(gene if pd.isna(name) or name == "" else name) for gene, name in zip(genes, names, strict=True)]


def count_genes(n_genes: int, n_drawn: int, *more: str) -> list[str]:
    """Describe how many genes are drawn, and how many are not, for a caption."""
    missing = [f"{n_genes - n_drawn:,} without finite values"] if n_drawn < n_genes else []
    return [f"{n_drawn:,} genes", *missing, *more]


def name_contrast(de: pd.DataFrame) -> list[str]:
    """Name the contrast of a table, for a caption; nothing if the table names none, or several."""
    labels = de[CONTRAST].unique() if CONTRAST in de else []
    return [plain(labels[0])] if len(labels) == 1 else []


def count_beyond(beyond: np.ndarray, limit: float | None) -> list[str]:
    """Describe how many genes lie beyond the limit of an axis, for a caption."""
    return [f"{beyond.sum():,} beyond ±{limit:g}"] if beyond.any() else []


def axis_reach(values: np.ndarray, limit: float | None) -> float:
    """End of a symmetric axis: the limit, or the largest absolute value."""
    return (float(np.abs(values).max()) or 1.0) if limit is None else float(limit)


def points_look(n_points: int) -> dict[str, Any]:
    """Arguments of a scatter: small, transparent points where there are many."""
    many = n_points > MAX_VECTOR_POINTS
    return {"s": 2 if many else 8, "alpha": 0.3 if many else 0.6, "linewidths": 0, "rasterized": many}


def split_calls(effect: np.ndarray, called: np.ndarray) -> list[np.ndarray]:
    """Which genes are not called, called and down, called and up; NaN is in none of them."""
    known = np.isfinite(effect)
    return [known & ~called, called & (effect < 0), called & (effect >= 0)]


def draw_calls(ax: Axes, x: np.ndarray, y: np.ndarray, parts: Sequence[np.ndarray]) -> None:
    """Draw genes in the colours of not called, down and up; ``parts`` are those of :func:`split_calls`."""
    look = points_look(x.size)
    for at, colour in zip(parts, (NOT_CALLED, DOWN, UP), strict=True):
        ax.scatter(x[at], y[at], color=colour, **look)


def explain_calls(ax: Axes, parts: Sequence[np.ndarray], level: float) -> None:
    """Write the number of called genes below an Axes, in the colours of :func:`draw_calls`."""
    words = zip(parts[1:], (DOWN, UP), ("down", "up"), strict=True)
    handles = [legend_marker(colour, f"{at.sum():,} {word}") for at, colour, word in words]
    legend_below(ax, handles, title=f"Called at {ADJ_P_VALUE} < {level:g}")
