"""Folders of Salmon or kallisto, a file for each sample, summed from transcripts to genes by pytximport."""

import re
import warnings
from pathlib import Path
from typing import Any, Final

import pandas as pd

from bulkvi.io._annotation import GENE, GENE_SYMBOL, TRANSCRIPT, Matches, match_ids, read_annotation
from bulkvi.io._found import Found
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_files import LINE_IS_CUT, by_sample, numbers, read_rows, same_rows
from bulkvi.io._sample_names import Match, matched

NAMES: Final = {
    "salmon": re.compile(r"[._-]?(quant\.sf|(?<=.)\.sf)(\.gz)?$"),
    "kallisto": re.compile(r"[._-]?abundance\.(tsv|h5)(\.gz)?$"),
}
COLUMNS: Final = {
    "salmon": ("Name", "NumReads", "EffectiveLength", "TPM"),
    "kallisto": ("target_id", "est_counts", "eff_length", "tpm"),
}
"""Transcript, counts, effective length, abundance."""
MOST: Final = 0.5
"""Share of lost reads from which a map of transcripts to genes is taken for a wrong one."""


def quantified(paths: list[Path], folder: Path) -> dict[str, dict[str, Path]]:
    """The files of a folder by tool (``salmon``, ``kallisto``) and sample: what is before the tool's name, or the subfolder.

    Raises
    ------
    ValueError
        If two files are of one sample.
    """
    tools = {}
    for tool, name in NAMES.items():
        files = [path for path in paths if name.search(path.name) and not re.search(r"genes\.sf(\.gz)?$", path.name)]
        # kallisto writes both of them
        texts = {str(path).removesuffix(".gz").removesuffix(".tsv") for path in files if ".tsv" in path.suffixes}
        files = [path for path in files if path.suffix != ".h5" or str(path.with_suffix("")) not in texts]
        if files:
            tools[tool] = by_sample(files, folder, lambda text, name=name: name.sub("", text))  # type: ignore[misc]
    return tools


def read_quantified(
    folder: Path, tool: str, files: dict[str, Path], samples: pd.DataFrame, *, match: Match, transcripts: Path | None
) -> Found:
    """Find the counts and lengths of the samples of a sheet among the files of Salmon or kallisto.

    Raises
    ------
    ValueError
        If a sample has no file, a file is damaged or lists other transcripts, it is not said which transcript belongs to
        which gene, or most reads are of transcripts of which that is not known.
    ImportError
        If pytximport is not installed.
    """
    chosen = matched(list(files), samples, match, folder.name)
    say_left_out(sorted(set(files) - set(chosen)), folder.name)
    if transcripts is None:
        raise ValueError(
            f"{folder} holds transcripts counted by {tool}: say which gene each belongs to with transcripts=FILE, a table with "
            "the transcript in the first column and the gene in the second (tx2gene), or the annotation (.gtf)."
        )
    try:
        from pytximport import tximport
    except ImportError as error:
        raise ImportError(
            f"{folder} holds transcripts counted by {tool}; to read them, pip install 'bulkvi[tximport]' (pytximport)."
        ) from error
    at = {name: files[given] for name, given in zip(samples.index, chosen, strict=True)}
    tables = same_rows({name: _read(path, tool) for name, path in at.items()}, at, what="transcripts")
    annotation = read_annotation(transcripts, wanted=tables[samples.index[0]].index, column=TRANSCRIPT)
    gene_of = _gene_of(annotation, transcripts)
    matches = match_ids(tables[samples.index[0]].index, gene_of)
    reads = pd.DataFrame({name: table["counts"] for name, table in tables.items()})
    lost = _say_lost(reads, matches, list(gene_of), folder, transcripts)
    names = list(matches.values)
    tables = {str(at[name]): table.loc[names] for name, table in tables.items()}
    summed = tximport(
        list(tables),
        data_type=tool,
        transcript_gene_map=pd.DataFrame({TRANSCRIPT: names, GENE: list(matches.values.values())}),
        custom_importer=lambda path, **_: _as_pytximport_has_it(tables[path]),
        ignore_transcript_version=False,
        ignore_after_bar=False,
    )
    index = pd.Index(list(map(str, summed.var_names)))
    counts = pd.DataFrame(summed.X.T, index=index, columns=samples.index).round()
    lengths = pd.DataFrame(summed.obsm["length"].T, index=index, columns=samples.index)
    symbols = None
    if GENE_SYMBOL in annotation:
        symbols = annotation.drop_duplicates(GENE).set_index(GENE)[GENE_SYMBOL].reindex(index)
    facts: dict[str, str | float] = {
        "format": tool,
        "samples_in": "files",
        "match": match,
        "lost_reads": round(lost, 6),
    }
    return Found(counts, facts, symbols, lengths)


def _read(path: Path, tool: str) -> pd.DataFrame:
    """Counts, lengths and abundances of transcripts."""
    if path.suffix == ".h5":
        return _read_h5(path)
    columns = COLUMNS[tool]
    as_written = f"{tool} writes it, with a header and the columns {', '.join(columns)}"
    cells = read_rows(path, as_written)
    labels = cells.iloc[0].tolist()
    missing = [label for label in columns if label not in labels]
    if missing or len(cells) < 2:
        raise ValueError(
            f"{path} is not as {as_written} ({f'it has no column {missing[0]}' if missing else 'it has no transcripts'}). Copy it "
            "again, or count again."
        )
    cut = cells.attrs.get(LINE_IS_CUT, False)
    cells = cells.set_axis(labels, axis=1).iloc[1:]
    values = cells.set_axis(pd.Index(cells[columns[0]].tolist()), axis=0)[list(columns[1:])]
    table = numbers(values, path, as_written).set_axis(["counts", "length", "abundance"], axis=1).astype(float)
    table.attrs = {LINE_IS_CUT: cut}
    return _once(table, path)


def _read_h5(path: Path) -> pd.DataFrame:
    from pytximport.importers import read_kallisto

    try:
        read: dict[str, Any] = read_kallisto(path)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not as kallisto writes it: it is cut short or damaged. Copy it again, or count again."
        ) from error
    table = pd.DataFrame({key: read[key] for key in ("counts", "length", "abundance")}, dtype=float)
    return _once(table.set_axis(pd.Index([str(name) for name in read["transcript_id"]]), axis=0), path)


def _once(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path}: {len(repeated)} transcripts occur more than once, first {repeated[0]!r}. Count again."
        )
    return table


def _as_pytximport_has_it(table: pd.DataFrame) -> dict[str, object]:
    return {
        "transcript_id": table.index.tolist(),
        **{key: table[key].to_numpy() for key in table},
        "inferential_replicates": None,
    }


def _gene_of(annotation: pd.DataFrame, path: Path) -> dict[str, str]:
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


def _say_lost(reads: pd.DataFrame, matches: Matches, known: list[str], folder: Path, path: Path) -> float:
    """The share of all reads whose transcripts have no gene; a warning says it, an error if it is most of them."""
    found = matches.values
    there = f"{path}, whose first are {known[:3]}"
    if not found:
        raise ValueError(f"{folder}: none of the transcripts is in {there}. {_cause(reads.index.tolist(), known)}")
    if needed := matches.in_words():
        warnings.warn(
            f"{folder.name}: {len(found):,} of {len(reads):,} transcripts are in {path.name}{needed}.",
            UserWarning,
            stacklevel=2,
        )
    absent = reads.loc[[name for name in reads.index if name not in found]]
    total = reads.to_numpy().sum()
    share = float(absent.to_numpy().sum() / total) if total else 0.0
    by_sample = absent.sum() / reads.sum().clip(lower=1)
    ids = absent.sum(axis=1).sort_values(ascending=False, kind="stable").index[:3].tolist()
    said = (
        f"{folder.name}: {share:.2%} of the reads are lost (up to {by_sample.max():.2%}, sample {by_sample.idxmax()!r}), those of "
        f"{len(absent):,} of {len(reads):,} transcripts that are not in {{}}: {', '.join(map(repr, ids))} ..."
    )
    if share > MOST:
        raise ValueError(f"{said.format(there)}. {_cause(absent.index.tolist(), known)}")
    if share > 0:
        warnings.warn(f"{said.format(path.name)}.", UserWarning, stacklevel=2)
    return share


def _cause(absent: list[str], known: list[str]) -> str:
    """Why transcripts may be missing in a map, and what to do."""
    begins = [
        {found[0] for name in names[:1000] if (found := re.match(r"[A-Za-z]+", name))} for names in (absent, known)
    ]
    different = begins[0] and begins[1] and not begins[0] & begins[1]
    why = (
        f"The names begin with {min(begins[0])} here and with {min(begins[1])} there: it is the annotation of another species or source."
        if different
        else "It is of another release, or holds part of the annotation only."
    )
    return f"{why} Give the table or the annotation that belongs to the index the reads were counted with."
