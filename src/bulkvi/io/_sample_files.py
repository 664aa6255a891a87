"""Files of one sample each: found in a folder, named after their samples, read, and brought to the same genes."""

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

import pandas as pd

from bulkvi.io._count_values import Missing
from bulkvi.io._sample_names import Match, match_samples
from bulkvi.io._text_files import UnreadableError, read_text

MAX_DEPTH: Final = 4
"""Number of levels of subfolders that are searched."""
LINE_IS_CUT: Final = "line_is_cut"
"""Key of ``attrs``: the last line of the file has no line break, as if copying had stopped there."""


def visible_files(folder: Path) -> list[Path]:
    """Return the files of a folder and its subfolders, sorted, without hidden ones and without ``X.gz`` if there is ``X``."""
    found: list[Path] = []
    for home, folders, names in os.walk(folder, followlinks=True):
        here = Path(home)
        real = here.resolve()
        deeper = len(here.relative_to(folder).parts) < MAX_DEPTH
        folders[:] = sorted(
            name
            for name in folders
            # a link to a parent folder would be followed without end
            if deeper and name[0] not in "._" and (here / name).resolve() not in (real, *real.parents)
        )
        found += [
            here / name
            for name in sorted(names)
            if name[0] != "." and name.removesuffix(".gz") not in {*names} - {name}
        ]
    return sorted(found)


def sample_names(paths: Iterable[Path], folder: Path, name_in_file: Callable[[str], str]) -> list[str]:
    """Return the name of the sample of each file: that in the file's name, else the nearest folder's.

    ``name_in_file`` returns the sample in the name of a file, or an empty text, as for ``quant.sf``. While all files have
    the same name (``A/salmon/quant.sf``, ``B/salmon/quant.sf``), the next folder above is used.
    """
    candidates = [
        [name for name in (name_in_file(path.name), *reversed(path.relative_to(folder).parent.parts)) if name]
        or [folder.resolve().name]
        for path in paths
    ]
    while len({names[0] for names in candidates}) == 1 < len(candidates) and all(
        len(names) > 1 for names in candidates
    ):
        candidates = [names[1:] for names in candidates]
    return [names[0] for names in candidates]


def by_sample(paths: list[Path], folder: Path, pattern: re.Pattern[str]) -> dict[str, Path]:
    """Return the files with ``pattern`` in their names by sample: the rest of the name, or the subfolder.

    Two files of one sample raise a ValueError.
    """
    matching = [path for path in paths if pattern.search(path.name)]
    files: dict[str, Path] = {}
    for name, path in zip(sample_names(matching, folder, lambda name: pattern.sub("", name)), matching, strict=True):
        if name in files:
            raise ValueError(
                f"{folder}: {files[name].relative_to(folder)} and {path.relative_to(folder)} are both of sample {name!r}. Leave one "
                "of them. If they are lanes or runs of one library, give each a name and a row in the sample sheet, "
                "and sum them with bulkvi.pp.sum_replicates."
            )
        files[name] = path
    return files


def files_of_samples(files: dict[str, Path], samples: pd.DataFrame, match: Match, source: str) -> dict[str, Path]:
    """Return the file of each sample of the sheet."""
    chosen = match_samples(list(files), samples, match, source)
    return {name: files[label] for name, label in zip(samples.index, chosen, strict=True)}


def not_as_written(path: Path, as_written: str, problem: str) -> ValueError:
    """Return the error about a file of a tool; ``as_written`` is as in ``"STAR writes it, a gene and three counts in each line"``."""
    return ValueError(f"{path} is not as {as_written} ({problem}). Copy it again, or count again.")


def read_rows(path: Path, as_written: str, *, separator: str = "\t") -> pd.DataFrame:
    """Read the cells of a file of a tool as text, without comments; ``attrs`` has `LINE_IS_CUT`."""
    try:
        text = read_text(path, only_utf=True)
    except UnreadableError as error:
        raise not_as_written(path, as_written, f"it {error.problem}") from error
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    if not lines:
        raise not_as_written(path, as_written, "it holds comments only" if text.strip() else "it is empty")
    width = lines[0].count(separator) + 1
    odd = next((k for k, line in enumerate(lines) if line.count(separator) != width - 1), None)
    if odd is not None:
        n_columns = lines[odd].count(separator) + 1
        cut = ": it is cut short" if odd == len(lines) - 1 and n_columns < width else ""
        problem = f"line {odd + 1} of those with content has {n_columns} columns, and the first {width}{cut}"
        raise not_as_written(path, as_written, problem)
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
    cells.attrs[LINE_IS_CUT] = not text.endswith("\n")
    return cells


def read_columns(path: Path, as_written: str, columns: Sequence[str], *, rows: str) -> pd.DataFrame:
    """Read columns of numbers of a file with a header, indexed by the first of ``columns``; ``rows`` is what they are called."""
    cells = read_rows(path, as_written)
    labels = cells.iloc[0].tolist()
    missing = [label for label in columns if label not in labels]
    if missing or len(cells) < 2:
        raise not_as_written(path, as_written, f"it has no column {missing[0]}" if missing else f"it has no {rows}")
    body = cells.set_axis(labels, axis=1).iloc[1:]
    table = numbers(body.set_axis(pd.Index(body[columns[0]].tolist()), axis=0)[list(columns[1:])], path, as_written)
    table.attrs = {LINE_IS_CUT: cells.attrs[LINE_IS_CUT]}
    return table


def numbers(cells: pd.DataFrame, path: Path, as_written: str) -> pd.DataFrame:
    """Convert cells to numbers; raise a ValueError that names the row of the first that is no number."""
    values = cells.apply(pd.to_numeric, errors="coerce")
    wrong = values.isna().to_numpy()
    if wrong.any():
        row, column = (int(k[0]) for k in wrong.nonzero())
        problem = f"{cells.iloc[row, column]!r} in the row of {cells.index[row]!r} is no number"
        raise not_as_written(path, as_written, problem)
    return values


def same_rows(
    tables: dict[str, pd.DataFrame], files: dict[str, Path], *, what: str = "genes", missing: Missing | None = None
) -> dict[str, pd.DataFrame]:
    """Return tables by sample with the same rows, genes or transcripts, in the same order.

    ``missing="zero"`` fills rows that a table lacks; with None that would be wrong, and is not suggested.
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
                f"once, first {repeated[0]!r}, so they cannot be matched. Count all samples with the same annotation."
            )
    for name, table in tables.items():
        lacking, extra = rows.difference(table.index, sort=False), table.index.difference(rows, sort=False)
        if not len(lacking) and not len(extra) or missing == "zero":
            rows = rows.append(extra)
            continue
        examples = "; ".join(
            f"{word} {', '.join(map(repr, names[:3]))}"
            for word, names in (("it lacks", lacking), ("only it has", extra))
            if len(names)
        )
        zero = "" if missing is None else " If the tool left out genes without reads, give missing='zero'."
        raise ValueError(
            f"{files[name]}: {len(table):,} {what} in it, not the same {len(rows):,} {what} as {files[first].name} of {first!r} "
            f"({examples}). Count all samples with the same annotation; copy a file again that is cut short.{zero}"
        )
    return {name: table.reindex(rows, fill_value=0) for name, table in tables.items()}
