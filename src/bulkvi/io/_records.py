"""Lines of a text file as the records of a table: which mark parts the columns, and what a double quote means."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SEPARATORS: Final = ("\t", ";", ",")
JOINED: Final = "\x1f"
"""What parts the values of a record once quotes have been understood; no text that is read holds it."""
NOTHING: Final = f' \t,;"\r\n{JOINED}'
"""What an empty line, or an empty row of a spreadsheet saved as text, consists of."""
N_LOOKED_AT: Final = 200
QUOTED: Final = re.compile('"[^"]*"')


class Records(NamedTuple):
    """Records that are not empty, each one line of text."""

    lines: list[str]
    """Values of a record, parted by ``mark``."""
    numbers: list[int]
    """Line of the file where each record begins, counted from 1."""
    mark: str
    """What parts the values in ``lines``."""
    separator: str
    """What parts them in the file; empty in a spreadsheet."""
    unended: bool = False
    """Whether the last line of the file has no line end."""

    def values(self, position: int) -> list[str]:
        """The values of a record, without blanks around them."""
        return [value.strip() for value in self.lines[position].split(self.mark)]


def split_text(text: str, path: Path) -> Records:
    """Find the records of a text.

    A double quote has its meaning in csv (it encloses a value, which may hold separators and line ends) where the lines
    then make sense. Tables with tabs are mostly written without that meaning: there a line with an odd quote is read as it
    is, if it has as many values as the header.

    Raises
    ------
    ValueError
        If a quote is opened and where it is closed is not plain.
    """
    numbered = [(k, line) for k, line in enumerate(text.split("\n"), start=1) if line.strip(NOTHING)]
    if not numbered:
        raise ValueError(f"{path} is empty.")
    separator = find_separator([line for _, line in numbered[:N_LOOKED_AT]])
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
        found = list(_over_lines(text, separator, path))
    else:
        found = [(k, _unquoted(line, separator) if values is None else values) for k, line, values in split]
    joined = [
        JOINED.join(" ".join(value.split()) if "\n" in value else value for value in values) for _, values in found
    ]
    return Records(joined, [k for k, _ in found], JOINED, separator, unended)


def find_separator(lines: list[str]) -> str:
    """What parts the columns: the mark that most lines have equally often; a blank if there is none."""
    best, most = " ", len(lines) / 3
    for mark in SEPARATORS:
        counts = Counter(count for line in lines if (count := QUOTED.sub("", line).count(mark)))
        n_lines = max(counts.values(), default=0)
        if n_lines > most:
            best, most = mark, n_lines
    return best


def _split(line: str, separator: str) -> list[str] | None:
    """Values of a line on its own; None if a quote is opened or closed within a value."""
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


def _over_lines(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records whose quoted values may hold line ends, and no whole rows."""
    lines = text.split("\n")
    reader = csv.reader(
        (f"{line}\n" for line in lines), delimiter=separator, skipinitialspace=separator != "\t", strict=True
    )
    start = 1
    try:
        for values in reader:
            within = lines[start - 1 : reader.line_num]
            widths = [line.count(separator) + 1 for line in within]
            whole_rows = len(within) > 1 and (
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
