"""A folder with a table of genes for each sample: two columns as HTSeq writes them, or featureCounts' seven."""

import bz2
import gzip
import zlib
from pathlib import Path
from typing import Final, Literal, NamedTuple

import pandas as pd

from bulkvi.io._count_tables import FEATURE_COUNTS
from bulkvi.io._count_values import Missing
from bulkvi.io._found import Found
from bulkvi.io._gene_names import SUMMARY, SYMBOL_COLUMNS, drop_summaries, plain
from bulkvi.io._left_out import say_left_out
from bulkvi.io._sample_files import numbers, read_rows, same_rows, sample_names
from bulkvi.io._sample_names import Match, file_name, matched, pair_names

Kind = Literal["HTSeq", "featureCounts"]

N_SNIFFED: Final = 16_384
"""Bytes of a file that tell what it is."""
SEPARATORS: Final = ("\t", ",", ";", " ")
TEXTS: Final = frozenset(".txt .tsv .csv .tab .out .count .counts .htseq".split())
AS_WRITTEN: Final[dict[Kind, str]] = {
    "HTSeq": "HTSeq writes it, a gene and a count in each line",
    "featureCounts": "featureCounts writes it, a gene, its place, strand and length, and counts in each line",
}


class GeneFile(NamedTuple):
    """A file of counts, and how it is read."""

    path: Path
    kind: Kind
    separator: str


def gene_files(paths: list[Path]) -> list[GeneFile]:
    """Those of the files that are tables of HTSeq or featureCounts, by their first lines."""
    found = [_kind(path) for path in paths]
    return [file for file in found if file is not None]


def _kind(path: Path) -> GeneFile | None:
    if path.name.endswith(".summary") or path.suffix.lower() in {
        ".html",
        ".json",
        ".yml",
        ".yaml",
        ".log",
        ".gtf",
        ".bed",
    }:
        return None
    text = _beginning(path)
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
            named = all(SUMMARY.fullmatch(row[0].strip('" ')) for row in below) and not _is_number(rows[0][-1])
            counted = all(_is_number(row[-1]) for row in below) and not any(
                _is_number(row[1]) for row in below if len(row) == 3
            )
            return GeneFile(path, "HTSeq", separator) if counted and not named else None
    return None


def _beginning(path: Path) -> str:
    """The first characters of a text, unpacked; empty if it is none."""
    try:
        with path.open("rb") as raw:
            magic = raw.read(3)
        opened = gzip.open(path) if magic[:2] == b"\x1f\x8b" else bz2.open(path) if magic == b"BZh" else path.open("rb")
        with opened as file:
            content = file.read(N_SNIFFED)
    except (OSError, EOFError, zlib.error):
        return ""
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    return "" if "\0" in text else text


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip('" '))
    except ValueError:
        return False
    return True


def read_gene_files(
    folder: Path, found: list[GeneFile], paths: list[Path], samples: pd.DataFrame, *, match: Match, missing: Missing
) -> Found:
    """Find the counts of the samples of a sheet among files of HTSeq or featureCounts.

    Parameters
    ----------
    folder
        The folder that was given.
    found
        Its tables of counts.
    paths
        All its files: one that is named as a sample and is no table of counts is named in the message.
    samples
        The sample sheet.
    match
        How names are compared.
    missing
        ``"zero"`` where a gene that a file lacks has no read.

    Raises
    ------
    ValueError
        If a sample has no file or more than one, a file is damaged, or files list different genes.
    """
    kinds: dict[Kind, list[GeneFile]] = {}
    for file in found:
        kinds.setdefault(file.kind, []).append(file)
    wanted = samples.index.tolist()
    n_found = {
        kind: len(pair_names(_names(files, folder, samples, match), wanted, match)) for kind, files in kinds.items()
    }
    kind = max(n_found, key=n_found.__getitem__)
    if len(kinds) == 2 and len(set(n_found.values())) == 1 and n_found[kind]:
        raise ValueError(
            f"{folder} holds files of HTSeq and of featureCounts for {n_found[kind]} samples each. Give a folder that holds those of "
            "one tool."
        )
    files = kinds[kind]
    if kind == "featureCounts" and (tables := [_feature_counts(file) for file in files]):
        return _from_columns(folder, files, tables, samples, match)
    names = _names(files, folder, samples, match)
    pairs = pair_names(names, wanted, match)
    _refuse_unread([name for name in wanted if name not in pairs], files, paths)
    chosen = matched(names, samples, match, folder.name)
    say_left_out(sorted(set(names) - set(chosen)), folder.name)
    by_name = dict(zip(names, files, strict=True))
    at = {name: by_name[given].path for name, given in zip(wanted, chosen, strict=True)}
    read = {name: _two_columns(by_name[given]) for name, given in zip(wanted, chosen, strict=True)}
    tails = {name: frozenset(name for name in table.index if SUMMARY.fullmatch(name)) for name, table in read.items()}
    longest = max(tails.values(), key=len)
    for name, tail in tails.items():
        if not tail and longest:
            raise ValueError(
                f"{at[name]} lacks the lines {', '.join(sorted(longest)[:2])} ... at its end, which the other files of {folder.name} have: "
                "it is cut short. Copy it again, or count again."
            )
    attrs = {name: table.attrs for name, table in read.items()}
    genes = {name: table[[name not in longest for name in table.index]] for name, table in read.items()}
    for name, table in genes.items():
        table.attrs = attrs[name]
    if longest:
        drop_summaries(pd.Series(sorted(longest)), folder.name)
    aligned = same_rows(genes, at, missing=missing)
    counts = pd.DataFrame({name: table["count"] for name, table in aligned.items()})
    symbols = [table["symbol"] for table in aligned.values() if "symbol" in table]
    return Found(
        counts.set_axis(pd.Index(counts.index.tolist()), axis=0),
        {"format": "HTSeq", "samples_in": "files", "match": match},
        symbols[0].where(symbols[0] != 0, "").set_axis(counts.index) if symbols else None,
    )


def _names(files: list[GeneFile], folder: Path, samples: pd.DataFrame, match: Match) -> list[str]:
    """Names of the samples of files, of all ways to read them that which finds most samples of the sheet."""
    ways = (file_name, lambda name: name.removesuffix(".gz").rpartition(".")[0] or name, lambda name: name)
    paths = [file.path for file in files]
    namings = [sample_names(paths, folder, way) for way in ways]
    return max(namings, key=lambda names: len(pair_names(names, samples.index.tolist(), match)))


def _refuse_unread(missing: list[str], files: list[GeneFile], paths: list[Path]) -> None:
    """Raise where a sample's file is there and is no table of counts."""
    read = {file.path for file in files}
    endings = {file.path.name.removesuffix(".gz").rpartition(".")[2] for file in files}
    for path in paths:
        ending = path.name.removesuffix(".gz").rpartition(".")[2]
        if path not in read and ending in endings and file_name(path.name) in missing:
            read_rows(path, AS_WRITTEN[files[0].kind])  # empty, cut and binary files have a message of their own
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
    """Counts by the names of the alignments; gene symbols, where they are there, in ``symbol``."""
    as_written = AS_WRITTEN["featureCounts"]
    cells = read_rows(file.path, as_written)
    labels = cells.iloc[0].tolist()
    body = cells.iloc[1:].set_axis(pd.Index(cells[0].tolist()[1:]), axis=0)
    beyond = range(6 if labels[:6] == FEATURE_COUNTS else 1, len(labels))
    counted = [k for k in beyond if len(body) and _is_number(body.iat[0, k])]
    if not counted:
        raise ValueError(
            f"{file.path} is not as {as_written} (it has no column of counts). Copy it again, or count again."
        )
    table = numbers(body[counted], file.path, as_written).set_axis([labels[k] for k in counted], axis=1)
    table.attrs = cells.attrs
    symbols = [k for k in beyond if plain(labels[k]) in SYMBOL_COLUMNS]
    if symbols:
        table.attrs = cells.attrs | {"symbol": body[symbols[0]].tolist()}
    return table


def _from_columns(
    folder: Path, files: list[GeneFile], tables: list[pd.DataFrame], samples: pd.DataFrame, match: Match
) -> Found:
    """Tables of featureCounts, whose samples are named by the file or by the alignment."""
    places = [(file, table, k) for file, table in zip(files, tables, strict=True) for k in range(table.shape[1])]
    columns = [table.columns[k] for _, table, k in places]
    namings = [(columns, match), ([file_name(label) for label in columns], match)]
    if len(places) == len(files):
        namings.insert(0, (_names(files, folder, samples, match), match))
    wanted = samples.index.tolist()
    names, _ = max(namings, key=lambda naming: len(pair_names(naming[0], wanted, naming[1])))
    chosen = matched(names, samples, match, folder.name)
    say_left_out(sorted(set(names) - set(chosen)), folder.name)
    place = {name: places[names.index(given)] for name, given in zip(wanted, chosen, strict=True)}
    one = {}
    for name, (_, table, k) in place.items():
        one[name] = table.iloc[:, [k]].set_axis(["count"], axis=1)
        if "symbol" in table.attrs:
            one[name]["symbol"] = table.attrs["symbol"]
        one[name].attrs = table.attrs
    aligned = same_rows(one, {name: file.path for name, (file, _, _) in place.items()})
    counts = pd.DataFrame({name: table["count"] for name, table in aligned.items()})
    symbols = [table["symbol"] for table in aligned.values() if "symbol" in table]
    facts = {"format": "featureCounts", "samples_in": "files", "match": match}
    return Found(counts, facts, symbols[0] if symbols else None)
