"""Tables that travel inside the package."""

from importlib.resources import as_file, files

import pandas as pd


def read_packaged(name: str) -> pd.DataFrame:
    """Table ``packaged/<name>`` (tab-separated, gzip), indexed by its first column as strings; no text means missing."""
    with as_file(files("bulkvi.datasets") / "packaged" / name) as path:
        table = pd.read_csv(path, sep="\t", dtype={"gene_id": str}, keep_default_na=False)
    return table.set_index("gene_id")
