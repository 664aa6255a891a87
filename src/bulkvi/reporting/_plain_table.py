"""Any table as rows of text that can be sorted by what stands behind it."""

from numbers import Number
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

MAX_ROWS: Final = 200
MAX_TEXT: Final = 300
"""Characters of an entry, such as the genes of a set."""


class Cell(NamedTuple):
    """An entry of a table."""

    text: str
    key: str
    """What it is sorted by, where that is a number; else empty."""


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


def plain_table(frame: pd.DataFrame, name: str, caption: str, *, max_rows: int = MAX_ROWS) -> PlainTable:
    """The first rows of a table, numbers rounded for reading."""
    shown = frame.head(max_rows)
    numeric = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in shown.dtypes]
    rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
    heads = [(str(column).replace("_", " "), number) for column, number in zip(shown.columns, numeric, strict=True)]
    return PlainTable(name, caption, heads, rows, len(frame) - len(shown))


def _cell(value: Any) -> Cell:
    if isinstance(value, bool | np.bool_):
        return Cell("yes" if value else "no", "")
    if isinstance(value, Number) and not isinstance(value, complex):
        return Cell(number_text(float(value)), f"{float(value):.6g}")  # type: ignore[arg-type]
    if isinstance(value, list | tuple | set | np.ndarray):
        return Cell(", ".join(map(str, value)), "")
    text = "" if value is None or value is pd.NA else str(value)
    return Cell(text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …", "")


def number_text(value: float) -> str:
    """A number as it is read: whole ones with commas, others with three digits."""
    if not np.isfinite(value):
        return "–"
    whole = value == round(value) and abs(value) < 1e15
    text = f"{abs(value):,.0f}" if whole or abs(value) >= 1_000 else f"{abs(value):.3g}"
    return f"−{text}" if value < 0 else text
