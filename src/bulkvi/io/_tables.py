"""Tables in text files and spreadsheets, as they are: what they mean is read elsewhere."""

import csv
import gzip
import re
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import pandas as pd

MISSING: Final = ("", "NA", "NaN", "nan", "N/A", "#N/A", "NULL", "null")
SEPARATORS: Final = ("\t", ",", ";", " ")
SPREADSHEETS: Final = (".xlsx", ".xlsm")
GZIP: Final = b"\x1f\x8b"
NOTHING: Final = ' \t,;"\r\n'
"""What an empty line, or an empty row of a spreadsheet saved as text, consists of."""
TOO_MANY: Final = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
ONE_VALUE: Final = "Each row needs one value for each name of the header; a text that holds the mark between columns stands in double quotes."


class Table(NamedTuple):
    """A table with its header apart, since names may repeat."""

    cells: pd.DataFrame
    """Rows x columns, columns numbered from 0; the first column is text in which nothing counts as missing."""
    labels: list[str]
    """The header; an empty text where a column has none."""
    comment: str
    """The lines before the header that begin with ``#``."""
    separator: str
    """What stands between columns; empty in a spreadsheet."""
    first_line: int
    """Line of the file, counted from 1, where the rows begin."""


def read_table(path: Path, *, is_name: Callable[[str], bool] = lambda _: False) -> Table:
    """Read a table with a header from a text file (tab, comma, semicolon or space; .gz too) or a spreadsheet.

    Parameters
    ----------
    path
        The file.
    is_name
        Whether a column of this label holds names: they are kept as text, every digit as it stands.

    Raises
    ------
    ValueError
        If it is not a text file or spreadsheet, is empty, has a single column, or a row has more values than the header.
    ImportError
        If a spreadsheet cannot be read for want of openpyxl.
    """
    read = _read_spreadsheet if path.suffix.lower() in SPREADSHEETS else _read_text
    table = read(path, is_name)
    filled = [k for k, label in enumerate(table.labels) if label or table.cells[k].notna().any()]
    table = table._replace(
        cells=table.cells[filled].set_axis(range(len(filled)), axis=1), labels=[table.labels[k] for k in filled]
    )
    if len(table.labels) < 2 or table.cells.empty:
        raise ValueError(
            f"{path} holds {len(table.cells)} rows and {len(table.labels)} columns below its header. Give a table with a "
            "header, columns separated by tabs or commas, and names in the first column."
        )
    return table


def _read_text(path: Path, is_name: Callable[[str], bool]) -> Table:
    if path.suffix.lower() == ".xls":
        raise ValueError(f"{path} is a spreadsheet of the old kind: save it as .xlsx, or as text (.csv or .tsv).")
    try:
        return _parse(path, is_name)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text file in UTF-8 (line {_undecodable(path)}). Give .csv, .tsv, .xlsx or .h5ad; a text from a "
            "spreadsheet is saved as 'CSV UTF-8'."
        ) from error
    except pd.errors.ParserError as error:
        found = TOO_MANY.search(str(error))
        said = (
            f"line {found[2]} has {found[3]} values, and those above have {found[1]}"
            if found
            else "a double quote is opened and not closed"
            if "EOF inside string" in str(error)
            else str(error).strip()
        )
        raise ValueError(f"{path} is no table: {said}. {ONE_VALUE}") from error


def _parse(path: Path, is_name: Callable[[str], bool]) -> Table:
    with _open(path) as file:
        comment, n_above, lines = _head(file)
    if not lines:
        raise ValueError(f"{path} is empty.")
    separator = max(SEPARATORS, key=lambda mark: (lines[0].count(mark), -SEPARATORS.index(mark)))
    if any(lines[0].count(mark) for mark in SEPARATORS[:-1]):
        separator = max(SEPARATORS[:-1], key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    labels = [label.strip() for label in rows[0]]
    width = max(map(len, rows))
    named = {k for k, label in enumerate(labels) if is_name(label)}
    if width > len(labels) and 0 not in named:  # in case that the first row is one of R's, see below
        named |= {k + 1 for k in named}
    with _open(path) as file:
        cells = pd.read_csv(
            file,
            sep=separator,
            header=None,
            names=range(width),
            skiprows=n_above,
            index_col=False,
            dtype=dict.fromkeys({0, *named}, str),
            na_values={k: list(MISSING) for k in range(1, width)},
            keep_default_na=False,
            low_memory=False,
            skipinitialspace=True,
        )
    cells[0] = cells[0].str.strip()
    if cells[range(len(labels), width)].notna().any(axis=None):
        if width > len(labels) + 1 or is_name(labels[0]) and not _are_row_names(cells):
            raise ValueError(
                f"{path} is no table: line {n_above + 1} has {width} values, and the header {len(labels)} names. {ONE_VALUE}"
            )
        labels = ["", *labels]  # R's write.table gives the row names no header
    return Table(cells[range(len(labels))], labels, comment, separator, n_above + 1)


def _are_row_names(cells: pd.DataFrame) -> bool:
    """Whether names stand in the second column, those of the header's first label, below no header in the first."""
    numbered = cells[0].tolist() == [str(k + 1) for k in range(len(cells))]
    return numbered or bool(pd.to_numeric(cells[1], errors="coerce").isna().all())


def _undecodable(path: Path) -> int:
    """Number of the first line that is not in UTF-8."""
    with path.open("rb") as file:
        content = gzip.decompress(file.read()) if _is_zipped(path) else file.read()
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return number
    return 1


def _is_zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _open(path: Path) -> TextIO:
    return TextIOWrapper(gzip.open(path) if _is_zipped(path) else path.open("rb"), encoding="utf-8-sig", newline="")


def _head(file: TextIO) -> tuple[str, int, list[str]]:
    """Comments, how many lines end with the header, and the header with the line below it, which may begin with ``#``."""
    comments: list[str] = []
    lines: list[str] = []
    n_above = last = 0
    for number, line in enumerate(file, start=1):
        if not line.strip(NOTHING):
            continue
        if not lines and line.startswith("#"):
            comments.append(line)
            last = number
            continue
        lines.append(line)
        if len(lines) == 2:
            break
        n_above = number
    if comments and lines and any(comments[-1].count(m) == lines[0].count(m) > 0 for m in SEPARATORS[:2]):
        lines = [comments.pop().removeprefix("#"), lines[0]]
        n_above = last
    return "".join(comments), n_above, lines


def _read_spreadsheet(path: Path, is_name: Callable[[str], bool]) -> Table:
    try:
        sheets = pd.read_excel(
            path, sheet_name=None, header=None, dtype=object, keep_default_na=False, engine="openpyxl"
        )
    except ImportError as error:
        raise ImportError(f"{path} is a spreadsheet; to read it, pip install 'bulkvi[excel]' (openpyxl).") from error
    filled = {name: sheet for name, sheet in sheets.items() if sheet.size}
    if len(filled) != 1:
        raise ValueError(
            f"{path} has {len(filled)} sheets that are not empty: {list(filled)}. Leave the one with the table, or save it as "
            "a .csv file."
        )
    (sheet,) = filled.values()
    sheet = sheet.map(lambda cell: None if cell in MISSING else cell)
    above = int(sheet.notna().any(axis=1).to_numpy().argmax())
    labels = ["" if pd.isna(label) else str(label).strip() for label in sheet.iloc[above]]
    cells = sheet.iloc[above + 1 :].dropna(how="all").reset_index(drop=True)
    cells.columns = range(len(labels))
    for k in cells.columns[1:]:
        cells[k] = cells[k].map(_as_text) if is_name(labels[k]) else _numbers_if_all_are(cells[k])
    cells[0] = cells[0].map(lambda cell: "" if cell is None else str(cell).strip()).astype(str)
    return Table(cells, labels, "", "", above + 2)


def _as_text(cell: object) -> str | None:
    if pd.isna(cell):
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def _numbers_if_all_are(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().equals(column.notna()) else column
