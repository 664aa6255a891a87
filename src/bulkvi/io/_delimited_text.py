"""Records of a table in a text file: which mark separates the columns, and what a double quote means."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SEPARATORS: Final = ("\t", ";", ",")
JOINED: Final = "\x1f"
"""Separator of the values of a record after quotes are resolved; no text that is read contains it."""
BLANKS: Final = f' \t,;"\r\n{JOINED}'
"""Characters of an empty line, or of an empty row of a spreadsheet saved as text."""
N_INSPECTED: Final = 200
QUOTED: Final = re.compile('"[^"]*"')


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
    ):  # a value may go on in the next line
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
            "rows below, cannot be told. Take the quote out, or write the whole value in double quotes and each quote in it twice."
        ) from error
