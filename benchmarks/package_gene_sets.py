"""Make ``src/bulkvi/datasets/packaged/go_bp_human_symbol.gmt.gz``.

Run ``BULKVI_DATA_DIR=<folder> python benchmarks/package_gene_sets.py``. The folder holds ``genesets`` with
``go_bp_human_symbol.gmt.gz`` (GO biological processes with the genes of their descendants; how it was made says
``packaged/README.md``). The output is the same, byte for byte, on every run with the same zlib.
"""

import gzip
import os
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "bulkvi" / "datasets" / "packaged" / "go_bp_human_symbol.gmt.gz"
SIZES = range(10, 501)


def trimmed(source: Path) -> list[str]:
    """Lines of the sets with 10 to 500 genes, as they are."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()
    return [line for line in lines if len(set(line.split("\t")[2:])) in SIZES]


if __name__ == "__main__":
    if "BULKVI_DATA_DIR" not in os.environ:
        raise SystemExit("Set BULKVI_DATA_DIR to the folder that holds genesets/; see the top of this file.")
    sets = trimmed(Path(os.environ["BULKVI_DATA_DIR"]) / "genesets" / TARGET.name)
    TARGET.write_bytes(gzip.compress(("\n".join(sets) + "\n").encode(), compresslevel=9, mtime=0))
    print(f"{len(sets):,} sets, {TARGET.stat().st_size:,} bytes")
