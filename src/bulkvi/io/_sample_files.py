"""Files that hold one sample each: found in a folder, named after their samples, read, and brought to the same genes."""

import bz2
import csv
import gzip
import os
import zlib
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._count_values import Missing

DEEPEST: Final = 4
"""Levels of subfolders that are searched."""
LINE_IS_CUT: Final = "line_is_cut"
"""``attrs`` of the rows of a file: its last line has no line break, as where the copying of a file stopped."""


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder and its subfolders, in order, without hidden ones and without ``X.gz`` where ``X`` is there too."""
    found: list[Path] = []
    for home, folders, names in os.walk(folder, followlinks=True):
        here = Path(home)
        real = here.resolve()
        deeper = len(here.relative_to(folder).parts) < DEEPEST
        folders[:] = sorted(
            name
            for name in folders
            # a link to a folder above would be followed for ever
            if deeper and name[0] not in "._" and (here / name).resolve() not in (real, *real.parents)
        )
        found += [
            here / name
            for name in sorted(names)
            if name[0] != "." and name.removesuffix(".gz") not in {*names} - {name}
        ]
    return sorted(found)


def sample_names(paths: Iterable[Path], folder: Path, own_name: Callable[[str], str]) -> list[str]:
    """Name of the sample of each file.

    Parameters
    ----------
    paths
        Files in ``folder`` or below it.
    folder
        The folder that was given.
    own_name
        The sample in the name of a file; empty where it names none, as ``quant.sf``.

    Notes
    -----
    The name is that in the file's name, else the nearest folder's. Where it is the same for all files (``A/salmon/quant.sf``,
    ``B/salmon/quant.sf``), the next folder above counts.
    """
    told = [
        [name for name in (own_name(path.name), *reversed(path.relative_to(folder).parent.parts)) if name]
        or [folder.resolve().name]
        for path in paths
    ]
    while len(told) > 1 and len({names[0] for names in told}) == 1 and all(len(names) > 1 for names in told):
        told = [names[1:] for names in told]
    return [names[0] for names in told]


def by_sample(paths: list[Path], folder: Path, own_name: Callable[[str], str]) -> dict[str, Path]:
    """Files by the name of their sample.

    Raises
    ------
    ValueError
        If two files are of one sample.
    """
    files: dict[str, Path] = {}
    for name, path in zip(sample_names(paths, folder, own_name), paths, strict=True):
        if name in files:
            raise ValueError(
                f"{folder}: {files[name].relative_to(folder)} and {path.relative_to(folder)} are both of sample {name!r}. Leave one "
                "of them. If they are lanes or runs of one library, give each a name of its own and a row in the sample sheet, "
                "and add them up with bulkvi.pp.sum_replicates."
            )
        files[name] = path
    return files


def read_rows(path: Path, as_written: str, *, separator: str = "\t") -> pd.DataFrame:
    """Cells of a file as text, comments left out; ``attrs`` tell whether its last line is cut.

    Parameters
    ----------
    path
        The file; gzip and bzip2 are undone.
    as_written
        For messages: ``"STAR writes it, a gene and three counts in each line"``.
    separator
        What is between the columns.

    Raises
    ------
    ValueError
        If the file is empty, cut, no text, or its lines have different numbers of columns.
    """
    try:
        text = _text(path)
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            raise ValueError("it is empty" if not text.strip() else "it holds comments only")
        width = lines[0].count(separator) + 1
        odd = next((k for k, line in enumerate(lines) if line.count(separator) != width - 1), None)
        if odd is not None:
            found = lines[odd].count(separator) + 1
            cut = ": it is cut short" if odd == len(lines) - 1 and found < width else ""
            raise ValueError(f"line {odd + 1} of those with content has {found} columns, and the first {width}{cut}")
    except ValueError as error:
        raise ValueError(f"{path} is not as {as_written} ({error}). Copy it again, or count again.") from error
    cells = pd.read_csv(
        StringIO("\n".join(lines)),
        sep=separator,
        header=None,
        dtype=str,
        na_filter=False,
        quoting=csv.QUOTE_NONE,  # a name may hold a quotation mark, which would swallow lines
        engine="c" if len(separator) == 1 else "python",
    )
    if '"' in text or " " in text:
        cells = cells.apply(lambda column: column.str.strip().str.replace(r'^"(.*)"$', r"\1", regex=True))
    cells.attrs[LINE_IS_CUT] = not text.endswith(("\n", "\r"))
    return cells


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        elif content.startswith(b"BZh"):
            content = bz2.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError("its compressed content is cut short or damaged") from error
    except FileNotFoundError as error:
        raise ValueError("it is a link to a file that does not exist") from error
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror or 'its compressed content is damaged'}") from error
    try:
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is no text in UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds NUL bytes, as files that were damaged in copying")
    return text


def numbers(cells: pd.DataFrame, path: Path, as_written: str) -> pd.DataFrame:
    """Cells as numbers.

    Raises
    ------
    ValueError
        If one is none; it is named with its row.
    """
    values = cells.apply(pd.to_numeric, errors="coerce")
    wrong = values.isna()
    if wrong.any(axis=None):
        row, column = (
            int(k) for k in wrong.to_numpy().nonzero()[0][:1].tolist() + wrong.to_numpy().nonzero()[1][:1].tolist()
        )
        raise ValueError(
            f"{path} is not as {as_written} ({cells.iloc[row, column]!r} in the row of {cells.index[row]!r} is no number). Copy it "
            "again, or count again."
        )
    return values


def same_rows(
    tables: dict[str, pd.DataFrame],
    files: dict[str, Path],
    *,
    what: str = "genes",
    missing: Missing | None = None,
) -> dict[str, pd.DataFrame]:
    """Tables with the same rows in the same order.

    Parameters
    ----------
    tables
        A row for each gene or transcript, by sample.
    files
        Where each comes from.
    what
        What the rows are.
    missing
        ``"zero"`` fills rows that a table lacks; None where zero would be wrong.

    Raises
    ------
    ValueError
        If a table lacks rows that another has, and they are not to be filled, or if only some files end within a line.
    """
    cut = [name for name, table in tables.items() if table.attrs.get(LINE_IS_CUT)]
    if 0 < len(cut) < len(tables):
        raise ValueError(
            f"{files[cut[0]]} ends without a line break, unlike other files of the folder: it is cut short. Copy it again, or count "
            "again. If it is whole, add the line break."
        )
    first = max(tables, key=lambda name: len(tables[name]))
    rows = tables[first].index
    if all(table.index.equals(rows) for table in tables.values()):
        return tables
    for name, table in tables.items():
        repeated = table.index[table.index.duplicated()]
        if len(repeated):
            raise ValueError(
                f"{files[name]}: {what} are not in the same order in all files, and {len(repeated)} of this one occur more than "
                f"once, first {repeated[0]!r}, so that they cannot be told apart. Count all samples with the same annotation."
            )
    for name, table in tables.items():
        lacks, beyond = rows.difference(table.index, sort=False), table.index.difference(rows, sort=False)
        if not len(lacks) and not len(beyond) or missing == "zero":
            rows = rows.append(beyond)
            continue
        examples = "; ".join(
            f"{word} {', '.join(map(repr, names[:3]))}"
            for word, names in (("it lacks", lacks), ("only it has", beyond))
            if len(names)
        )
        zero = "" if missing is None else " If the tool left out genes without a read, give missing='zero'."
        raise ValueError(
            f"{files[name]}: {len(table):,} {what} in it, not the same {len(rows):,} {what} as {files[first].name} of {first!r} "
            f"({examples}). Count all samples with the same annotation; copy a file again that is cut short.{zero}"
        )
    return {name: table.reindex(rows, fill_value=0) for name, table in tables.items()}
