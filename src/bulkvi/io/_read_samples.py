from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.io._count_values import as_float
from bulkvi.io._tables import MISSING, read_table
from bulkvi.study.columns import GROUPS, QUANTITIES, words_of

NAMELESS: Final = ("sample", "row_name", "name_of_row", "unnamed")
"""Name of a first column without header: the first of these that no other column has."""
NUMBERING: Final = frozenset(("number", "num", "n"))
"""Quantities that may also number the values of a column of names (patient_number 001)."""


def read_samples(path: str | Path, *, sample_column: str | None = None, sheet: str | None = None) -> pd.DataFrame:
    r"""Read a sample sheet: one row per sample, with its name in the first column and its variables in the others.

    Parameters
    ----------
    path
        Text file with a header (columns separated by tabs, commas or semicolons) or ``.xlsx``; also packed (``.gz``,
        ``.bz2``, ``.xz``, ``.zip`` with one file). If semicolons separate the columns, a comma is a decimal comma.
    sample_column
        Column with the names of the samples, as the counts have them; None for the first column.
    sheet
        Sheet of an ``.xlsx``; None for the only one that is not empty.

    Returns
    -------
    Table indexed by sample in the order of the file, for the ``obs`` of an AnnData. Text columns in which a value repeats are
    categorical, levels in alphabetical order; columns of numbers stay numbers. Numbers with a leading zero (001) are names
    and stay text, as do those like 1E3 in a column with a name such as clone, well, plate, donor or id.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If there is no column ``sample_column``, or no such sheet.
    ValueError
        If the file is no table, if column names are missing or repeat, if sample names are missing or repeat, or if numbers
        have commas although no semicolons separate the columns.
    ImportError
        If a spreadsheet is given and openpyxl is not installed (extra ``excel``).

    Notes
    -----
    An empty cell is a missing value. In a column of numbers so are ``NA``, ``NaN``, ``N/A`` and ``null``. In a column of text
    ``null`` and ``None`` are levels, as a genotype may be; ``NA``, ``NaN`` and ``N/A`` are missing values where the column has two
    or more other levels, and a level where it has one (wild type and NA). A warning reports the choice.

    A numbered batch (1, 2, 3) is read as numbers; the design uses it as groups, with a warning, see
    :func:`bulkvi.tl.design_variables`.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("samples.csv").write_text("sample,condition,age\nA,control,31\nB,treated,40\nC,treated,28\n")
    >>> samples = read_samples("samples.csv")
    >>> samples["condition"].cat.categories.tolist(), samples.loc["B", "age"].item()
    (['control', 'treated'], 40)
    """
    path = Path(path)
    table = read_table(path, is_name=lambda label: label == sample_column, all_text=True, sheet=sheet)
    free = next(name for name in NAMELESS if name not in table.labels)
    labels = [free if k == 0 and not label else label for k, label in enumerate(table.labels)]
    unnamed = [k + 1 for k, label in enumerate(labels) if not label]
    if unnamed:
        raise ValueError(
            f"{path}: column names must be present and unique; columns {unnamed[:5]}, counted from 1, have values and no name "
            f"(first {next(cell for cell in table.cells[unnamed[0] - 1] if cell)!r}). Name each, or remove them."
        )
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"{path}: column names must be present and unique; {repeated} occur more than once.")
    samples = table.cells.set_axis(labels, axis=1)
    column = labels[0] if sample_column is None else sample_column
    if column not in labels:
        raise KeyError(f"sample_column={column!r} is not a column of {path}; it has {labels}.")
    names = samples[column]
    _check_names(names, column, path, table.lines)
    samples = samples.drop(columns=column).set_axis(pd.Index(names.tolist()), axis=0)
    return pd.DataFrame(
        {label: _as_column(samples[label], path, table.separator) for label in samples}, index=samples.index
    )


def _check_names(names: pd.Series, column: str, path: Path, lines: list[int]) -> None:
    unnamed = [lines[int(k)] for k in names.index[names == ""]]
    if unnamed:
        raise ValueError(
            f"{path}: no sample name in column {column!r} of lines {unnamed[:5]}. Each row needs the sample's name, as the "
            "counts have it; remove empty rows."
        )
    repeated = list(dict.fromkeys(names[names.duplicated()]))
    if repeated:
        raise ValueError(
            f"{path}: sample names must be unique; in column {column!r} {len(repeated)} occur more than once: {repeated[:5]}. "
            "Give one row per sample: if the names are in another column, give its name as sample_column; sum technical "
            "replicates (lanes of one library) first."
        )


def _as_column(text: pd.Series, path: Path, separator: str) -> pd.Series:
    """Convert a column to numbers or truth values, or else to text with missing values."""
    known = text[~text.isin(MISSING)]
    is_empty = known.empty and text[text != ""].nunique() < 2
    if is_empty or len(known) and all(as_float(cell) is not None for cell in known) and not _are_names(known):
        return _as_numbers(text, known)
    if len(known) == len(text) and text.str.lower().isin(["true", "false"]).all():
        return text.str.lower() == "true"
    if known.str.fullmatch(r"-?\d+(,\d+)?").all() and known.str.contains(",").any():
        if separator == ";":
            return _as_numbers(text.str.replace(",", "."), known)
        raise ValueError(
            f"{path}: column {text.name!r} holds numbers with a comma, such as {known[known.str.contains(',')].iloc[0]!r}, which "
            "may separate decimals or thousands. Write decimals with a point and thousands without a mark; if they name groups, "
            "put a letter in front."
        )
    text = _with_missing(text, known, path)
    known = text.dropna()
    if not known.is_unique:
        return text.astype(pd.CategoricalDtype(sorted(known.unique())))
    return text


def _are_names(numbers: pd.Series) -> bool:
    """Whether numbers are written as only names are: 001, or 1E3 in a column of clones."""
    words = words_of(numbers.name)
    if words & QUANTITIES - NUMBERING:
        return False
    exponents = words & (GROUPS | {"sample", "samples"}) and numbers.str.fullmatch(r"\d+[eE]\d+").any()
    return bool(numbers.str.fullmatch(r"0\d+").any() or exponents)


def _with_missing(text: pd.Series, known: pd.Series, path: Path) -> pd.Series:
    """Return a column of text in which the marks of missing values are missing, unless they are a level."""
    text = text.astype(object).where(text != "", None)
    marks = sorted({*text.dropna()} & {*MISSING})
    levels = {*known, *(mark for mark in marks if mark.lower() == "null")}
    absent = set() if len(levels) < 2 else set(marks) - levels
    for kind, values in (("missing values", absent), ("a level, as any other text", set(marks) - absent)):
        if values:
            remedy = (
                "If they are a level, write another word in the sheet."
                if values is absent
                else "If the values are missing, leave the cells empty."
            )
            n = int(text.isin(values).sum())
            warn_user(
                f"{path.name}: column {text.name!r}: {' and '.join(map(repr, sorted(values)))} of {n} samples was read as {kind}. {remedy}"
            )
    return text.where(~text.isin(absent), None)


def _as_numbers(text: pd.Series, known: pd.Series) -> pd.Series:
    present = text.index.isin(known.index)
    if known.str.fullmatch(r"[+-]?\d{19,}").any():  # identifiers with more digits than a number can represent
        return text.astype(object).where(present, None)
    return pd.to_numeric(text if present.all() else text.where(present))
