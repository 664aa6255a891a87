"""Which sheet of a spreadsheet is read, and whether the columns of a sample sheet can be written with the results."""

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def choose_sheets(counts: Path, samples: Path, names: list[str]) -> tuple[str | None, str | None]:
    """The sheets of COUNTS and of SAMPLES: two in this order, or one for the spreadsheet that has it.

    Raises
    ------
    ValueError
        If there are more than two names, or one that no spreadsheet has.
    """
    if not names:
        return None, None
    if len(names) == 2:
        return names[0], names[1]
    known = [_sheet_names(path) for path in (counts, samples)]
    if len(names) > 2 or not any(names[0] in those for those in known):
        raise ValueError(
            f"--sheet {', '.join(map(repr, names))}: give the name of one sheet, or of two, first for COUNTS. {counts.name} has "
            f"{known[0] or 'no sheets'}, {samples.name} has {known[1] or 'no sheets'}."
        )
    # a file with a single sheet needs no name
    in_samples = names[0] in known[1] and (names[0] not in known[0] or len(known[0]) == 1 < len(known[1]))
    return (None, names[0]) if in_samples else (names[0], None)


def _sheet_names(path: Path) -> list[str]:
    """Names of the sheets; none if it is no spreadsheet, or one that cannot be read, which the reader explains."""
    import pandas as pd

    if not path.is_file() or not zipfile.is_zipfile(path):
        return []
    try:
        with warnings.catch_warnings(action="ignore"), pd.ExcelFile(path, engine="openpyxl") as book:
            return [str(name) for name in book.sheet_names]
    except (ValueError, KeyError, OSError, ImportError, zipfile.BadZipFile):
        return []


def check_columns(samples: "pd.DataFrame") -> None:
    """Raise where a column has a name that no ``.h5ad`` file can hold, so that it is found before a model is trained.

    Raises
    ------
    ValueError
        If there is such a column; the message says how to rename it.
    """
    names = [str(name) for name in samples.columns]
    wrong = [name for name in names if not name.strip() or name in (".", "_index") or "/" in name]
    if wrong:
        raise ValueError(
            f"The sample sheet has columns that cannot be written to a result file (.h5ad): {wrong}. Rename them: not '_index' or "
            "'.', and without a slash."
        )
