"""Counts in one table: text, spreadsheet, ``.gct`` or featureCounts, genes x samples or samples x genes."""

import re
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.io._genes import ANNOTATION, ID_HEADERS, SampleCounts, id_column, plain_label, symbol_column
from bulkvi.io._sample_names import Match, SamplesIn, find_samples, match_samples, pair_names
from bulkvi.io._tables import Table, read_table

FEATURE_COUNTS: Final = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
WITH_COMMA: Final = r"-?\d+(,\d+)?"
DECIMAL: Final = r"-?(0\d*,\d+|\d{4,},\d+|\d+,(\d{1,2}|\d{4,}))"
"""Numbers whose comma cannot separate thousands."""


def read_count_table(
    path: Path,
    samples: pd.DataFrame,
    *,
    match: Match,
    given: SamplesIn | None,
    gene_column: str | None,
    sheet: str | None = None,
) -> SampleCounts:
    """Find the counts of the samples of a sheet in one table; ``given`` is the side of the samples, None to find it."""
    if path.name.endswith(("ReadsPerGene.out.tab", "ReadsPerGene.out.tab.gz")):
        raise ValueError(
            f"{path} holds the counts of one sample by STAR: give the folder that holds such a file for each sample."
        )
    table = read_table(
        path, is_name=lambda label: label == gene_column or plain_label(label) in ID_HEADERS, sheet=sheet
    )
    table = _with_decimal_points(_check_gct(table, path.name) if table.dimensions else table)
    feature_counts = "featureCounts" in table.comment or table.labels[:6] == FEATURE_COUNTS
    if feature_counts and match == "exact":
        complete = len(pair_names(table.labels, samples.index, "exact")) == len(samples)
        match = "exact" if complete else "file_names"  # its columns are named after the alignments
    if len(samples) > 1 and {*table.cells[0]} <= {*map(str, samples.columns)}:
        raise ValueError(
            f"{path.name} has a row for each sample, and the sample sheet a column for each: the two files have been exchanged. "
            "The counts come first, then the sample sheet."
        )
    side = given or find_samples(table.labels[1:], table.cells[0].tolist(), samples.index.tolist(), match, path.name)
    facts = {"format": "featureCounts" if feature_counts else "table", "samples_in": side, "match": match}
    read = _read_columns if side == "columns" else _read_rows
    return read(table, samples, match, gene_column, path.name)._replace(facts=facts)


def _read_columns(
    table: Table, samples: pd.DataFrame, match: Match, gene_column: str | None, source: str
) -> SampleCounts:
    ids = id_column(table.labels, gene_column, source)
    symbols = symbol_column(table.labels, ids)
    if table.dimensions:
        ids, symbols = _gct_columns(table, ids if gene_column else None)
    wanted = set(samples.index)
    candidates = [
        k
        for k, label in enumerate(table.labels)
        if k not in (ids, symbols) and label and (label in wanted or plain_label(label) not in ANNOTATION)
    ]
    numeric = [k for k in candidates if _has_numbers(table.cells[k])]
    _refuse_text([k for k in candidates if k not in set(numeric)], table, samples, source)
    names = [table.labels[k] for k in numeric]
    chosen = match_samples(names, samples, match, source)
    known = {*numeric, ids, symbols, *(range(6) if table.labels[:6] == FEATURE_COUNTS else ())}
    others = [
        label or f"column {k + 1}, which has no name"
        for k, label in enumerate(table.labels)
        if k not in known and (label or k)  # the first may number the rows
    ]
    if others:
        warn_user(f"{source}: {len(others)} columns are no samples and were left out: {others[:5]}.")
    genes = table.cells[ids].map(_as_name)
    kept = ~((genes == "") & table.cells[numeric].isna().all(axis=1))
    counts = table.cells[[numeric[names.index(name)] for name in chosen]].set_axis(samples.index, axis=1)
    counts = counts[kept].set_axis(pd.Index(genes[kept].tolist()), axis=0)
    return SampleCounts(counts, {}, None if symbols is None else table.cells[symbols][kept].set_axis(counts.index))


def _read_rows(table: Table, samples: pd.DataFrame, match: Match, gene_column: str | None, source: str) -> SampleCounts:
    if gene_column is not None:
        raise ValueError(
            f"gene_column={gene_column!r}: the samples are the rows of {source}, so that gene ids are its header. Leave it out."
        )
    rows = table.cells[0].tolist()
    chosen = match_samples(rows, samples, match, source)
    columns = set(map(str, samples.columns))
    genes = [k for k in table.cells.columns[1:] if table.labels[k] not in columns and _has_numbers(table.cells[k])]
    other = [table.labels[k] for k in table.cells.columns[1:] if k not in set(genes)]
    if other:
        warn_user(f"{source}: {len(other)} columns do not hold counts and were left out: {other[:5]}.")
    values = table.cells[genes].iloc[[rows.index(name) for name in chosen]]
    counts = values.T.set_axis(samples.index, axis=1)
    return SampleCounts(counts.set_axis(pd.Index([table.labels[k] for k in genes], dtype=object), axis=0), {})


def _refuse_text(columns: list[int], table: Table, samples: pd.DataFrame, source: str) -> None:
    """Raise a ValueError if the column of a sample has no number."""
    wanted = set(samples.index)
    for column in columns:
        if table.labels[column] not in wanted:
            continue
        values = table.cells[column].dropna()
        first = str(values.iloc[0]) if len(values) else ""
        comma = " Their comma may separate decimals or thousands." if re.fullmatch(r"-?\d+(,\d+)+", first) else ""
        raise ValueError(
            f"{source}: the column of sample {table.labels[column]!r} holds no numbers{f', first {first!r}' if first else ''}."
            f"{comma} Write counts as plain whole numbers."
        )


def _has_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) or bool(pd.to_numeric(column, errors="coerce").notna().any())


def _as_name(cell: object) -> str:
    if isinstance(cell, float):
        return "" if pd.isna(cell) else str(int(cell)) if cell.is_integer() else repr(cell)
    return "" if cell is None or cell is pd.NA else str(cell).strip()


def _check_gct(table: Table, source: str) -> Table:
    """Return a table of GenePattern's ``.gct`` without rows that annotate samples; raise if its size is not that of line 2."""
    size = table.dimensions
    n_rows, n_samples, n_columns, n_annotation = size if len(size) == 4 else (*(*size, 0, 0)[:2], 1, 0)
    labels = list(map(plain_label, table.labels))
    leading = 1 + n_columns + (len(size) == 2 and labels[:3] == ["id", "name", "description"])  # as GTEx writes it
    found = len(table.cells) - n_annotation, len(table.labels) - leading
    if len(size) not in (2, 4) or found != (n_rows, n_samples):
        raise ValueError(
            f"{source}: its second line gives {' x '.join(map(str, size[:2]))} (genes x samples), and the table holds "
            f"{found[0]} x {found[1]}. The file may be cut off, or was changed after it was written: download it again, or correct that line."
        )
    if n_annotation:
        names = table.cells[0].iloc[:n_annotation].tolist()
        warn_user(f"{source}: {n_annotation} rows annotate samples and were left out: {names[:5]}.")
    cells = table.cells.iloc[n_annotation:].reset_index(drop=True)
    return table._replace(cells=cells, lines=table.lines[n_annotation:])


def _gct_columns(table: Table, ids: int | None) -> tuple[int, int | None]:
    """Return the positions of gene ids and of symbols: columns Name, and Description if it holds single words."""
    labels = list(map(plain_label, table.labels))
    if ids is None:
        ids = labels.index("name") if "name" in labels[:3] else 0
    described = labels.index("description") if "description" in labels[:4] else None
    words = [] if described is None else table.cells[described].dropna().astype(str).tolist()
    return ids, described if words and not any(re.search(r"\s", word) for word in words) else None


def _with_decimal_points(table: Table) -> Table:
    """Return the table with decimal commas read as decimal points.

    A comma is a decimal one if semicolons separate the columns, or if it cannot separate thousands in one number of the
    table, as in 260,0.
    """
    text = {}
    for k in table.cells.columns[1:]:
        column = table.cells[k]
        if not pd.api.types.is_numeric_dtype(column):
            known = column.dropna().astype(str).str.strip()
            if known.str.contains(",").any() and known.str.fullmatch(WITH_COMMA).all():
                text[k] = known
    if not text:
        return table
    if table.separator != ";" and not any(known.str.fullmatch(DECIMAL).any() for known in text.values()):
        return table
    cells = table.cells.copy()
    for k, known in text.items():
        cells[k] = pd.to_numeric(known.str.replace(",", ".")).reindex(cells.index)
    return table._replace(cells=cells)
