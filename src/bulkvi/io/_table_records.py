"""Records of a table in a text file or in a sheet of an ``.xlsx`` file."""

import csv
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from bulkvi.io._text_files import cut_off

SEPARATORS: Final = ("\t", ";", ",")
JOINED: Final = "\x1f"
"""Separator of the values of a record after quotes are resolved; no text that is read contains it."""
BLANKS: Final = f' \t,;"\r\n{JOINED}'
"""Characters of an empty line, or of an empty row of a spreadsheet saved as text."""
N_INSPECTED: Final = 200
QUOTED: Final = re.compile('"[^"]*"')
ERRORS: Final = frozenset("#REF! #DIV/0! #NAME? #NULL! #NUM! #VALUE!".split())
"""Values of formulas that cannot be computed; ``#N/A`` is a missing value."""
DAMAGED: Final = (KeyError, ValueError, TypeError, OSError, SyntaxError, EOFError, zipfile.BadZipFile, AttributeError)
"""Errors of openpyxl if a file is cut off or damaged."""


class Records(NamedTuple):
    """Records that are not empty, each one line of text."""

    lines: list[str]
    """Values of a record, separated by ``mark``."""
    numbers: list[int]
    """Line of the file where each record begins, counted from 1."""
    mark: str
    """Separator of the values in ``lines``."""
    separator: str
    """Separator in the file; empty in a spreadsheet."""
    unended: bool = False
    """Whether the last line of the file has no line end."""

    def values(self, position: int) -> list[str]:
        """Return the values of a record, without surrounding blanks."""
        return [value.strip() for value in self.lines[position].split(self.mark)]

    def n_filled(self, position: int) -> int:
        """Return the number of values of a record that are not empty."""
        return sum(map(bool, self.values(position)))

    def subset(self, positions: list[int]) -> "Records":
        """Return the records at these positions."""
        return self._replace(lines=[self.lines[k] for k in positions], numbers=[self.numbers[k] for k in positions])


def split_text(text: str, path: Path) -> Records:
    """Find the records of a text; raise a ValueError if a quote is opened and its end is ambiguous.

    A double quote encloses a value, which may hold separators and line ends, as in csv, if the lines are then consistent.
    Most tables with tabs do not use quotes so: a line with an odd quote is then read as it is, if it has as many values as
    the header.
    """
    numbered = [(k, line) for k, line in enumerate(text.split("\n"), start=1) if line.strip(BLANKS)]
    if not numbered:
        raise ValueError(f"{path} is empty.")
    separator = find_separator([line for _, line in numbered[:N_INSPECTED]])
    unended = not text.endswith("\n")
    if '"' not in text and separator != " ":
        return Records([line for _, line in numbered], [k for k, _ in numbered], separator, separator, unended)
    split = [(k, line, _split(line, separator)) for k, line in numbered]
    known = [values for _, _, values in split if values is not None and len(values) > 1]
    width = len(known[0]) if known else 0
    if any(
        values is None and (separator != "\t" or line.count(separator) + 1 not in (width, width + 1))
        for _, line, values in split
    ):  # a value may continue in the next line
        records = list(_multiline_records(text, separator, path))
    else:
        records = [(k, _unquoted(line, separator) if values is None else values) for k, line, values in split]
    joined = [
        JOINED.join(" ".join(value.split()) if "\n" in value else value for value in values) for _, values in records
    ]
    return Records(joined, [k for k, _ in records], JOINED, separator, unended)


def find_separator(lines: list[str]) -> str:
    """Return the mark that most lines have equally often; a blank if there is none."""
    best, most = " ", len(lines) / 3
    for mark in SEPARATORS:
        counts = Counter(count for line in lines if (count := QUOTED.sub("", line).count(mark)))
        n_lines = max(counts.values(), default=0)
        if n_lines > most:
            best, most = mark, n_lines
    return best


def _split(line: str, separator: str) -> list[str] | None:
    """Split a single line; None if a quote is opened or closed within a value."""
    if '"' not in line and separator != " ":
        return line.split(separator)
    if separator == " ":
        line = line.strip()
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error:
        return None


def _unquoted(line: str, separator: str) -> list[str]:
    values = [value.strip() for value in line.split(separator)]
    return [
        value[1:-1].replace('""', '"') if len(value) > 1 and value[0] == value[-1] == '"' else value for value in values
    ]


def _multiline_records(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield records whose quoted values may hold line ends, but no whole rows."""
    lines = text.split("\n")
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=separator, skipinitialspace=separator != "\t", strict=True
    )
    start = 1
    try:
        for values in reader:
            covered = lines[start - 1 : reader.line_num]
            widths = [line.count(separator) + 1 for line in covered]
            whole_rows = len(covered) > 1 and (
                all(width == len(values) for width in widths) or len(values) > 2 and len(values) in widths[1:-1]
            )
            if whole_rows:
                raise csv.Error
            if any(value.strip() for value in values):
                yield start, values
            start = reader.line_num + 1
    except csv.Error as error:
        first = next((k for k, line in enumerate(lines[start - 1 :], start=start) if line.count('"') % 2), start)
        raise ValueError(
            f"{path} is no table: a double quote is opened and not closed in line {first}, so that the ends of its value, and of the "
            "rows below, are ambiguous. Remove the quote, or write the whole value in double quotes and each quote in it twice."
        ) from error


def split_spreadsheet(content: bytes, path: Path, sheet: str | None) -> Records:
    """Find the records of the given sheet, or of the only one that is not empty."""
    book = _open(content, path)
    names = [each.title for each in book.worksheets]
    if sheet is not None and sheet not in names:
        raise KeyError(f"sheet={sheet!r} is not in {path}; its sheets are {names}.")
    read = {each.title: _rows(each, path) for each in book.worksheets if sheet in (None, each.title)}
    filled = {title: rows for title, rows in read.items() if rows}
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
    except DAMAGED as error:
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
    except DAMAGED as error:
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
