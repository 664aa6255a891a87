"""A folder with one table of genes per sample: two columns as HTSeq writes them, or featureCounts' seven."""

from pathlib import Path
from typing import Final, Literal, NamedTuple

import pandas as pd

from bulkvi.io._count_tables import FEATURE_COUNTS
from bulkvi.io._count_values import Missing, as_float
from bulkvi.io._genes import SUMMARY, SYMBOL_COLUMNS, SampleCounts, find_summaries, plain_label
from bulkvi.io._sample_files import not_as_written, numbers, read_rows, same_rows, sample_names
from bulkvi.io._sample_names import Match, file_name, match_samples, pair_names
from bulkvi.io._text_files import read_beginning

Kind = Literal["HTSeq", "featureCounts"]

N_SNIFFED: Final = 16_384
"""Number of bytes from which the kind of a file is recognised."""
SEPARATORS: Final = ("\t", ",", ";", " ")
NO_COUNTS: Final = frozenset(".html .json .yml .yaml .log .gtf .bed".split())
"""Endings of files that hold no counts."""
AS_WRITTEN: Final[dict[Kind, str]] = {
    "HTSeq": "HTSeq writes it, a gene and a count in each line",
    "featureCounts": "featureCounts writes it, a gene, its place, strand and length, and counts in each line",
}


class GeneFile(NamedTuple):
    """A file of counts, its kind and separator."""

    path: Path
    kind: Kind
    separator: str


def gene_files(paths: list[Path]) -> list[GeneFile]:
    """Return the tables of HTSeq or featureCounts among the files, recognised by their first lines."""
    return [file for file in map(_recognise, paths) if file is not None]


def _recognise(path: Path) -> GeneFile | None:
    if path.name.endswith(".summary") or path.suffix.lower() in NO_COUNTS:
        return None
    text = read_beginning(path, N_SNIFFED)
    lines = text.splitlines()
    if len(text) >= N_SNIFFED:
        lines = lines[:-1]
    comment = any("featureCounts" in line for line in lines if line.startswith("#"))
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    if not lines:
        return None
    header = [label.strip('" ') for label in lines[0].split("\t")]
    if (comment and header[0] == "Geneid") or header[:6] == FEATURE_COUNTS:
        return GeneFile(path, "featureCounts", "\t")
    for separator in SEPARATORS:
        rows = [line.strip().split(separator) for line in lines]
        if len(rows[0]) in (2, 3) and all(len(row) == len(rows[0]) for row in rows):
            below = rows[1:] or rows
            only_summary = all(SUMMARY.fullmatch(row[0].strip('" ')) for row in below) and not _is_number(rows[0][-1])
            counted = all(_is_number(row[-1]) and not (len(row) == 3 and _is_number(row[1])) for row in below)
            return GeneFile(path, "HTSeq", separator) if counted and not only_summary else None
    return None


def _is_number(cell: str) -> bool:
    return as_float(cell.strip('" ')) is not None


def read_gene_files(
    folder: Path, found: list[GeneFile], paths: list[Path], samples: pd.DataFrame, *, match: Match, missing: Missing
) -> SampleCounts:
    """Find the counts of the samples of a sheet among the ``found`` files of HTSeq or featureCounts.

    ``paths`` are all files of the folder: one that is named as a sample and is no table of counts is reported.
    """
    wanted = samples.index.tolist()
    kinds = {kind: [file for file in found if file.kind == kind] for kind in dict.fromkeys(file.kind for file in found)}
    n_found = {
        kind: len(pair_names(_sample_names(files, folder, samples, match), wanted, match))
        for kind, files in kinds.items()
    }
    kind = max(n_found, key=n_found.__getitem__)
    if len(kinds) == 2 and len(set(n_found.values())) == 1 and n_found[kind]:
        raise ValueError(
            f"{folder} holds files of HTSeq and of featureCounts for {n_found[kind]} samples each. Give a folder that holds those of "
            "one tool."
        )
    if kind == "featureCounts":
        tables, files = _feature_counts_tables(folder, kinds[kind], samples, match)
        aligned = same_rows(tables, files)
    else:
        tables, files = _htseq_tables(folder, kinds[kind], paths, samples, match)
        aligned = same_rows(tables, files, missing=missing)
    counts = pd.DataFrame({name: table["count"] for name, table in aligned.items()})
    counts.index = pd.Index(counts.index.tolist())
    symbols = next((table["symbol"] for table in aligned.values() if "symbol" in table), None)
    if symbols is not None:
        symbols = symbols.where(symbols != 0, "").set_axis(counts.index)  # 0 fills genes that the file lacks
    return SampleCounts(counts, {"format": kind, "samples_in": "files", "match": match}, symbols)


def _htseq_tables(
    folder: Path, files: list[GeneFile], paths: list[Path], samples: pd.DataFrame, match: Match
) -> tuple[dict[str, pd.DataFrame], dict[str, Path]]:
    """Read tables of HTSeq without the summary at their ends, and their files, by sample."""
    names = _sample_names(files, folder, samples, match)
    pairs = pair_names(names, samples.index.tolist(), match)
    _refuse_unread([name for name in samples.index if name not in pairs], files, paths)
    chosen = match_samples(names, samples, match, folder.name)
    by_name = dict(zip(names, files, strict=True))
    read = {name: _two_columns(by_name[given]) for name, given in zip(samples.index, chosen, strict=True)}
    files_read = {name: by_name[given].path for name, given in zip(samples.index, chosen, strict=True)}
    tails = {name: {gene for gene in table.index if SUMMARY.fullmatch(gene)} for name, table in read.items()}
    longest = max(tails.values(), key=len)
    for name, tail in tails.items():
        if not tail and longest:
            raise ValueError(
                f"{files_read[name]} lacks the lines {', '.join(sorted(longest)[:2])} ... at its end, which the other files of {folder.name} have: "
                "it is cut short. Copy it again, or count again."
            )
    find_summaries(sorted(longest), folder.name)
    return {name: table[~table.index.isin(longest)] for name, table in read.items()}, files_read


def _sample_names(files: list[GeneFile], folder: Path, samples: pd.DataFrame, match: Match) -> list[str]:
    """Return the samples of the files, by the way to read their names that finds most samples of the sheet."""
    ways = (file_name, lambda name: name.removesuffix(".gz").rpartition(".")[0] or name, lambda name: name)
    paths = [file.path for file in files]
    namings = [sample_names(paths, folder, way) for way in ways]
    return max(namings, key=lambda names: len(pair_names(names, samples.index.tolist(), match)))


def _refuse_unread(missing: list[str], files: list[GeneFile], paths: list[Path]) -> None:
    """Raise a ValueError if a missing sample has a file that is no table of counts."""
    known = {file.path for file in files}
    endings = {file.path.name.removesuffix(".gz").rpartition(".")[2] for file in files}
    for path in paths:
        ending = path.name.removesuffix(".gz").rpartition(".")[2]
        if path not in known and ending in endings and file_name(path.name) in missing:
            read_rows(path, AS_WRITTEN[files[0].kind])  # empty, cut and binary files have other messages
            raise ValueError(
                f"{path} is not as {AS_WRITTEN[files[0].kind]}, unlike the other files of the folder. Copy it again, or count again."
            )


def _two_columns(file: GeneFile) -> pd.DataFrame:
    as_written = AS_WRITTEN["HTSeq"]
    cells = read_rows(file.path, as_written, separator=file.separator)
    attrs = cells.attrs
    if not _is_number(cells.iat[0, cells.shape[1] - 1]):
        cells = cells.iloc[1:]
    cells = cells.set_axis(pd.Index(cells[0].tolist()), axis=0)
    table = pd.DataFrame({"count": numbers(cells[[cells.shape[1] - 1]], file.path, as_written).iloc[:, 0]})
    if cells.shape[1] == 3:
        table["symbol"] = cells[1]
    table.attrs = attrs
    return table


def _feature_counts(file: GeneFile) -> pd.DataFrame:
    """Read counts by the names of the alignments; ``attrs["symbol"]`` holds gene symbols, if there are any."""
    as_written = AS_WRITTEN["featureCounts"]
    cells = read_rows(file.path, as_written)
    labels = cells.iloc[0].tolist()
    body = cells.iloc[1:].set_axis(pd.Index(cells[0].tolist()[1:]), axis=0)
    others = range(6 if labels[:6] == FEATURE_COUNTS else 1, len(labels))
    counted = [k for k in others if len(body) and _is_number(body.iat[0, k])]
    if not counted:
        raise not_as_written(file.path, as_written, "it has no column of counts")
    table = numbers(body[counted], file.path, as_written).set_axis([labels[k] for k in counted], axis=1)
    table.attrs = cells.attrs
    symbols = [k for k in others if plain_label(labels[k]) in SYMBOL_COLUMNS]
    if symbols:
        table.attrs = cells.attrs | {"symbol": body[symbols[0]].tolist()}
    return table


def _feature_counts_tables(
    folder: Path, files: list[GeneFile], samples: pd.DataFrame, match: Match
) -> tuple[dict[str, pd.DataFrame], dict[str, Path]]:
    """Read tables of featureCounts, whose samples are named by the file or by the alignment, and their files, by sample."""
    columns = [
        (file.path, table, k) for file in files for table in [_feature_counts(file)] for k in range(table.shape[1])
    ]
    labels = [table.columns[k] for _, table, k in columns]
    namings = [labels, [file_name(label) for label in labels]]
    if len(columns) == len(files):
        namings.insert(0, _sample_names(files, folder, samples, match))
    names = max(namings, key=lambda naming: len(pair_names(naming, samples.index.tolist(), match)))
    tables, files_read = {}, {}
    for name, given in zip(samples.index, match_samples(names, samples, match, folder.name), strict=True):
        files_read[name], table, k = columns[names.index(given)]
        tables[name] = table.iloc[:, [k]].set_axis(["count"], axis=1)
        if "symbol" in table.attrs:
            tables[name]["symbol"] = table.attrs["symbol"]
        tables[name].attrs = table.attrs
    return tables, files_read
