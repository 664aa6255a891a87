"""Folders of RSEM, Salmon or kallisto: estimated counts and effective lengths, one file per sample."""

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.io._annotation import GENE, GENE_SYMBOL, MAX_LOST, TRANSCRIPT, Matches, match_ids, read_annotation
from bulkvi.io._genes import SampleCounts
from bulkvi.io._sample_files import by_sample, files_of_samples, read_columns, same_rows
from bulkvi.io._sample_names import Match

RSEM_FILE: Final = re.compile(r"[._-]?genes\.results(\.gz)?$")
ID_AND_SYMBOL: Final = re.compile(r"(ENS[A-Z]*G\d+(?:\.\d+)?(?:_PAR_Y)?)_(.+)")
"""A gene of ``rsem --append-names``."""
NAMES: Final = {
    "salmon": re.compile(r"[._-]?(quant\.sf|(?<=.)\.sf)(\.gz)?$"),
    "kallisto": re.compile(r"[._-]?abundance\.(tsv|h5)(\.gz)?$"),
}
COLUMNS: Final = {
    "salmon": ("Name", "NumReads", "EffectiveLength", "TPM"),
    "kallisto": ("target_id", "est_counts", "eff_length", "tpm"),
}
"""Transcript, counts, effective length, abundance."""


def read_rsem(folder: Path, files: dict[str, Path], samples: pd.DataFrame, *, match: Match) -> SampleCounts:
    """Find the counts and lengths of the samples of a sheet among RSEM's files; expected counts are rounded."""
    columns = ("gene_id", "expected_count", "effective_length")
    as_written = "RSEM writes it, with a header and the columns gene_id, effective_length and expected_count"
    paths = files_of_samples(files, samples, match, folder.name)
    tables = {name: read_columns(path, as_written, columns, rows="genes") for name, path in paths.items()}
    tables = same_rows(tables, paths)
    counts = pd.DataFrame({name: table["expected_count"] for name, table in tables.items()}).round()
    lengths = pd.DataFrame({name: table["effective_length"] for name, table in tables.items()})
    symbols = None
    parts = [ID_AND_SYMBOL.fullmatch(gene) for gene in counts.index]
    if all(parts):
        ids = pd.Index([part[1] for part in parts if part])
        counts, lengths = counts.set_axis(ids, axis=0), lengths.set_axis(ids, axis=0)
        symbols = pd.Series([part[2] for part in parts if part], index=ids)
    facts = {"format": "RSEM", "samples_in": "files", "match": match}
    return SampleCounts(counts, facts, symbols, _positive_lengths(lengths))


def _positive_lengths(lengths: pd.DataFrame) -> pd.DataFrame:
    """Replace lengths of 0 by the geometric mean of the gene's other lengths, or 1 if there is none.

    A gene shorter than the fragments has the effective length 0, which would make its offset infinite.
    """
    logs = np.log(lengths.where(lengths > 0))
    return lengths.where(lengths > 0, np.exp(logs.mean(axis=1)).fillna(1.0), axis=0)


def find_quantified(paths: list[Path], folder: Path) -> dict[str, dict[str, Path]]:
    """Return the files of a folder by tool (``salmon``, ``kallisto``) and sample: the text before the tool's name, or the subfolder."""
    tools = {}
    for tool, name in NAMES.items():
        files = [path for path in paths if name.search(path.name) and not re.search(r"genes\.sf(\.gz)?$", path.name)]
        # kallisto writes both
        texts = {str(path).removesuffix(".gz").removesuffix(".tsv") for path in files if ".tsv" in path.suffixes}
        files = [path for path in files if path.suffix != ".h5" or str(path.with_suffix("")) not in texts]
        if files:
            tools[tool] = by_sample(files, folder, name)
    return tools


def read_quantified(
    folder: Path, tool: str, files: dict[str, Path], samples: pd.DataFrame, *, match: Match, transcripts: Path | None
) -> SampleCounts:
    """Find the counts and lengths of the samples of a sheet among files of Salmon or kallisto; pytximport sums them to genes."""
    paths = files_of_samples(files, samples, match, folder.name)
    if transcripts is None:
        raise ValueError(
            f"{folder} holds transcripts counted by {tool}: name their genes with transcripts=FILE, a table with "
            "the transcript in the first column and the gene in the second (tx2gene), or the annotation (.gtf)."
        )
    try:
        from pytximport import tximport
    except ImportError as error:
        raise ImportError(
            f"{folder} holds transcripts counted by {tool}; to read them, pip install 'bulkvi[tximport]' (pytximport)."
        ) from error
    tables = same_rows({name: _read(path, tool) for name, path in paths.items()}, paths, what="transcripts")
    ids = tables[samples.index[0]].index
    annotation = read_annotation(transcripts, wanted=ids, column=TRANSCRIPT)
    gene_of = _genes_by_transcript(annotation, transcripts)
    matches = match_ids(ids, gene_of)
    reads = pd.DataFrame({name: table["counts"] for name, table in tables.items()})
    lost = _share_lost(reads, matches, list(gene_of), folder, transcripts)
    names = list(matches.values)
    tables = {str(paths[name]): table.loc[names] for name, table in tables.items()}
    summed = tximport(
        list(tables),
        data_type=tool,
        transcript_gene_map=pd.DataFrame({TRANSCRIPT: names, GENE: list(matches.values.values())}),
        custom_importer=lambda path, **_: {
            "transcript_id": names,
            **{key: tables[path][key].to_numpy() for key in tables[path]},
            "inferential_replicates": None,
        },
        ignore_transcript_version=False,
        ignore_after_bar=False,
    )
    index = pd.Index(list(map(str, summed.var_names)))
    counts = pd.DataFrame(summed.X.T, index=index, columns=samples.index).round()
    lengths = pd.DataFrame(summed.obsm["length"].T, index=index, columns=samples.index)
    symbols = None
    if GENE_SYMBOL in annotation:
        symbols = annotation.drop_duplicates(GENE).set_index(GENE)[GENE_SYMBOL].reindex(index)
    source = {"format": tool, "samples_in": "files", "match": match}
    return SampleCounts(counts, {**source, "lost_reads": round(lost, 6)}, symbols, lengths)


def _read(path: Path, tool: str) -> pd.DataFrame:
    """Read counts, lengths (bases) and abundances of transcripts."""
    if path.suffix == ".h5":
        table = _read_h5(path)
    else:
        columns = COLUMNS[tool]
        as_written = f"{tool} writes it, with a header and the columns {', '.join(columns)}"
        table = read_columns(path, as_written, columns, rows="transcripts").astype(float)
        table.columns = pd.Index(["counts", "length", "abundance"])
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path}: {len(repeated)} transcripts occur more than once, first {repeated[0]!r}. Count again."
        )
    return table


def _read_h5(path: Path) -> pd.DataFrame:
    from pytximport.importers import read_kallisto

    try:
        read: dict[str, Any] = read_kallisto(path)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not as kallisto writes it: it is cut short or damaged. Copy it again, or count again."
        ) from error
    table = pd.DataFrame({key: read[key] for key in ("counts", "length", "abundance")}, dtype=float)
    return table.set_axis(pd.Index([str(name) for name in read["transcript_id"]]), axis=0)


def _genes_by_transcript(annotation: pd.DataFrame, path: Path) -> dict[str, str]:
    pairs = annotation.loc[
        (annotation[TRANSCRIPT] != "") & (annotation[GENE] != ""), [TRANSCRIPT, GENE]
    ].drop_duplicates()
    twice = pairs[pairs[TRANSCRIPT].duplicated(keep=False)]
    if len(twice):
        name = twice[TRANSCRIPT].iloc[0]
        raise ValueError(
            f"{path}: {twice[TRANSCRIPT].nunique():,} transcripts belong to more than one gene, first {name!r} to "
            f"{twice.loc[twice[TRANSCRIPT] == name, GENE].tolist()[:3]}. Leave one gene for each."
        )
    return dict(zip(pairs[TRANSCRIPT], pairs[GENE], strict=True))


def _share_lost(reads: pd.DataFrame, matches: Matches, known: list[str], folder: Path, path: Path) -> float:
    """Return the share of all reads whose transcripts have no gene, with a warning; most of them are an error."""
    found = matches.values
    annotation = f"{path}, whose first are {known[:3]}"
    if not found:
        raise ValueError(f"{folder}: none of the transcripts is in {annotation}. {_cause(reads.index.tolist(), known)}")
    if rules := matches.describe_rules():
        warn_user(f"{folder.name}: {len(found):,} of {len(reads):,} transcripts are in {path.name}{rules}.")
    absent = reads.loc[[name for name in reads.index if name not in found]]
    total = reads.to_numpy().sum()
    share = float(absent.to_numpy().sum() / total) if total else 0.0
    by_sample = absent.sum() / reads.sum().clip(lower=1)
    ids = absent.sum(axis=1).sort_values(ascending=False, kind="stable").index[:3].tolist()
    message = (
        f"{folder.name}: {share:.2%} of the reads are lost (up to {by_sample.max():.2%}, sample {by_sample.idxmax()!r}), those of "
        f"{len(absent):,} of {len(reads):,} transcripts ({', '.join(map(repr, ids))} ...) that are not in"
    )
    if share > MAX_LOST:
        raise ValueError(f"{message} {annotation}. {_cause(absent.index.tolist(), known)}")
    if share > 0:
        warn_user(f"{message} {path.name}.")
    return share


def _cause(absent: list[str], known: list[str]) -> str:
    """Explain why transcripts may be missing in an annotation, with the remedy."""
    here, there = (
        {found[0] for name in names[:1000] if (found := re.match(r"[A-Za-z]+", name))} for names in (absent, known)
    )
    why = "It is of another release, or holds part of the annotation only."
    if here and there and not here & there:
        why = f"The names begin with {min(here)} here and with {min(there)} there: it is the annotation of another species or source."
    return f"{why} Give the table or the annotation that belongs to the index the reads were counted with."
