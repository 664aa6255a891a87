"""Terms of an enrichment: which to draw, their names in few words, and rows for them."""

import re
import textwrap
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bulkvi import enrichment_names as en
from bulkvi.arguments import check_number, check_whole
from bulkvi.pl._axes import new_axes
from bulkvi.pl._text import plain, set_fonts

WIDTH: Final = 26
"""Characters in a line of a term's name."""

ROW: Final = 0.29
"""Height of a row, inches: two lines of a name."""

_DATABASE: Final = re.compile(r"^(HALLMARK|GO[A-Z]*|REACTOME|KEGG[A-Z_]*?|WP|BIOCARTA|PID)_(?=[A-Z0-9])")

SCORE_WORDS: Final = {
    "ora": "Log2 odds ratio",
    "gsea": "Normalised enrichment score",
    "ulm": "Score (t-value)",
}


def short_term(term: str, width: int = WIDTH) -> str:
    """A term in at most two lines; names of MSigDB without the database, underscores and capitals."""
    if _DATABASE.match(term) and " " not in term:
        term = _DATABASE.sub("", term).replace("_", " ").lower()
    lines = textwrap.wrap(term, width, max_lines=2, placeholder=" …") or [term]
    return "\n".join(plain(line) for line in lines)


def first_terms(table: pd.DataFrame, n_terms: int, level: float, tables: Sequence[str] = ("",)) -> pd.DataFrame:
    """The first so many rows with a score; of rows with the same direction, genes and score only the first.

    ``tables`` are the endings of the columns of each table that was joined.

    Raises
    ------
    ValueError
        If a number is out of range or there is no row.
    """
    check_whole("n_terms", n_terms)
    check_number("level", level)
    if n_terms < 1:
        raise ValueError(f"`n_terms` must be at least 1; it is {n_terms}.")
    if not 0 < level < 1:
        raise ValueError(f"`level` is a false discovery rate between 0 and 1; it is {level}.")
    names = [column + ending for ending in tables for column in (en.DIRECTION, en.SCORE, en.SIZE, en.GENES)]
    scored = np.isfinite(table[[en.SCORE + ending for ending in tables]]).any(axis=1)
    chosen = table[scored].drop_duplicates([column for column in names if column in table]).head(n_terms)
    if chosen.empty:
        raise ValueError("the table has no term with a score.")
    return chosen


def term_axes(ax: Axes | None, n_terms: int) -> Axes:
    """The Axes given, or new ones with a row for each term and room below."""
    return new_axes(height=ROW * n_terms + 1.0) if ax is None else ax


def write_terms(ax: Axes, terms: list[str]) -> None:
    """Rows from the top, one for each term, with their names at the left."""
    rows = range(len(terms))
    ax.set_yticks(rows, [short_term(term) for term in terms], fontsize="x-small", linespacing=0.95)
    set_fonts(ax.get_yticklabels())
    ax.set_ylim(len(terms) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for row in rows:
        ax.axhline(row, color="0.92", linewidth=0.6, zorder=0)
