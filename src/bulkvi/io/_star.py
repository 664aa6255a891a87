"""A folder of STAR's ReadsPerGene.out.tab, one file for each sample."""

from pathlib import Path
from typing import Final, Literal

import pandas as pd

from bulkvi.io._found import Found
from bulkvi.io._gene_names import SUMMARY
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_names import Match, matched

Strandedness = Literal["unstranded", "forward", "reverse"]

PATTERN: Final = "*ReadsPerGene.out.tab*"
COLUMNS: Final[dict[Strandedness, int]] = {"unstranded": 1, "forward": 2, "reverse": 3}
"""Column of the file by the strand that reads (of a pair the first) are on."""
SURE: Final[dict[Strandedness, tuple[float, float]]] = {
    "reverse": (0.0, 0.2),
    "unstranded": (0.4, 0.6),
    "forward": (0.8, 1.0),
}
"""Share of stranded reads in the column ``forward`` from which the protocol is told."""


def star_files(folder: Path) -> dict[str, Path]:
    """Files of STAR in a folder or its subfolders by the name of the sample: what stands before, or the subfolder.

    Raises
    ------
    ValueError
        If two files are of one sample.
    """
    files: dict[str, Path] = {}
    for path in sorted([*folder.glob(PATTERN), *folder.glob(f"*/{PATTERN}")]):
        name = _sample(path)
        if name in files:
            raise ValueError(
                f"{folder}: {files[name].relative_to(folder)} and {path.relative_to(folder)} are both of sample {name!r}. Leave one "
                "of them; lanes or runs of one library are added up before."
            )
        files[name] = path
    return files


def _sample(path: Path) -> str:
    return path.name.partition("ReadsPerGene.out.tab")[0].rstrip("_.-") or path.parent.name


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
    tables = {}
    for name, given in zip(samples.index, chosen, strict=True):
        table = _read_file(files[given])
        tables[name] = table[~table.index.str.fullmatch(SUMMARY.pattern)]
        first = tables[samples.index[0]]
        if table.shape[1] != 3 or not tables[name].index.equals(first.index):
            raise ValueError(
                f"{files[given]}: {len(tables[name])} genes and {table.shape[1]} columns of counts, not the same {len(first)} "
                "genes and 3 columns as the other samples. Count all samples with the same annotation."
            )
    strand = strandedness or _strand(tables)
    counts = pd.DataFrame({name: table[COLUMNS[strand]] for name, table in tables.items()})
    counts.index = pd.Index(counts.index.tolist())
    return Found(counts, {"format": "STAR", "samples_in": "files", "match": match, "strandedness": strand})


def _read_file(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t", header=None, dtype={0: str}, keep_default_na=False).set_index(0)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not as STAR writes it, a gene and three counts in each line ({str(error).strip()}). Copy it again, or "
            "count again."
        ) from error


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
