"""Tables in text files and spreadsheets, as they are: what they mean is read elsewhere."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from bulkvi.io._layout import ONE_VALUE, Layout, find_layout
from bulkvi.io._records import split_text
from bulkvi.io._spreadsheets import split_spreadsheet
from bulkvi.io._text_files import ZIP, decode, unpack

MISSING: Final = ("", "NA", "NaN", "nan", "N/A", "#N/A", "NULL", "null")
"""What an entry that is missing is called where numbers are expected."""


class Table(NamedTuple):
    """A table with its header apart, since names may repeat."""

    cells: pd.DataFrame
    """Rows x columns, columns numbered from 0; in the first column, and in those of names, nothing counts as missing."""
    labels: list[str]
    """The header; an empty text where a column has none."""
    comment: str
    """The lines before the header that begin with ``#``."""
    separator: str
    """What is between columns; empty in a spreadsheet."""
    lines: list[int]
    """Line of the file, counted from 1, of each row."""
    dimensions: tuple[int, ...] = ()
    """What a ``.gct`` file says of its size."""


def read_table(
    path: Path,
    *,
    is_name: Callable[[str], bool] = lambda _: False,
    all_text: bool = False,
    sheet: str | None = None,
) -> Table:
    """Read a table with a header from a text file (tab, comma, semicolon or space) or a spreadsheet, packed or not.

    Parameters
    ----------
    path
        The file.
    is_name
        Whether a column of this label holds names: they are kept as text, every digit and letter as it is.
    all_text
        Keep all columns as text, in which nothing counts as missing.
    sheet
        Sheet of the spreadsheet; None for the only one that is not empty.

    Raises
    ------
    ValueError
        If it is not a text file or spreadsheet, is cut off, is empty, has a single column, or a row has not as many values as
        the header has names.
    KeyError
        If there is no such sheet.
    ImportError
        If a spreadsheet cannot be read for want of openpyxl.
    """
    content = unpack(path)
    if content.startswith(ZIP):
        records = split_spreadsheet(content, path, sheet)
    else:
        if sheet is not None:
            raise ValueError(f"sheet={sheet!r} is for spreadsheets (.xlsx); {path} is none. Leave it out.")
        records = split_text(decode(content, path), path)
    layout = find_layout(records, str(path))
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
    """Rows as numbers where all of a column are, and the header."""
    labels, (lines, numbers, mark, *_) = layout.labels, layout.body
    if not lines:
        return pd.DataFrame(columns=range(len(labels))), labels
    width = max(len(labels), max(line.count(mark) for line in lines) + 1)
    names = {k for k, label in enumerate(labels) if is_name(label)}
    if layout.width > len(labels) and 0 not in names:  # in case that the first row is one of R's, see below
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
    """Whether names are in the second column, those of the header's first label, below no header in the first."""
    numbered = cells[0].tolist() == [str(k + 1) for k in range(len(cells))]
    return numbered or bool(pd.to_numeric(cells[1], errors="coerce").isna().all())
