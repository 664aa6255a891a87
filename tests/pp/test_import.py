"""Preparing counts loads none of the packages that train or draw."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import numpy as np
from anndata import AnnData
import bulkvi
adata = AnnData(np.array([[10, 40, 90, 0], [40, 160, 360, 1]], dtype=np.float32))
bulkvi.pp.filter_genes(adata)
bulkvi.pp.size_factors(adata)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
HEAVY = {"torch", "scvi", "lightning", "scanpy", "sklearn", "matplotlib", "seaborn"}


def test_size_factors_need_neither_torch_nor_scvi_nor_scanpy():
    """scanpy was imported for one line, and took longer to load than the estimate of size factors."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "bulkvi" in loaded
    assert not loaded & HEAVY
