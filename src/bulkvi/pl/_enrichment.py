import re
import textwrap
from collections.abc import Sequence
from os import PathLike
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bulkvi import comparison_names as cn
from bulkvi import enrichment_names as en
from bulkvi.arguments import check_whole
from bulkvi.names import ADJ_P_VALUE
from bulkvi.pl._figure import OKABE_ITO, finish, legend_below, legend_marker, new_axes
from bulkvi.pl._gene_table import DOWN, UP, check_level, check_table
from bulkvi.pl._text import plain, set_fonts, write_caption

NEEDED: Final = (en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, ADJ_P_VALUE, en.SIZE, en.N_CALLED)
AREA: Final = (8.0, 70.0)  # smallest and largest area of a dot, square points
SIDES: Final = ((OKABE_ITO[0], "o", -0.14), (OKABE_ITO[1], "D", 0.14))
"""Colour, marker and place in the row of two tables that are compared."""
WIDTH: Final = 26  # characters in a line of a term's name
ROW: Final = 0.29  # height of a row, inches: two lines of a name
NOT_CALLED_EDGE: Final = "0.3"
SCORE_WORDS: Final = {
    "ora": "Log2 odds ratio",
    "gsea": "Normalised enrichment score",
    "ulm": "Score (t-value)",
}
_DATABASE: Final = re.compile(r"^(HALLMARK|GO[A-Z]*|REACTOME|KEGG[A-Z_]*?|WP|BIOCARTA|PID)_(?=[A-Z0-9])")


def enrichment(
    table: pd.DataFrame,
    *,
    n_terms: int = 15,
    level: float = 0.05,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the scores of the most significant terms. Which pathways change, in which direction, and how certain is the score?

    Of ``"ora"`` the scores of down-regulated genes are drawn to the left. Dark lines are the intervals over posterior draws,
    where the table has them. Colours are the direction; a term that is not called has an open dot. The area of a dot grows
    with the number of called genes in the set; this number and the size of the set are written at the right.

    Parameters
    ----------
    table
        Table of :func:`bulkvi.tl.enrichment`; its first terms are drawn, in the order of their scores. Of terms with the same
        score and genes only the first is drawn. It is not changed.
    n_terms
        Number of terms.
    level
        False discovery rate: a term is called at an adjusted p-value below it.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``table`` is not a table or lacks a column, a number is out of range, or no term has a score.

    Examples
    --------
    >>> import bulkvi as bv
    >>> table = pd.DataFrame({"term": ["glucose import", "HALLMARK_E2F_TARGETS"], "direction": ["up", "down"]})
    >>> table = table.assign(score=[6.0, -4.0], score_low=[5.0, -5.0], score_high=[6.3, -3.1])
    >>> table = table.assign(adj_p_value=[1e-6, 0.2], size=[58, 190], n_called=[23, 40])
    >>> ax = bv.pl.enrichment(table)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['glucose import', 'e2f targets']
    """
    check_table(table, NEEDED, ("table", "bulkvi.tl.enrichment()"))
    chosen = _first_terms(table, n_terms, level)
    method = table.attrs.get(en.METHOD, "")
    chosen = chosen.iloc[np.argsort(-_signs(chosen, method) * chosen[en.SCORE].to_numpy(), kind="stable")]
    score, low, high = _scores(chosen, method)
    rows = np.arange(len(chosen))
    called = (chosen[ADJ_P_VALUE] < level).to_numpy()
    colour = np.where(chosen[en.DIRECTION] == en.UP, UP, DOWN)
    n_called = chosen[en.N_CALLED].to_numpy(float)
    area = AREA[0] + (AREA[1] - AREA[0]) * n_called / max(n_called.max(), 1)
    ax = new_axes(height=ROW * len(chosen) + 1.0) if ax is None else ax
    ax.hlines(rows, low, high, color="0.15", linewidth=0.9, zorder=4)
    face = np.where(called, colour, "white")
    ax.scatter(score, rows, s=area, c=face, edgecolors=colour.tolist(), linewidths=0.9, zorder=3)
    _label_terms(ax, chosen, method)
    for row, n, size in zip(rows, chosen[en.N_CALLED], chosen[en.SIZE], strict=True):
        ax.annotate(
            f"{n}/{size}", (1.02, row), xycoords=("axes fraction", "data"), fontsize="x-small", va="center", color="0.3"
        )
    ax.annotate("called/size", (1.02, -0.75), xycoords=("axes fraction", "data"), fontsize="xx-small", color="0.3")
    present = [one for one in ((UP, en.UP), (DOWN, en.DOWN)) if (chosen[en.DIRECTION] == one[1]).any()]
    handles = [legend_marker(colour, word, edge=colour) for colour, word in present]
    if not called.all():
        handles.append(legend_marker("white", f"{ADJ_P_VALUE} ≥ {level:g}", edge=NOT_CALLED_EDGE))
    legend_below(ax, handles, ncols=2 if len(handles) > 2 else None)
    write_caption(ax, [f"{int((table[ADJ_P_VALUE] < level).sum()):,} of {len(table):,} called"])
    return finish(ax, show=show, save=save)


def enrichment_compare(
    compared: pd.DataFrame,
    *,
    n_terms: int = 15,
    level: float | None = None,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Draw the scores of the most significant terms in two tables. Do two methods find the same pathways?

    Circles are scores of the first table and diamonds those of the second, with intervals over posterior draws where a table
    has them; open ones are not called. The caption measures the agreement over all terms.

    Parameters
    ----------
    compared
        Table of :func:`bulkvi.tl.compare_enrichment`; its first terms with a score in either table are drawn in its order.
        Of terms with the same score and genes only the first is drawn. It is not changed.
    n_terms
        Number of terms.
    level
        False discovery rate: a term is called at an adjusted p-value below it. By default that of the comparison.
    ax, show, save
        Axes to draw on, by default in a new figure of one column width (3.3 inches); whether to call
        ``matplotlib.pyplot.show``; file to save the figure to, in the format of its ending.

    Returns
    -------
    The Axes.

    Raises
    ------
    TypeError, KeyError, ValueError
        If ``compared`` is not a table or lacks a column, a number is out of range, or no term has a score.

    Examples
    --------
    >>> import bulkvi as bv
    >>> here = pd.DataFrame({"term": ["wound healing", "translation"], "score": [4.0, 0.5], "p_value": [1e-4, 0.6]})
    >>> here = here.assign(term_id="", direction="up", adj_p_value=[2e-4, 0.6])
    >>> both = bv.tl.compare_enrichment(here, here.assign(score=[3.0, 2.5]), labels=("bulkvi", "DESeq2"))
    >>> ax = bv.pl.enrichment_compare(both)
    >>> [text.get_text() for text in ax.get_legend().texts]
    ['bulkvi', 'DESeq2', 'not called']
    """
    pairs = [en.SCORE, ADJ_P_VALUE]
    needed = [en.TERM, *pairs, *(column + cn.OTHER for column in pairs)]
    check_table(compared, needed, ("compared", "bulkvi.tl.compare_enrichment()"))
    level = float(compared.attrs.get(en.LEVEL, 0.05)) if level is None else level
    chosen = _first_terms(compared, n_terms, level, ("", cn.OTHER))
    labels = [plain(label) for label in compared.attrs.get(en.LABELS, ("first", "second"))]
    method = compared.attrs.get(en.METHOD, "")
    ax = new_axes(height=ROW * len(chosen) + 1.0) if ax is None else ax
    rows = np.arange(len(chosen))
    handles, any_open = [], False
    for suffix, label, (colour, marker, place) in zip(("", cn.OTHER), labels, SIDES, strict=True):
        score, low, high = _scores(chosen, method, suffix)
        called = _numbers(chosen, ADJ_P_VALUE + suffix) < level
        any_open |= bool((np.isfinite(score) & ~called).any())
        ax.hlines(rows + place, low, high, color="0.15", linewidth=0.8, zorder=4)
        face = np.where(called, colour, "white")
        ax.scatter(score, rows + place, s=18, c=face, marker=marker, edgecolors=colour, linewidths=0.9, zorder=3)
        handles.append(legend_marker(colour, label, marker=marker, edge=colour))
    if any_open:
        handles.append(legend_marker("white", "not called", edge=NOT_CALLED_EDGE))
    _label_terms(ax, chosen, method)
    legend_below(ax, handles)
    write_caption(ax, _agreement(compared.attrs.get(en.CONCORDANCE, {}), len(compared)))
    return finish(ax, show=show, save=save)


def short_term(term: str, width: int = WIDTH) -> str:
    """Write a term in at most two lines; names of MSigDB without the database, underscores and capitals."""
    if _DATABASE.match(term) and " " not in term:
        term = _DATABASE.sub("", term).replace("_", " ").lower()
    lines = textwrap.wrap(term, width, max_lines=2, placeholder=" …") or [term]
    return "\n".join(plain(line) for line in lines)


def _first_terms(table: pd.DataFrame, n_terms: int, level: float, suffixes: Sequence[str] = ("",)) -> pd.DataFrame:
    """The first rows with a score in any of the joined tables; of rows with equal direction, genes and score the first."""
    check_whole("n_terms", n_terms, least=1)
    check_level(level)
    names = [column + suffix for suffix in suffixes for column in (en.DIRECTION, en.SCORE, en.SIZE, en.GENES)]
    scored = np.isfinite(table[[en.SCORE + suffix for suffix in suffixes]]).any(axis=1)
    chosen = table[scored].drop_duplicates([column for column in names if column in table]).head(n_terms)
    if chosen.empty:
        raise ValueError("the table has no term with a score.")
    return chosen


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    return table[column].to_numpy(float) if column in table else np.full(len(table), np.nan)


def _signs(table: pd.DataFrame, method: str) -> np.ndarray:
    """-1 where a score is drawn to the left: a row of ora is one direction, and its score is an odds ratio."""
    if method != "ora" or en.DIRECTION not in table:
        return np.ones(len(table))
    return np.where(table[en.DIRECTION] == en.DOWN, -1.0, 1.0)


def _scores(table: pd.DataFrame, method: str, suffix: str = "") -> list[np.ndarray]:
    """Signed score, lower and upper end of its interval."""
    columns = (en.SCORE, en.SCORE_LOW, en.SCORE_HIGH)
    return [_signs(table, method) * _numbers(table, column + suffix) for column in columns]


def _label_terms(ax: Axes, chosen: pd.DataFrame, method: str) -> None:
    """Name the terms in rows from the top, and the scores."""
    rows = range(len(chosen))
    ax.axvline(0, color="0.6", linewidth=0.6, zorder=0)
    ax.set_yticks(rows, [short_term(str(term)) for term in chosen[en.TERM]], fontsize="x-small", linespacing=0.95)
    set_fonts(ax.get_yticklabels())
    ax.set_ylim(len(chosen) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for row in rows:
        ax.axhline(row, color="0.92", linewidth=0.6, zorder=0)
    word = SCORE_WORDS.get(method, "Score")
    ax.set_xlabel(f"{word}; down to the left" if (_signs(chosen, method) < 0).any() else word)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def _agreement(values: dict[str, Any], n_terms: int) -> list[str]:
    if not values:
        return [f"{n_terms:,} terms"]
    called = f"called {values[cn.CALLED_HERE]:,} and {values[cn.CALLED_OTHER]:,}, both {values[cn.CALLED_BOTH]:,}"
    return [f"{values[cn.N_SHARED]:,} terms", f"Spearman {values[cn.SPEARMAN]:.3f}", called]
