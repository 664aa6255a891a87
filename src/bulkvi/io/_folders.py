"""A folder of counts: which tool wrote its files; and the files of STAR."""

import re
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from bulkvi.io._count_values import Missing
from bulkvi.io._gene_files import gene_files, read_gene_files
from bulkvi.io._genes import SUMMARY, SampleCounts
from bulkvi.io._quantifiers import RSEM_FILE, find_quantified, read_quantified, read_rsem
from bulkvi.io._sample_files import (
    by_sample,
    files_of_samples,
    not_as_written,
    numbers,
    read_rows,
    same_rows,
    visible_files,
)
from bulkvi.io._sample_names import Match

Strandedness = Literal["unstranded", "forward", "reverse"]

STAR_FILE: Final = re.compile(r"[_.-]*ReadsPerGene\.out\.tab(\.gz)?$")
AS_WRITTEN: Final = "STAR writes it, a gene and three counts in each line"
COLUMNS: Final[dict[Strandedness, int]] = {"unstranded": 1, "forward": 2, "reverse": 3}
"""Column of the file by the strand of the reads (of pairs, of the first reads)."""
FORWARD_SHARES: Final[dict[Strandedness, tuple[float, float]]] = {
    "reverse": (0, 0.2),
    "unstranded": (0.4, 0.6),
    "forward": (0.8, 1),
}
"""Share of stranded reads in the column ``forward`` by protocol."""
KNOWN: Final = (
    "no *ReadsPerGene.out.tab of STAR, no quant.sf (Salmon), abundance.h5 or abundance.tsv (kallisto), no *.genes.results (RSEM), "
    "and no tables of HTSeq or featureCounts"
)


def read_folder(
    folder: Path,
    samples: pd.DataFrame,
    *,
    match: Match,
    strandedness: Strandedness | None,
    transcripts: Path | None,
    missing: Missing,
) -> SampleCounts:
    """Find the counts of the samples of a sheet in a folder with one file per sample."""
    paths = visible_files(folder)
    of_genes = {"STAR": by_sample(paths, folder, STAR_FILE), "RSEM": by_sample(paths, folder, RSEM_FILE)}
    of_genes = {tool: files for tool, files in of_genes.items() if files}
    of_transcripts = find_quantified(paths, folder)
    tools = of_transcripts if of_transcripts and (transcripts is not None or not of_genes) else of_genes
    if len(tools) > 1 or of_transcripts and of_genes and tools is of_genes:
        raise ValueError(
            f"{folder} holds files of {' and of '.join(of_genes | of_transcripts)}. Give a folder that holds those of one tool"
            + (", or transcripts=FILE for those of transcripts." if of_genes and of_transcripts else ".")
        )
    if "STAR" in tools:
        return _read_star(folder, tools["STAR"], samples, match=match, strandedness=strandedness)
    if "RSEM" in tools:
        return read_rsem(folder, tools["RSEM"], samples, match=match)
    for tool, files in tools.items():
        return read_quantified(folder, tool, files, samples, match=match, transcripts=transcripts)
    if any(path.name.endswith((".isoforms.results", ".isoforms.results.gz")) for path in paths):
        raise ValueError(
            f"{folder} holds isoforms.results of RSEM, which are counts of transcripts. Give RSEM's genes.results, which it writes "
            "as well."
        )
    if tables := gene_files(paths):
        return read_gene_files(folder, tables, paths, samples, match=match, missing=missing)
    nested = next((path for path in paths if path.suffix in (".h5ad", ".xlsx", ".csv", ".tsv", ".txt")), None)
    example = f" ({nested}, perhaps)" if nested else ""
    raise ValueError(
        f"The folder {folder} holds no known counts: {KNOWN}. For a table of counts, give the file{example}."
    )


def _read_star(
    folder: Path, files: dict[str, Path], samples: pd.DataFrame, *, match: Match, strandedness: Strandedness | None
) -> SampleCounts:
    if strandedness not in (None, *COLUMNS):
        raise ValueError(f"strandedness={strandedness!r} is unknown; choose one of {list(COLUMNS)}.")
    paths = files_of_samples(files, samples, match, folder.name)
    tables = same_rows({name: _read_star_file(path) for name, path in paths.items()}, paths)
    strand = strandedness or _find_strand(tables)
    counts = pd.DataFrame({name: table[COLUMNS[strand]] for name, table in tables.items()})
    counts.index = pd.Index(counts.index.tolist())
    return SampleCounts(counts, {"format": "STAR", "samples_in": "files", "match": match, "strandedness": strand})


def _read_star_file(path: Path) -> pd.DataFrame:
    cells = read_rows(path, AS_WRITTEN)
    if cells.shape[1] != 4:
        raise not_as_written(path, AS_WRITTEN, f"it has {cells.shape[1]} columns")
    table = numbers(cells.set_index(0), path, AS_WRITTEN)
    table.attrs = cells.attrs
    return table[~table.index.str.fullmatch(SUMMARY.pattern)]


def _find_strand(tables: dict[str, pd.DataFrame]) -> Strandedness:
    """Return the protocol on which all samples agree."""
    sums = pd.DataFrame({name: table[[2, 3]].sum() for name, table in tables.items()}).T
    shares = sums[2] / sums.sum(axis=1).clip(lower=1)
    for strand, (low, high) in FORWARD_SHARES.items():
        if shares.between(low, high).all():
            return strand
    raise ValueError(
        f"The strand of the reads is ambiguous: of the reads on one strand, the share in the column 'forward' is "
        f"{shares.min():.2f} (sample {shares.idxmin()!r}) to {shares.max():.2f} ({shares.idxmax()!r}); it is near 0 (reverse), "
        "0.5 (unstranded) or 1 (forward) in data of one protocol. Give strandedness='reverse' (most kits), 'forward' or "
        "'unstranded'."
    )
