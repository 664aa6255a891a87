"""Make ``src/bulkvi/datasets/packaged/gse60450_symbols.tsv.gz``: gene symbols for the Entrez ids of GSE60450.

Run ``BULKVI_DATA_DIR=<folder> python benchmarks/package_mouse_symbols.py`` where goatools 1.6.7 is installed
(``pip install --no-deps goatools==1.6.7`` is enough). The folder holds ``gse60450_mammary`` with the file of GEO.
"""

import gzip
import os
from pathlib import Path

import pandas as pd

TARGET = Path(__file__).parents[1] / "src" / "bulkvi" / "datasets" / "packaged" / "gse60450_symbols.tsv.gz"
COUNTS = Path("gse60450_mammary") / "GSE60450_Lactation-GenewiseCounts.txt.gz"


def symbol_table(counts: Path) -> pd.DataFrame:
    """Entrez id and symbol (NCBI Gene of 22 February 2016) of the genes that have one, in the order of the counts."""
    from goatools.test_data.genes_NCBI_10090_All import GENEID2NT

    genes = pd.read_csv(counts, sep="\t", usecols=["EntrezGeneID"])["EntrezGeneID"]
    known = genes[genes.isin(list(GENEID2NT))]
    return pd.DataFrame({"gene_id": known, "symbol": [GENEID2NT[gene].Symbol for gene in known]}).set_index("gene_id")


if __name__ == "__main__":
    if "BULKVI_DATA_DIR" not in os.environ:
        raise SystemExit("Set BULKVI_DATA_DIR to the folder that holds gse60450_mammary/; see the top of this file.")
    text = symbol_table(Path(os.environ["BULKVI_DATA_DIR"]) / COUNTS).to_csv(sep="\t", lineterminator="\n")
    TARGET.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))
    print(f"{TARGET.stat().st_size:,} bytes")
