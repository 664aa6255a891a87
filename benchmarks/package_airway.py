"""Make ``src/bulkvi/datasets/packaged/airway.tsv.gz``.

Run ``BULKVI_DATA_DIR=<folder> python benchmarks/package_airway.py``. The folder holds ``airway`` with ``counts.tsv.gz``
(genes x samples) and ``genes.tsv.gz`` (gene_id, symbol). The output is the same, byte for byte, on every run with the
same zlib.
"""

import gzip
import os
from pathlib import Path

import pandas as pd

TARGET = Path(__file__).parents[1] / "src" / "bulkvi" / "datasets" / "packaged" / "airway.tsv.gz"


def airway_table(folder: Path) -> pd.DataFrame:
    """Genes with at least one count: symbol (the gene id where none is known) and one column of counts per sample."""
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col="gene_id")
    counts = counts[counts.sum(axis=1) > 0]
    symbol = pd.read_csv(folder / "genes.tsv.gz", sep="\t", index_col="gene_id")["symbol"].reindex(counts.index)
    counts.insert(0, "symbol", symbol.fillna(counts.index.to_series()))
    return counts


if __name__ == "__main__":
    if "BULKVI_DATA_DIR" not in os.environ:
        raise SystemExit("Set BULKVI_DATA_DIR to the folder that holds airway/; see the top of this file.")
    text = airway_table(Path(os.environ["BULKVI_DATA_DIR"]) / "airway").to_csv(sep="\t", lineterminator="\n")
    TARGET.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{TARGET.stat().st_size:,} bytes")
