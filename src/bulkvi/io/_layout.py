"""Which records are the header and the rows of a table, and which are titles, comments and footnotes around it."""

import re
import warnings
from typing import Final, NamedTuple

from bulkvi.io._records import JOINED, NOTHING, Records

N_LOOKED_AT: Final = 30
SENTENCE: Final = re.compile(r"\S\s+\S|^[^\w\"'.<(\[{+-]|:$")
"""What a footnote looks like and a name does not: several words, a mark in front, or a colon at the end."""
ONE_VALUE: Final = "Each row needs one value for each name of the header; a text that holds the mark between columns stands in double quotes."
N_SHOWN: Final = 5


class Layout(NamedTuple):
    """A table within its file."""

    labels: list[str]
    """The header."""
    body: Records
    """The rows, each with at least ``width`` values."""
    width: int
    """Number of columns of the rows; one more than ``labels`` where row names have no header."""
    comment: str
    """Lines above the header that begin with ``#``."""
    dimensions: tuple[int, ...]
    """What a ``.gct`` file says of its size: rows, columns and, in version 1.3, columns and rows with annotation."""


def find_layout(records: Records, source: str) -> Layout:
    """Find header and rows; a warning names all other lines.

    Raises
    ------
    ValueError
        If a row has more or fewer values than the header.
    """
    start, comments, titles = _above(records)
    dimensions: tuple[int, ...] = ()
    if _is_gct(comments) and start < len(records.lines):
        dimensions = tuple(int(value) for value in records.values(start) if value.isdecimal())
        start += 1
    n = len(records.lines)
    if start >= n and not comments:
        return Layout(records.values(n - 1), _part(records, []), 0, "", ())
    commented = bool(comments and not dimensions) and (
        start >= n
        or _filled(comments[-1], records.mark) >= max(2, _filled(records.lines[start], records.mark))
        and comments[-1].count(records.mark) == records.lines[start].count(records.mark)
    )
    if commented:
        labels = [label.strip() for label in comments.pop().removeprefix("#").split(records.mark)]
    else:
        labels = records.values(start)
        start += 1
    _report(titles, "above the header", source)
    rows = list(range(start, n))
    width, rows = _rows_of_width(records, rows, labels, source)
    return Layout(labels, _part(records, rows), width, "\n".join(comments), dimensions)


def _above(records: Records) -> tuple[int, list[str], list[tuple[int, str]]]:
    """Position of the header, the comments above it, and titles with their lines."""
    comments: list[str] = []
    titles: list[tuple[int, str]] = []
    k = 0
    while k < len(records.lines):
        line = records.lines[k]
        if line.lstrip('" ').startswith("#"):
            comments.append(line)
            if _is_gct(comments):
                return k + 1, comments, titles
        elif _is_title(records, k):
            titles.append((records.numbers[k], line))
        else:
            break
        k += 1
    return k, comments, titles


def _is_gct(comments: list[str]) -> bool:
    return len(comments) == 1 and re.fullmatch(r'"?#1\.[23]"?', comments[0].strip(NOTHING)) is not None


def _is_title(records: Records, position: int) -> bool:
    below = records.lines[position + 1 : position + 1 + N_LOOKED_AT]
    filled = _filled(records.lines[position], records.mark)
    typical = sorted(_filled(line, records.mark) for line in below)[len(below) // 2] if below else 0
    if filled >= typical or filled > 1 and 2 * filled >= typical:
        return False
    if filled == 1 and typical == 2:  # or R's header of one column, which leaves out that of the row names
        first, *second = records.values(position + 1)
        numbers = bool(second) and re.fullmatch(r"[\d.,]+", second[0]) is not None
        return not numbers and (" " in records.lines[position].strip() or not second)
    return True


def _filled(line: str, mark: str) -> int:
    return sum(bool(value.strip()) for value in line.split(mark))


def _width(line: str, mark: str) -> int:
    """Number of values, those missing at the end not counted."""
    return line.rstrip(f" {mark}").count(mark) + 1


def _rows_of_width(records: Records, rows: list[int], labels: list[str], source: str) -> tuple[int, list[int]]:
    mark = records.mark
    named = max((k + 1 for k, label in enumerate(labels) if label), default=0)
    raw = {k: records.lines[k].count(mark) + 1 for k in rows}
    filled = {k: raw[k] if raw[k] <= named else _width(records.lines[k], mark) for k in rows}
    rows = _without_notes(records, rows, raw, named, source)
    widest = max((filled[k] for k in rows), default=0)
    extra = widest > len(labels)
    width = widest if extra else max(named, widest)
    if extra:
        first = next(k for k in rows if filled[k] > len(labels))
        above = next((k for k in rows if raw[k] != raw[first]), first)
        if widest > len(labels) + 1 or raw[above] < width:
            shown = f"the header {len(labels)} names" if first == rows[0] else f"those above have {raw[rows[0]]}"
            raise ValueError(
                f"{source} is no table: line {records.numbers[first]} has {filled[first]} values, and {shown}. {ONE_VALUE}"
            )
    short = next((k for k in rows if raw[k] < width), None)
    if short is not None:
        last = short == rows[-1] and records.unended
        raise ValueError(
            f"{source} is no table: line {records.numbers[short]} has {raw[short]} values ({records.values(short)[0][:60]!r}, ...), and "
            f"the header {named} names. {ONE_VALUE}"
            + (" It is the last line and has no end: the file may be cut off." if last else "")
        )
    return width, rows


def _without_notes(records: Records, rows: list[int], raw: dict[int, int], named: int, source: str) -> list[int]:
    """The rows without comments between them and footnotes below them, which a warning names."""
    mark = records.mark
    comments = [k for k in rows if raw[k] < named and records.lines[k].lstrip().startswith("#")]
    left = [k for k in rows if k not in set(comments)]
    notes: list[int] = []
    while left and named > 1 and _filled(records.lines[left[-1]], mark) == 1:
        text = records.lines[left[-1]].strip(NOTHING)
        first = records.lines[left[-1]].split(mark)[0].strip()
        cut = left[-1] == rows[-1] and records.unended and raw[left[-1]] < named
        if not first or not SENTENCE.search(text) or cut and " " not in text:
            break
        notes.insert(0, left.pop())
    _report([(records.numbers[k], records.lines[k]) for k in comments], "between the rows", source)
    _report([(records.numbers[k], records.lines[k]) for k in notes], "below the table", source)
    return left


def _report(lines: list[tuple[int, str]], where: str, source: str) -> None:
    if lines:
        shown = [line.replace(JOINED, "\t").strip(NOTHING)[:80] for _, line in lines[:N_SHOWN]]
        numbers = ", ".join(str(number) for number, _ in lines[:N_SHOWN]) + (", ..." if len(lines) > N_SHOWN else "")
        warnings.warn(
            f"{source}: {len(lines)} lines {where} are no rows of the table and were left out (line {numbers}): {shown}.",
            UserWarning,
            stacklevel=2,
        )


def _part(records: Records, rows: list[int]) -> Records:
    return records._replace(lines=[records.lines[k] for k in rows], numbers=[records.numbers[k] for k in rows])
