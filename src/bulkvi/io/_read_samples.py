import re
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._tables import Table, read_table

NAMELESS: Final = ("sample", "row_name", "name_of_row", "unnamed")
"""What the first column is called where its header is empty: the first of these that no other column has."""
CALLED: Final = re.compile(
    r"(?i)(?<![a-z])(clone|well|plate|line|id|code|donor|patient|subject|sample|batch|run|lane|barcode|strain|mouse|animal)s?(?![a-z])"
)
"""Names of columns whose values are names, whatever they look like."""
MEASURED: Final = re.compile(r"(?i)(?<![a-z])(age|time|day|hour|hr|min|dose|conc|date|year|month|week)s?(?![a-z])")
"""Names of columns whose values are measurements."""


def read_samples(path: str | Path, *, sample_column: str | None = None) -> pd.DataFrame:
    r"""Read a sample sheet: a row for each sample, its name in the first column, what is known about it in the others.

    Parameters
    ----------
    path
        Text file with a header (columns separated by tabs, commas or semicolons; ``.gz`` too) or ``.xlsx``. Empty cells,
        ``NA`` and ``NaN`` are missing values. Where semicolons part the columns, a comma is a decimal comma.
    sample_column
        Column with the names of the samples, as the counts have them; None for the first column.

    Returns
    -------
    A table indexed by sample in the order of the file, to be the ``obs`` of an AnnData. Columns of text in which a
    value repeats are categorical, levels in alphabetical order; columns of numbers stay numbers. Numbers with a leading zero
    (001) are names and stay text, as do those like 1E3 in a column that is called clone, well, plate, donor, id and the like.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    KeyError
        If ``sample_column`` is no column.
    ValueError
        If the file is no table, if column names are missing or repeat, if sample names are missing or repeat, or if numbers
        have commas and no semicolons part the columns.
    ImportError
        If a spreadsheet is given and openpyxl is not installed (extra ``excel``).

    Notes
    -----
    A batch that is numbered (1, 2, 3) is read as a number; the design takes it for groups and says so, see
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
    table = _with_names(read_table(path, is_name=lambda label: label == sample_column), path, sample_column)
    free = next(name for name in NAMELESS if name not in table.labels)
    labels = [free if k == 0 and not label else label for k, label in enumerate(table.labels)]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise ValueError(f"{path}: column names must be there and be unique; {repeated} occur more than once.")
    samples = table.cells.set_axis(labels, axis=1)
    column = labels[0] if sample_column is None else sample_column
    if column not in labels:
        raise KeyError(f"sample_column={column!r} is not a column of {path}; it has {labels}.")
    names = samples[column].astype(object)
    names = names.where(names.notna(), "").astype(str).str.strip()
    _check_names(names, column, path, table.first_line)
    samples = samples.drop(columns=column).set_axis(pd.Index(names.tolist()), axis=0)
    return pd.DataFrame(
        {label: _as_column(samples[label], path, table.separator) for label in samples}, index=samples.index
    )


def _with_names(table: Table, path: Path, sample_column: str | None) -> Table:
    """The same with columns of numbers as text, where they are written as only names are."""
    numeric = {label for k, label in enumerate(table.labels) if k and pd.api.types.is_numeric_dtype(table.cells[k])}
    if not numeric:
        return table
    as_text = read_table(path, is_name=lambda label: label in numeric or label == sample_column)
    if as_text.labels != table.labels or len(as_text.cells) != len(table.cells):
        return table
    cells = table.cells.copy()
    for k, label in enumerate(table.labels):
        written = as_text.cells[k].dropna().astype(str).str.strip()
        is_name = written.str.fullmatch(r"0\d+").any() or (
            CALLED.search(re.sub(r"([a-z])([A-Z])", r"\1_\2", label)) is not None
            and written.str.fullmatch(r"\d+[eE]\d+").any()
        )
        if k and label in numeric and is_name and not MEASURED.search(label):
            cells[k] = as_text.cells[k]
    return table._replace(cells=cells)


def _check_names(names: pd.Series, column: str, path: Path, first_line: int) -> None:
    unnamed = [int(k) + first_line for k in names.index[names == ""]]
    if unnamed:
        raise ValueError(
            f"{path}: no sample name in column {column!r} of lines {unnamed[:5]}. Each row needs the sample's name, as the "
            "counts have it; take empty rows out."
        )
    repeated = list(dict.fromkeys(names[names.duplicated()]))
    if repeated:
        raise ValueError(
            f"{path}: sample names must be unique; in column {column!r} {len(repeated)} occur more than once: {repeated[:5]}. "
            "One row for each sample: if the names stand in another column, give its name as sample_column; technical "
            "replicates (lanes of one library) are added up before."
        )


def _as_column(column: pd.Series, path: Path, separator: str) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column
    text = column.astype(object).map(lambda cell: str(cell).strip(), na_action="ignore")
    known = text.dropna()
    if known.str.fullmatch(r"-?\d+(,\d+)?").all() and known.str.contains(",").any():
        if separator == ";":
            return pd.to_numeric(text.str.replace(",", "."))
        raise ValueError(
            f"{path}: column {column.name!r} holds numbers with a comma, such as {known[known.str.contains(',')].iloc[0]!r}, which "
            "may part decimals or thousands. Write decimals with a point and thousands without a mark; if they name groups, "
            "put a letter in front."
        )
    if not known.is_unique:
        return text.astype(pd.CategoricalDtype(sorted(known.unique())))
    return text
