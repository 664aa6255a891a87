"""A folder of counts: which tool wrote its files."""

from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._count_values import Missing
from bulkvi.io._found import Found
from bulkvi.io._gene_files import gene_files, read_gene_files
from bulkvi.io._rsem import ENDING, read_rsem
from bulkvi.io._sample_files import by_sample, visible_files
from bulkvi.io._sample_names import Match
from bulkvi.io._star import Strandedness, read_star, star_files
from bulkvi.io._transcripts import quantified, read_quantified

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
) -> Found:
    """Find the counts of the samples of a sheet in a folder with a file for each of them.

    Raises
    ------
    ValueError
        If the folder holds no counts that are known here, or those of several tools, or they cannot be read.
    """
    paths = visible_files(folder)
    of_genes = {"STAR": star_files(paths, folder), "RSEM": _rsem_files(paths, folder)}
    of_genes = {tool: files for tool, files in of_genes.items() if files}
    of_transcripts = quantified(paths, folder)
    tools = of_transcripts if of_transcripts and (transcripts is not None or not of_genes) else of_genes
    if len(tools) > 1 or of_transcripts and of_genes and tools is of_genes:
        raise ValueError(
            f"{folder} holds files of {' and of '.join(of_genes | of_transcripts)}. Give a folder that holds those of one tool"
            + (", or transcripts=FILE for those of transcripts." if of_genes and of_transcripts else ".")
        )
    if "STAR" in tools:
        return read_star(folder, tools["STAR"], samples, match=match, strandedness=strandedness)
    if "RSEM" in tools:
        return read_rsem(folder, tools["RSEM"], samples, match=match)
    for tool, files in tools.items():
        return read_quantified(folder, tool, files, samples, match=match, transcripts=transcripts)
    if any(path.name.endswith((".isoforms.results", ".isoforms.results.gz")) for path in paths):
        raise ValueError(
            f"{folder} holds isoforms.results of RSEM, which are counts of transcripts. Give RSEM's genes.results, which it writes "
            "beside them."
        )
    if tables := gene_files(paths):
        return read_gene_files(folder, tables, paths, samples, match=match, missing=missing)
    nested = next((path for path in paths if path.suffix in (".h5ad", ".xlsx", ".csv", ".tsv", ".txt")), None)
    given = f" ({folder / nested.name if nested.parent == folder else nested}, perhaps)" if nested else ""
    raise ValueError(
        f"The folder {folder} holds no counts that are known here: {KNOWN}. A table of counts is given by its file{given}."
    )


def _rsem_files(paths: list[Path], folder: Path) -> dict[str, Path]:
    return by_sample([path for path in paths if ENDING.search(path.name)], folder, lambda name: ENDING.sub("", name))
