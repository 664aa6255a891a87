"""Tables in text files and spreadsheets, as they are: what they mean is read elsewhere."""

import csv
import gzip
from io import TextIOWrapper
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import pandas as pd

MISSING: Final = ("", "NA", "NaN", "nan", "N/A", "#N/A", "NULL", "null")
SEPARATORS: Final = ("\t", ",", ";", " ")
SPREADSHEETS: Final = (".xlsx", ".xlsm")
GZIP: Final = b"\x1f\x8b"


class Table(NamedTuple):
    """A table with its header apart, since names may repeat."""

    cells: pd.DataFrame
    """Rows x columns, columns numbered from 0; the first column is text in which nothing counts as missing."""
    labels: list[str]
    """The header; an empty text where a column has none."""
    comment: str
    """The lines before the header that begin with ``#``."""


def read_table(path: Path) -> Table:
    """Read a table with a header from a text file (tab, comma, semicolon or space; .gz too) or a spreadsheet.

    Raises
    ------
    ValueError
        If it is not a text file or spreadsheet, is empty, or has a single column.
    ImportError
        If a spreadsheet cannot be read for want of openpyxl.
    """
    table = _read_spreadsheet(path) if path.suffix.lower() in SPREADSHEETS else _read_text(path)
    filled = [k for k, label in enumerate(table.labels) if label or table.cells[k].notna().any()]
    table = Table(
        table.cells[filled].set_axis(range(len(filled)), axis=1), [table.labels[k] for k in filled], table.comment
    )
    if len(table.labels) < 2 or table.cells.empty:
        raise ValueError(
            f"{path} holds {len(table.cells)} rows and {len(table.labels)} columns below its header. Give a table with a "
            "header, columns separated by tabs or commas, and names in the first column."
        )
    return table


def _read_text(path: Path) -> Table:
    if path.suffix.lower() == ".xls":
        raise ValueError(f"{path} is a spreadsheet of the old kind: save it as .xlsx, or as text (.csv or .tsv).")
    try:
        with _open(path) as file:
            comment, n_comments, lines = _head(file)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text file in UTF-8 (byte {error.start}). Give .csv, .tsv, .xlsx or .h5ad; a text from a "
            "spreadsheet is saved as 'CSV UTF-8'."
        ) from error
    if not lines:
        raise ValueError(f"{path} is empty.")
    separator = max(SEPARATORS, key=lambda mark: (lines[0].count(mark), -SEPARATORS.index(mark)))
    if any(lines[0].count(mark) for mark in SEPARATORS[:-1]):
        separator = max(SEPARATORS[:-1], key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=separator))
    labels = [label.strip() for label in rows[0]]
    if len(rows) > 1 and len(rows[1]) == len(labels) + 1:  # R's write.table gives the row names no header
        labels = ["", *labels]
    with _open(path) as file:
        cells = pd.read_csv(
            file,
            sep=separator,
            header=None,
            names=range(len(labels)),
            skiprows=n_comments + 1,
            index_col=False,
            dtype={0: str},
            na_values={k: list(MISSING) for k in range(1, len(labels))},
            keep_default_na=False,
            low_memory=False,
            skipinitialspace=True,
        )
    cells[0] = cells[0].str.strip()
    return Table(cells, labels, comment)


def _open(path: Path) -> TextIO:
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP
    return TextIOWrapper(gzip.open(path) if zipped else path.open("rb"), encoding="utf-8-sig", newline="")


def _head(file: TextIO) -> tuple[str, int, list[str]]:
    """Comment lines, their number, and the header with the line below it; a header may begin with ``#`` itself."""
    comments: list[str] = []
    lines: list[str] = []
    for line in file:
        if not lines and line.startswith("#"):
            comments.append(line)
            continue
        lines.append(line)
        if len(lines) == 2:
            break
    if comments and lines and any(comments[-1].count(m) == lines[0].count(m) > 0 for m in SEPARATORS[:2]):
        lines = [comments.pop().removeprefix("#"), lines[0]]
    return "".join(comments), len(comments), lines


def _read_spreadsheet(path: Path) -> Table:
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
    labels = ["" if pd.isna(label) else str(label).strip() for label in sheet.iloc[0]]
    cells = sheet.iloc[1:].dropna(how="all").reset_index(drop=True)
    cells.columns = range(len(labels))
    for k in cells.columns[1:]:
        cells[k] = _numbers_if_all_are(cells[k])
    cells[0] = cells[0].map(lambda cell: "" if cell is None else str(cell).strip()).astype(str)
    return Table(cells, labels, "")


def _numbers_if_all_are(column: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().equals(column.notna()) else column
