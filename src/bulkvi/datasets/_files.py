"""Where files of data are: in the package, in the user's data folder, or in the cache of downloads."""

import os
from collections.abc import Iterable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import pandas as pd

FOLDER_VARIABLE: Final = "BULKVI_DATA_DIR"
"""Environment variable with the path of the user's data folder."""


def read_packaged(name: str) -> pd.DataFrame:
    """Read ``packaged/<name>`` (tab-separated, gzip), indexed by its first column as strings; no text means missing."""
    with as_file(files("bulkvi.datasets") / "packaged" / name) as path:
        table = pd.read_csv(path, sep="\t", dtype={"gene_id": str}, keep_default_na=False)
    return table.set_index("gene_id")


def find_in_data_folder(patterns: Iterable[str]) -> Path | None:
    """Return the first file, by pattern and then by alphabet, in the user's data folder; None without folder or file."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    return next((path for pattern in patterns for path in sorted(Path(folder).glob(pattern)) if path.is_file()), None)
