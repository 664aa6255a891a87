from os import PathLike
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bulkvi import comparison_names as cn
from bulkvi import enrichment_names as en
from bulkvi.names import ADJ_P_VALUE
from bulkvi.pl._axes import OKABE_ITO
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import check_columns, legend_beneath, say_above
from bulkvi.pl._terms import SCORE_WORDS, first_terms, term_axes, write_terms
from bulkvi.pl._text import plain

ORIGIN: Final = ("compared", "bulkvi.tl.compare_enrichment()")
LOOKS: Final = ((OKABE_ITO[0], "o", -0.14), (OKABE_ITO[1], "D", 0.14))
"""Colour, marker and place in the row of the two tables."""


def enrichment_compare(
    compared: pd.DataFrame,
    *,
    n_terms: int = 15,
    level: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Do two methods tell of the same pathways? The scores of both for each of the surest terms.

    A circle for the first table and a diamond for the second, with intervals over posterior draws where a table has them.
    Open: not called. Below stands how well all terms agree.

    Parameters
    ----------
    compared
        Table of :func:`bulkvi.tl.compare_enrichment`; its first terms are drawn in its order, whether both have a score or
        not. Of terms with the same score and genes only the first is drawn. It is not changed.
    n_terms
        How many terms.
    level
        False discovery rate: a term is called at an adjusted p-value below it. By default that of the comparison.
    ax
        Where to draw; None makes a figure of one column width (3.3 inches), as high as the terms need.
    show
        Whether to call ``matplotlib.pyplot.show``; a notebook shows the figure without it.
    save
        File to write the whole figure to, such as ``"figure.pdf"``; the ending says the format.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError
        If ``compared`` is no table.
    KeyError
        If a column is missing.
    ValueError
        If a number is out of range or no term has a score in the first table.

    Examples
    --------
    >>> import bulkvi as bv
    >>> here = pd.DataFrame(
    ...     {
    ...         "term": ["wound healing", "translation"],
    ...         "term_id": "",
    ...         "direction": "up",
    ...         "score": [4.0, 0.5],
    ...         "p_value": [1e-4, 0.6],
    ...         "adj_p_value": [2e-4, 0.6],
    ...     }
    ... )
    >>> both = bv.tl.compare_enrichment(here, here.assign(score=[3.0, 2.5]), labels=("bulkvi", "DESeq2"))
    >>> ax = bv.pl.enrichment_compare(both)
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['bulkvi', 'DESeq2', 'not called']
    """
    pairs = [en.SCORE, ADJ_P_VALUE]
    check_columns(compared, [en.TERM, *pairs, *(column + cn.OTHER for column in pairs)], ORIGIN)
    level = float(compared.attrs.get(en.LEVEL, 0.05)) if level is None else level
    chosen = first_terms(compared, n_terms, level, ("", cn.OTHER))
    labels = [plain(label) for label in compared.attrs.get(en.LABELS, ("first", "second"))]
    method = compared.attrs.get(en.METHOD, "")
    ax = term_axes(ax, len(chosen))
    rows = np.arange(len(chosen))
    handles, any_open = [], False
    for suffix, label, (colour, marker, place) in zip(("", cn.OTHER), labels, LOOKS, strict=True):
        side = _sides(chosen, method)
        score, low, high = (side * _values(chosen, name + suffix) for name in (en.SCORE, en.SCORE_LOW, en.SCORE_HIGH))
        called = _values(chosen, ADJ_P_VALUE + suffix) < level
        any_open |= bool((np.isfinite(score) & ~called).any())
        ax.hlines(rows + place, low, high, color="0.15", linewidth=0.8, zorder=4)
        face = np.where(called, colour, "white")
        ax.scatter(score, rows + place, s=18, c=face, marker=marker, edgecolors=colour, linewidths=0.9, zorder=3)
        handles.append(_entry(colour, colour, marker, label))
    if any_open:
        handles.append(_entry("white", "0.3", "o", "not called"))
    ax.axvline(0, color="0.6", linewidth=0.6, zorder=0)
    write_terms(ax, chosen[en.TERM].astype(str).tolist())
    word = SCORE_WORDS.get(method, "Score")
    left = method == "ora" and bool((_sides(chosen, method) < 0).any())
    ax.set_xlabel(f"{word}; down to the left" if left else word)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    legend_beneath(ax, handles)
    say_above(ax, _said(compared.attrs.get(en.CONCORDANCE, {}), len(compared)))
    return finish(ax, show=show, save=save)


def _values(table: pd.DataFrame, column: str) -> np.ndarray:
    return table[column].to_numpy(float) if column in table else np.full(len(table), np.nan)


def _sides(table: pd.DataFrame, method: str) -> np.ndarray:
    """Of ora a row is about one direction, in both tables; scores of genes that go down are drawn to the left."""
    if method != "ora" or en.DIRECTION not in table:
        return np.ones(len(table))
    return np.where(table[en.DIRECTION] == en.DOWN, -1.0, 1.0)


def _said(values: dict[str, Any], n_terms: int) -> list[str]:
    if not values:
        return [f"{n_terms:,} terms"]
    called = f"called {values[cn.CALLED_HERE]:,} and {values[cn.CALLED_OTHER]:,}, both {values[cn.CALLED_BOTH]:,}"
    return [f"{values[cn.N_SHARED]:,} terms", f"Spearman {values[cn.SPEARMAN]:.3f}", called]


def _entry(face: str, edge: str, marker: str, text: str) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=5,
        markeredgewidth=0.9,
        color=face,
        markeredgecolor=edge,
        label=text,
    )
