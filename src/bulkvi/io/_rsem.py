"""A folder of RSEM's genes.results, one file for each sample: expected counts and effective lengths of genes."""

import re
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from bulkvi.io._found import Found
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_files import LINE_IS_CUT, numbers, read_rows, same_rows
from bulkvi.io._sample_names import Match, matched

ENDING: Final = re.compile(r"[._-]?genes\.results(\.gz)?$")
AS_WRITTEN: Final = "RSEM writes it, with a header and the columns gene_id, effective_length and expected_count"
ID_AND_SYMBOL: Final = re.compile(r"(ENS[A-Z]*G\d+(?:\.\d+)?(?:_PAR_Y)?)_(.+)")
"""A gene of ``rsem --append-names``."""


def read_rsem(folder: Path, files: dict[str, Path], samples: pd.DataFrame, *, match: Match) -> Found:
    """Find the counts and lengths of the samples of a sheet among RSEM's files; expected counts are rounded.

    Raises
    ------
    ValueError
        If a sample has no file, a file is not as RSEM writes it, or files list different genes.
    """
    chosen = matched(list(files), samples, match, folder.name)
    say_left_out(sorted(set(files) - set(chosen)), folder.name)
    at = {name: files[given] for name, given in zip(samples.index, chosen, strict=True)}
    tables = same_rows({name: _read(path) for name, path in at.items()}, at)
    counts = pd.DataFrame({name: table["expected_count"] for name, table in tables.items()}).round()
    lengths = pd.DataFrame({name: table["effective_length"] for name, table in tables.items()})
    symbols = None
    parts = [ID_AND_SYMBOL.fullmatch(gene) for gene in counts.index]
    if all(parts):
        ids = pd.Index([part[1] for part in parts if part])
        counts, lengths = counts.set_axis(ids, axis=0), lengths.set_axis(ids, axis=0)
        symbols = pd.Series([part[2] for part in parts if part], index=ids)
    return Found(counts, {"format": "RSEM", "samples_in": "files", "match": match}, symbols, filled_lengths(lengths))


def _read(path: Path) -> pd.DataFrame:
    cells = read_rows(path, AS_WRITTEN)
    labels = cells.iloc[0].tolist()
    wanted = ["expected_count", "effective_length"]
    missing = [label for label in ("gene_id", *wanted) if label not in labels]
    if missing or len(cells) < 2:
        raise ValueError(
            f"{path} is not as {AS_WRITTEN} ({f'it has no column {missing[0]}' if missing else 'it has no genes'}). Copy it again, "
            "or count again."
        )
    cells = cells.set_axis(labels, axis=1).iloc[1:]
    table = numbers(cells.set_axis(pd.Index(cells["gene_id"].tolist()), axis=0)[wanted], path, AS_WRITTEN)
    table.attrs = {LINE_IS_CUT: cells.attrs.get(LINE_IS_CUT, False)}
    return table


def filled_lengths(lengths: pd.DataFrame) -> pd.DataFrame:
    """Lengths of which none is 0: the geometric mean of the other samples', or 1 for a gene without any.

    A gene shorter than the fragments has the effective length 0, which would make its offset infinite.
    """
    logs = np.log(lengths.where(lengths > 0))
    return lengths.where(lengths > 0, np.exp(logs.mean(axis=1)).fillna(1.0), axis=0)
