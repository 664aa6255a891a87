"""Header and rows of a table in a text file or spreadsheet, without titles, comments and footnotes."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.io._table_records import BLANKS, JOINED, Records, split_spreadsheet, split_text
from bulkvi.io._text_files import ZIP, decode, unpack

MISSING: Final = ("", "NA", "NaN", "nan", "N/A", "#N/A", "NULL", "null")
"""Texts of a missing entry where numbers are expected."""
N_INSPECTED: Final = 30
SENTENCE: Final = re.compile(r"\S\s+\S|^[^\w\"'.<(\[{+-]|:$")
"""Text of a footnote, but not of a name: several words, a mark in front, or a colon at the end."""
ONE_VALUE: Final = (
    "Each row needs one value for each name of the header; write a text that contains the separator in double quotes."
)
N_SHOWN: Final = 5


class Table(NamedTuple):
    """A table and its header, in which names may repeat."""

    cells: pd.DataFrame
    """Rows x columns, columns numbered from 0; the first column, and those of names, have no missing values."""
    labels: list[str]
    """The header; empty for a column without a label."""
    comment: str
    """Lines above the header that begin with ``#``."""
    separator: str
    """Separator of the columns in the file; empty in a spreadsheet."""
    lines: list[int]
    """Line of the file, counted from 1, of each row."""
    dimensions: tuple[int, ...] = ()
    """Size of the table according to a ``.gct`` file, as in `Layout`."""


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
    """Size in a ``.gct`` file: rows, columns and, in version 1.3, columns and rows with annotation."""


def read_table(
    path: Path, *, is_name: Callable[[str], bool] = lambda _: False, all_text: bool = False, sheet: str | None = None
) -> Table:
    """Read a table with a header from a text file (tab, comma, semicolon or space) or a spreadsheet, packed or not.

    Columns with labels that satisfy ``is_name``, or all with ``all_text``, are text in which no value is missing. ``sheet``
    is that of the spreadsheet; None for the only one that is not empty.
    """
    content = unpack(path)
    if content.startswith(ZIP):
        records = split_spreadsheet(content, path, sheet)
    else:
        if sheet is not None:
            raise ValueError(f"sheet={sheet!r} is for spreadsheets (.xlsx); {path} is none. Leave it out.")
        records = split_text(decode(content, path), path)
    layout = _find_layout(records, str(path))
    cells, labels = _parse(layout, is_name, path, all_text=all_text)
    filled = [
        k for k, label in enumerate(labels) if label or (cells[k].notna() & (cells[k].astype(object) != "")).any()
    ]
    cells = cells[filled].set_axis(range(len(filled)), axis=1)
    labels = [labels[k] for k in filled]
    if len(labels) < 2 or cells.empty:
        raise ValueError(
            f"{path} holds {len(cells)} rows and {len(labels)} columns below its header. Give a table with a "
            "header, columns separated by tabs or commas, and names in the first column."
        )
    return Table(cells, labels, layout.comment, records.separator, layout.body.numbers, layout.dimensions)


def _parse(
    layout: Layout, is_name: Callable[[str], bool], path: Path, *, all_text: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows, with numbers in columns that hold only numbers, and the header."""
    labels, (lines, numbers, mark, *_) = layout.labels, layout.body
    if not lines:
        return pd.DataFrame(columns=range(len(labels))), labels
    width = max(len(labels), max(line.count(mark) for line in lines) + 1)
    names = {k for k, label in enumerate(labels) if is_name(label)}
    if layout.width > len(labels) and 0 not in names:  # in case that the rows are those of R, see below
        names |= {k + 1 for k in names}
    text = set(range(width)) if all_text else {0, *names}
    cells = pd.read_csv(
        StringIO("\n".join(lines)),
        sep=mark,
        header=None,
        names=range(width),
        index_col=False,
        dtype=dict.fromkeys(text, str),
        na_values={k: list(MISSING) for k in range(width) if k not in text},
        keep_default_na=False,
        low_memory=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        quoting=3,
        lineterminator="\n",
    )
    if len(cells) != len(lines):
        raise ValueError(
            f"{path}: {len(cells)} rows were read of the {len(lines)} that the file holds. Save it again as plain text (.csv)."
        )
    for k in text:
        cells[k] = cells[k].fillna("").astype(str).str.strip()
    if layout.width > len(labels):
        if is_name(labels[0]) and not _are_row_names(cells):
            raise ValueError(
                f"{path} is no table: line {numbers[0]} has {layout.width} values, and the header {len(labels)} names. {ONE_VALUE}"
            )
        labels = ["", *labels]  # R's write.table gives the row names no header
    return cells[range(len(labels))], labels


def _are_row_names(cells: pd.DataFrame) -> bool:
    """Whether the first column holds row names without a header, so that the first label is that of the second column."""
    numbered = cells[0].tolist() == [str(k + 1) for k in range(len(cells))]
    return numbered or bool(pd.to_numeric(cells[1], errors="coerce").isna().all())


def _find_layout(records: Records, source: str) -> Layout:
    """Find header and rows, which must fit each other; a warning lists all other lines."""
    start, comments, titles = _find_header(records)
    dimensions: tuple[int, ...] = ()
    if _is_gct(comments) and start < len(records.lines):
        dimensions = tuple(int(value) for value in records.values(start) if value.isdecimal())
        start += 1
    n = len(records.lines)
    if start >= n and not comments:
        return Layout(records.values(n - 1), records.subset([]), 0, "", ())
    comment = comments[-1].split(records.mark) if comments else []
    is_header = bool(comments and not dimensions) and (
        start >= n
        or sum(bool(value.strip()) for value in comment) >= max(2, records.n_filled(start))
        and len(comment) == len(records.values(start))
    )
    if is_header:
        labels = [label.strip() for label in comments.pop().removeprefix("#").split(records.mark)]
    else:
        labels = records.values(start)
        start += 1
    _warn_of_lines(titles, "above the header", source)
    width, rows = _fitting_rows(records, list(range(start, n)), labels, source)
    return Layout(labels, records.subset(rows), width, "\n".join(comments), dimensions)


def _find_header(records: Records) -> tuple[int, list[str], list[tuple[int, str]]]:
    """Return the position of the header, the comments above it, and titles with their lines."""
    comments: list[str] = []
    titles: list[tuple[int, str]] = []
    for k, line in enumerate(records.lines):
        if line.lstrip('" ').startswith("#"):
            comments.append(line)
            if _is_gct(comments):
                return k + 1, comments, titles
        elif _is_title(records, k):
            titles.append((records.numbers[k], line))
        else:
            return k, comments, titles
    return len(records.lines), comments, titles


def _is_gct(comments: list[str]) -> bool:
    return len(comments) == 1 and re.fullmatch(r'"?#1\.[23]"?', comments[0].strip(BLANKS)) is not None


def _is_title(records: Records, position: int) -> bool:
    below = range(position + 1, min(position + 1 + N_INSPECTED, len(records.lines)))
    filled = records.n_filled(position)
    typical = sorted(map(records.n_filled, below))[len(below) // 2] if below else 0
    if filled >= typical or filled > 1 and 2 * filled >= typical:
        return False
    if filled == 1 and typical == 2:  # or R's header of one column, which leaves out that of the row names
        first, *second = records.values(position + 1)
        numbers = bool(second) and re.fullmatch(r"[\d.,]+", second[0]) is not None
        return not numbers and (" " in records.lines[position].strip() or not second)
    return True


def _n_values(line: str, mark: str) -> int:
    """Return the number of values up to the last that is not empty."""
    return line.rstrip(f" {mark}").count(mark) + 1


def _fitting_rows(records: Records, rows: list[int], labels: list[str], source: str) -> tuple[int, list[int]]:
    """Return the width of the table and its rows; raise a ValueError about a row that does not fit the header."""
    mark = records.mark
    named = max((k + 1 for k, label in enumerate(labels) if label), default=0)
    raw = {k: records.lines[k].count(mark) + 1 for k in rows}
    filled = {k: raw[k] if raw[k] <= named else _n_values(records.lines[k], mark) for k in rows}
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
    """Return the rows without comments between and footnotes below them, which a warning lists."""
    mark = records.mark
    comments = [k for k in rows if raw[k] < named and records.lines[k].lstrip().startswith("#")]
    kept = [k for k in rows if k not in set(comments)]
    notes: list[int] = []
    while kept and named > 1 and records.n_filled(kept[-1]) == 1:
        text = records.lines[kept[-1]].strip(BLANKS)
        first = records.lines[kept[-1]].split(mark)[0].strip()
        cut = kept[-1] == rows[-1] and records.unended and raw[kept[-1]] < named
        if not first or not SENTENCE.search(text) or cut and " " not in text:
            break
        notes.insert(0, kept.pop())
    _warn_of_lines([(records.numbers[k], records.lines[k]) for k in comments], "between the rows", source)
    _warn_of_lines([(records.numbers[k], records.lines[k]) for k in notes], "below the table", source)
    return kept


def _warn_of_lines(lines: list[tuple[int, str]], where: str, source: str) -> None:
    if lines:
        shown = [line.replace(JOINED, "\t").strip(BLANKS)[:80] for _, line in lines[:N_SHOWN]]
        numbers = ", ".join(str(number) for number, _ in lines[:N_SHOWN]) + (", ..." if len(lines) > N_SHOWN else "")
        warn_user(
            f"{source}: {len(lines)} lines {where} are no rows of the table and were left out (line {numbers}): {shown}."
        )
