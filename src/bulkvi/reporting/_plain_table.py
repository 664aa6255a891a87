"""Any table as rows of text that can be sorted by what stands behind it."""

from collections.abc import Collection
from numbers import Number
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.gene_order import UNDERFLOW
from bulkvi.reporting._gene_table import SMALLEST_P

MAX_ROWS: Final = 200
P_VALUES: Final = (names.P_VALUE, names.ADJ_P_VALUE)
MAX_LIST: Final = 48
"""Characters of a list, such as the genes of a set, that are shown before the whole is asked for."""
MAX_TEXT: Final = 120
"""The same of another text."""


class Cell(NamedTuple):
    """An entry of a table."""

    text: str
    key: str
    """What it is sorted by, where that is a number; else empty."""
    rest: str = ""
    """What follows of a long text, shown on demand; empty for one that is short."""


class PlainTable(NamedTuple):
    """A table of the page."""

    name: str
    """Id in the page."""
    caption: str
    columns: list[tuple[str, bool]]
    """Heading of each column, and whether it holds numbers."""
    rows: list[list[Cell]]
    left_out: int
    """Number of rows that are not shown."""


def plain_table(
    frame: pd.DataFrame, name: str, caption: str, *, max_rows: int = MAX_ROWS, p_values: Collection[str] = P_VALUES
) -> PlainTable:
    """The first rows of a table, numbers rounded for reading, ``p_values`` that underflow as a bound."""
    shown = frame.head(max_rows)
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in shown.dtypes]
    bounded = [str(column) in p_values for column in shown.columns]
    rows = [
        [_cell(value, bounded=bound) for value, bound in zip(row, bounded, strict=True)]
        for row in shown.itertuples(index=False)
    ]
    heads = [(str(column).replace("_", " "), number) for column, number in zip(shown.columns, numeric, strict=True)]
    return PlainTable(name, caption, heads, rows, len(frame) - len(shown))


def _cell(value: Any, *, bounded: bool) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", "")
    if isinstance(value, Number) and not isinstance(value, complex):
        number = float(value)  # type: ignore[arg-type]
        text = f"< {SMALLEST_P}" if bounded and number < UNDERFLOW else number_text(number)
        return Cell(text, f"{number:.6g}")
    if isinstance(value, list | tuple | set | np.ndarray):
        return _text(", ".join(map(str, value)))
    return _text("" if value is None or value is pd.NA else str(value))


def _text(text: str) -> Cell:
    """A text, a long one cut between words or genes."""
    most = MAX_TEXT
    if " " not in text and ";" in text:
        # names of genes joined without a space would be one word that no line breaks
        text, most = text.replace(";", ", "), MAX_LIST
    if len(text) <= most:
        return Cell(text, "")
    cut = text.rfind(" ", 0, most)
    cut = cut if cut > 0 else most
    return Cell(text[:cut].rstrip(), "", text[cut:].lstrip())


def number_text(value: float) -> str:
    """A number as it is read: whole ones with commas, others with three digits."""
    if not np.isfinite(value):
        return "–"
    whole = value == round(value) and abs(value) < 1e15
    text = f"{abs(value):,.0f}" if whole or abs(value) >= 1_000 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 else text
