"""A folder of STAR's ReadsPerGene.out.tab, one file for each sample."""

import re
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from bulkvi.io._found import Found
from bulkvi.io._gene_names import SUMMARY
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_files import by_sample, numbers, read_rows, same_rows
from bulkvi.io._sample_names import Match, matched

Strandedness = Literal["unstranded", "forward", "reverse"]

NAME: Final = re.compile(r"[_.-]*ReadsPerGene\.out\.tab(\.gz)?$")
AS_WRITTEN: Final = "STAR writes it, a gene and three counts in each line"
COLUMNS: Final[dict[Strandedness, int]] = {"unstranded": 1, "forward": 2, "reverse": 3}
"""Column of the file by the strand that reads (of a pair the first) are on."""
SURE: Final[dict[Strandedness, tuple[float, float]]] = {
    "reverse": (0.0, 0.2),
    "unstranded": (0.4, 0.6),
    "forward": (0.8, 1.0),
}
"""Share of stranded reads in the column ``forward`` from which the protocol is told."""


def star_files(paths: list[Path], folder: Path) -> dict[str, Path]:
    """Those of the files of a folder that STAR counted, by sample: what is before STAR's name, or the subfolder.

    Raises
    ------
    ValueError
        If two files are of one sample.
    """
    return by_sample([path for path in paths if NAME.search(path.name)], folder, lambda name: NAME.sub("", name))


def read_star(
    folder: Path, files: dict[str, Path], samples: pd.DataFrame, *, match: Match, strandedness: Strandedness | None
) -> Found:
    """Find the counts of the samples of a sheet among STAR's files.

    Raises
    ------
    ValueError
        If a sample has no file, files list different genes, or the strand is neither given nor plain from the counts.
    """
    if strandedness not in (None, *COLUMNS):
        raise ValueError(f"strandedness={strandedness!r} is unknown; choose one of {list(COLUMNS)}.")
    chosen = matched(list(files), samples, match, folder.name)
    say_left_out(sorted(set(files) - set(chosen)), folder.name)
    at = {name: files[given] for name, given in zip(samples.index, chosen, strict=True)}
    tables = same_rows({name: _read_file(path) for name, path in at.items()}, at)
    strand = strandedness or _strand(tables)
    counts = pd.DataFrame({name: table[COLUMNS[strand]] for name, table in tables.items()})
    counts.index = pd.Index(counts.index.tolist())
    return Found(counts, {"format": "STAR", "samples_in": "files", "match": match, "strandedness": strand})


def _read_file(path: Path) -> pd.DataFrame:
    cells = read_rows(path, AS_WRITTEN)
    if cells.shape[1] != 4:
        raise ValueError(
            f"{path} is not as {AS_WRITTEN} (it has {cells.shape[1]} columns). Copy it again, or count again."
        )
    table = numbers(cells.set_index(0), path, AS_WRITTEN)
    table.attrs = cells.attrs
    return table[~table.index.str.fullmatch(SUMMARY.pattern)]


def _strand(tables: dict[str, pd.DataFrame]) -> Strandedness:
    """The protocol that all samples agree on."""
    sums = pd.DataFrame({name: table[[2, 3]].sum() for name, table in tables.items()}).T
    shares = sums[2] / sums.sum(axis=1).clip(lower=1)
    for strand, (low, high) in SURE.items():
        if shares.between(low, high).all():
            return strand
    raise ValueError(
        f"The strand of the reads is not plain: of the reads on one strand, the share in the column 'forward' is "
        f"{shares.min():.2f} (sample {shares.idxmin()!r}) to {shares.max():.2f} ({shares.idxmax()!r}); it is near 0 (reverse), "
        "0.5 (unstranded) or 1 (forward) in data of one protocol. Say which it is with strandedness='reverse' (most kits), "
        "'forward' or 'unstranded'."
    )
