from os import PathLike
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bulkvi import enrichment_names as en
from bulkvi.names import ADJ_P_VALUE
from bulkvi.pl._finish import finish
from bulkvi.pl._gene_points import DOWN, UP, check_columns, legend_beneath, say_above
from bulkvi.pl._terms import SCORE_WORDS, first_terms, term_axes, write_terms

ORIGIN: Final = ("table", "bulkvi.tl.enrichment()")
NEEDED: Final = (en.TERM, en.DIRECTION, en.SCORE, en.SCORE_LOW, en.SCORE_HIGH, ADJ_P_VALUE, en.SIZE, en.N_CALLED)
AREA: Final = (8.0, 70.0)
"""Smallest and largest area of a dot, square points."""


def enrichment(
    table: pd.DataFrame,
    *,
    n_terms: int = 15,
    level: float = 0.05,
    ax: Axes | None = None,
    show: bool = False,
    save: str | PathLike[str] | None = None,
) -> Axes:
    """Which pathways change, which way, and how sure is the score? A dot and an interval for each of the surest terms.

    Scores lie from left to right; of ``"ora"`` those of genes that go down are drawn to the left. Dark lines are the intervals over
    posterior draws, where the table has them. Colours are the direction; a term that is not called has an open dot. The area
    of a dot grows with the number of called genes in the set, and that number and the size of the set stand at the right.

    Parameters
    ----------
    table
        Table of :func:`bulkvi.tl.enrichment`; its first terms are drawn, in the order of their scores. Of terms with the same
        score and genes only the first is drawn. It is not changed.
    n_terms
        How many terms.
    level
        False discovery rate: a term is called at an adjusted p-value below it.
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
        If ``table`` is no table.
    KeyError
        If a column is missing.
    ValueError
        If a number is out of range or no term has a score.

    Examples
    --------
    >>> import bulkvi as bv
    >>> table = pd.DataFrame(
    ...     {
    ...         "term": ["glucose import", "HALLMARK_E2F_TARGETS"],
    ...         "direction": ["up", "down"],
    ...         "score": [6.0, -4.0],
    ...         "score_low": [5.0, -5.0],
    ...         "score_high": [6.3, -3.1],
    ...         "adj_p_value": [1e-6, 0.2],
    ...         "size": [58, 190],
    ...         "n_called": [23, 40],
    ...     }
    ... )
    >>> ax = bv.pl.enrichment(table)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['glucose import', 'e2f targets']
    """
    check_columns(table, NEEDED, ORIGIN)
    chosen = first_terms(table, n_terms, level)
    method = table.attrs.get(en.METHOD, "")
    side = np.where((method == "ora") & (chosen[en.DIRECTION] == en.DOWN), -1.0, 1.0)
    order = np.argsort(-side * chosen[en.SCORE].to_numpy(), kind="stable")
    chosen, side = chosen.iloc[order], side[order]
    score, low, high = (side * chosen[column].to_numpy(float) for column in (en.SCORE, en.SCORE_LOW, en.SCORE_HIGH))
    rows = np.arange(len(chosen))
    called = (chosen[ADJ_P_VALUE] < level).to_numpy()
    colour = np.where(chosen[en.DIRECTION] == en.UP, UP, DOWN)
    n_called = chosen[en.N_CALLED].to_numpy(float)
    area = AREA[0] + (AREA[1] - AREA[0]) * n_called / max(n_called.max(), 1)
    ax = term_axes(ax, len(chosen))
    ax.hlines(rows, low, high, color="0.15", linewidth=0.9, zorder=4)
    ax.scatter(
        score, rows, s=area, c=np.where(called, colour, "white"), edgecolors=colour.tolist(), linewidths=0.9, zorder=3
    )
    ax.axvline(0, color="0.6", linewidth=0.6, zorder=0)
    write_terms(ax, chosen[en.TERM].astype(str).tolist())
    for row, n, size in zip(rows, chosen[en.N_CALLED], chosen[en.SIZE], strict=True):
        ax.annotate(
            f"{n}/{size}", (1.02, row), xycoords=("axes fraction", "data"), fontsize="x-small", va="center", color="0.3"
        )
    word = SCORE_WORDS.get(method, "Score")
    ax.set_xlabel(f"{word}; down to the left" if method == "ora" and (side < 0).any() else word)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    words = {en.UP: (UP, "up"), en.DOWN: (DOWN, "down")}
    handles = [_entry(*words[one]) for one in (en.UP, en.DOWN) if (chosen[en.DIRECTION] == one).any()]
    if not called.all():
        handles.append(_entry("white", f"{ADJ_P_VALUE} ≥ {level:g}"))
    legend_beneath(ax, handles, ncols=2 if len(handles) > 2 else None)
    n_terms_called = int((table[ADJ_P_VALUE] < level).sum())
    ax.annotate("called/size", (1.02, -0.75), xycoords=("axes fraction", "data"), fontsize="xx-small", color="0.3")
    say_above(ax, [f"{n_terms_called:,} of {len(table):,} called"])
    return finish(ax, show=show, save=save)


def _entry(colour: str, text: str) -> Line2D:
    edge = "0.3" if colour == "white" else colour
    return Line2D(
        [],
        [],
        linestyle="none",
        marker="o",
        markersize=5,
        markeredgewidth=0.9,
        color=colour,
        markeredgecolor=edge,
        label=text,
    )
