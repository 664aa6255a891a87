"""Sheets of an ``.xlsx`` file as the records of a table."""

import warnings
import zipfile
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from bulkvi.io._delimited_text import JOINED, Records
from bulkvi.io._text_files import cut_off

ERRORS: Final = frozenset("#REF! #DIV/0! #NAME? #NULL! #NUM! #VALUE!".split())
"""Values of formulas that cannot be computed; ``#N/A`` is a missing value."""


def split_spreadsheet(content: bytes, path: Path, sheet: str | None) -> Records:
    """Find the records of the given sheet, or of the only one that is not empty."""
    book = _open(content, path)
    names = [each.title for each in book.worksheets]
    if sheet is not None and sheet not in names:
        raise KeyError(f"sheet={sheet!r} is not in {path}; its sheets are {names}.")
    filled: dict[str, list[tuple[int, list[str]]]] = {}
    for each in book.worksheets:
        if sheet in (None, each.title):
            rows = _rows(each, path)
            if rows:
                filled[each.title] = rows
    if sheet is None and len(filled) > 1:
        raise ValueError(
            f"{path} has {len(filled)} sheets that are not empty: {list(filled)}. Name the one with the table, as "
            f"in sheet={next(iter(filled))!r}, or remove the others."
        )
    if not filled:
        raise ValueError(
            f"{path} is empty: it has no sheet with a filled cell among {names if sheet is None else [sheet]}."
        )
    ((title, rows),) = filled.items()
    _refuse_formulas(content, path, title, rows)
    width = max(len(values) for _, values in rows)
    lines = [JOINED.join(values + [""] * (width - len(values))) for _, values in rows]
    return Records(lines, [number for number, _ in rows], JOINED, "")


def _open(content: bytes, path: Path, *, values: bool = True) -> Any:
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise ImportError(f"{path} is a spreadsheet; to read it, pip install 'bulkvi[excel]' (openpyxl).") from error
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles and extensions that a table does not need
            return load_workbook(BytesIO(content), read_only=True, data_only=values)
    except (KeyError, ValueError, TypeError, OSError, SyntaxError, zipfile.BadZipFile, AttributeError) as error:
        raise cut_off(path, "xlsx") from error


def _rows(sheet: Any, path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with their numbers and without empty cells at their ends."""
    sheet.reset_dimensions()  # some programs write wrong ones
    rows = []
    try:
        for number, row in enumerate(sheet.iter_rows(), start=1):
            values = [_as_text(cell.value) for cell in row]
            while values and not values[-1]:
                values.pop()
            if values:
                rows.append((number, values))
    except (KeyError, ValueError, TypeError, OSError, SyntaxError, EOFError, zipfile.BadZipFile) as error:
        raise cut_off(path, "xlsx") from error
    return rows


def _as_text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**63 else repr(cell)
    if isinstance(cell, datetime):
        return str(cell.date() if cell.time() == time() else cell)
    if isinstance(cell, date | time):
        return str(cell)
    return " ".join(str(cell).replace(JOINED, " ").split())


def _refuse_formulas(content: bytes, path: Path, title: str, rows: list[tuple[int, list[str]]]) -> None:
    """Raise a ValueError if a cell holds an error, or a formula without a value in the file."""
    width = max(len(values) for _, values in rows)
    for number, values in rows:
        wrong = next((value for value in values if value in ERRORS), None)
        if wrong:
            raise ValueError(
                f"{path}: row {number} of sheet {title!r} holds the error {wrong} of a formula. Correct it or replace it by its value."
            )
    if all(len(values) == width and all(values) for _, values in rows):
        return
    by_number = dict(rows)
    for number, row in enumerate(_open(content, path, values=False)[title].iter_rows(), start=1):
        known = by_number.get(number, [])
        for k, cell in enumerate(row):
            if cell.data_type == "f" and not (k < len(known) and known[k]):
                formula = str(getattr(cell.value, "text", cell.value))[:40]
                raise ValueError(
                    f"{path}: cell {cell.coordinate} of sheet {title!r} holds a formula ({formula}) without a value: no spreadsheet "
                    "program has computed it, or it is empty. Open the file in such a program and save it again, or save the values as .csv."
                )
