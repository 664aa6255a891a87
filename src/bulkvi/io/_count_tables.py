"""Counts in one table: text or spreadsheet, either way round; also what featureCounts writes."""

import re
import warnings
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._decimal_comma import with_points
from bulkvi.io._found import Found
from bulkvi.io._gct import gct_columns, without_annotation_rows
from bulkvi.io._gene_names import ANNOTATION, ID_HEADERS, id_column, plain, symbol_column
from bulkvi.io._left_out import say_left_out
from bulkvi.io._orientation import SamplesIn, samples_in
from bulkvi.io._sample_names import Match, matched, pair_names
from bulkvi.io._tables import Table, read_table

FEATURE_COUNTS: Final = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]


def read_count_table(
    path: Path,
    samples: pd.DataFrame,
    *,
    match: Match,
    given: SamplesIn | None,
    gene_column: str | None,
    sheet: str | None = None,
) -> Found:
    """Find the counts of the samples of a sheet in one table.

    Raises
    ------
    KeyError
        If there is no column ``gene_column``, or no such sheet.
    ValueError
        If the file is no table, or the samples of the sheet are not in it.
    """
    if path.name.endswith(("ReadsPerGene.out.tab", "ReadsPerGene.out.tab.gz")):
        raise ValueError(
            f"{path} is what STAR counted in one sample: give the folder that holds such a file for each sample."
        )
    table = read_table(path, is_name=lambda label: label == gene_column or plain(label) in ID_HEADERS, sheet=sheet)
    table = with_points(without_annotation_rows(table, path.name) if table.dimensions else table)
    if given not in (None, "columns", "rows"):
        raise ValueError(
            f"samples_in={given!r} is unknown; choose 'columns' or 'rows', or None to tell from the names."
        )
    feature_counts = "featureCounts" in table.comment or table.labels[:6] == FEATURE_COUNTS
    if feature_counts and match == "exact":
        complete = len(pair_names(table.labels, samples.index, "exact")) == len(samples)
        match = "exact" if complete else "file_names"  # its columns are named after the alignments
    if len(samples) > 1 and {*table.cells[0]} <= {*map(str, samples.columns)}:
        raise ValueError(
            f"{path.name} has a row for each sample, and the sample sheet a column for each: the two files have been exchanged. "
            "The counts come first, then the sample sheet."
        )
    side = given or samples_in(table.labels[1:], table.cells[0].tolist(), samples.index.tolist(), match, path.name)
    facts = {"format": "featureCounts" if feature_counts else "table", "samples_in": side, "match": match}
    read = _genes_below if side == "columns" else _genes_across
    return read(table, samples, match, gene_column, path.name)._replace(facts=facts)


def _genes_below(table: Table, samples: pd.DataFrame, match: Match, gene_column: str | None, source: str) -> Found:
    ids = id_column(table.labels, gene_column, source)
    symbols = symbol_column(table.labels, ids)
    if table.dimensions:
        ids, symbols = gct_columns(table, ids if gene_column else None)
    wanted = set(samples.index)
    candidates = [
        k
        for k, label in enumerate(table.labels)
        if k not in (ids, symbols) and label and (label in wanted or plain(label) not in ANNOTATION)
    ]
    numeric = [k for k in candidates if _has_numbers(table.cells[k])]
    _refuse_text([k for k in candidates if k not in set(numeric)], table, samples, source)
    names = [table.labels[k] for k in numeric]
    chosen = matched(names, samples, match, source)
    say_left_out(sorted(set(names) - set(chosen)), source)
    known = {*numeric, ids, symbols, *(range(6) if table.labels[:6] == FEATURE_COUNTS else ())}
    others = [
        label or f"column {k + 1}, which has no name"
        for k, label in enumerate(table.labels)
        if k not in known and (label or k)  # the first may number the rows
    ]
    if others:
        warnings.warn(
            f"{source}: {len(others)} columns are no samples and were left out: {others[:5]}.",
            UserWarning,
            stacklevel=2,
        )
    genes = table.cells[ids].map(_as_name)
    kept = ~((genes == "") & table.cells[numeric].isna().all(axis=1))
    counts = table.cells[[numeric[names.index(name)] for name in chosen]].set_axis(samples.index, axis=1)
    counts = counts[kept].set_axis(pd.Index(genes[kept].tolist()), axis=0)
    return Found(counts, {}, None if symbols is None else table.cells[symbols][kept].set_axis(counts.index))


def _genes_across(table: Table, samples: pd.DataFrame, match: Match, gene_column: str | None, source: str) -> Found:
    if gene_column is not None:
        raise ValueError(
            f"gene_column={gene_column!r}: the samples are the rows of {source}, so that gene ids are its header. Leave it out."
        )
    rows = table.cells[0].tolist()
    chosen = matched(rows, samples, match, source)
    say_left_out(sorted({name for name in rows if name} - set(chosen)), source)
    columns = set(map(str, samples.columns))
    genes = [k for k in table.cells.columns[1:] if table.labels[k] not in columns and _has_numbers(table.cells[k])]
    other = [table.labels[k] for k in table.cells.columns[1:] if k not in set(genes)]
    if other:
        warnings.warn(
            f"{source}: {len(other)} columns do not hold counts and were left out: {other[:5]}.",
            UserWarning,
            stacklevel=2,
        )
    values = table.cells[genes].iloc[[rows.index(name) for name in chosen]]
    counts = values.T.set_axis(samples.index, axis=1)
    return Found(counts.set_axis(pd.Index([table.labels[k] for k in genes], dtype=object), axis=0), {})


def _refuse_text(columns: list[int], table: Table, samples: pd.DataFrame, source: str) -> None:
    """Raise where the column of a sample holds no number at all."""
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
    if pd.api.types.is_numeric_dtype(column):
        return True
    return bool(pd.to_numeric(column, errors="coerce").notna().any())


def _as_name(cell: object) -> str:
    if isinstance(cell, float):
        return "" if pd.isna(cell) else str(int(cell)) if cell.is_integer() else repr(cell)
    return "" if cell is None or cell is pd.NA else str(cell).strip()
