"""The storages a matrix may come in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

IN_MEMORY: dict[str, Callable[[np.ndarray], Any]] = {
    "dense": lambda x: x,
    "fortran": lambda x: np.asfortranarray(x.astype(np.float32)),
    "csr_array": sparse.csr_array,
    "csr_matrix": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "csc_matrix": sparse.csc_matrix,
    "coo_array": sparse.coo_array,
    "dask": lambda x: da.from_array(x, chunks=((2, 1, len(x) - 3), (3, x.shape[1] - 3))),
    "dask_csr": lambda x: da.from_array(x, chunks=(2, -1)).map_blocks(sparse.csr_matrix),
    "dask_csc": lambda x: da.from_array(x, chunks=(2, -1)).map_blocks(sparse.csc_matrix),
}
ON_DISK: dict[str, Callable[[np.ndarray], Any]] = {
    "backed": lambda x: x,
    "backed_csr": sparse.csr_matrix,
    "backed_csc": sparse.csc_matrix,
}


@pytest.fixture(params=[*IN_MEMORY, *ON_DISK])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[np.ndarray], Any]:
    """A function that puts a dense matrix into one of the storages."""
    if request.param in IN_MEMORY:
        return IN_MEMORY[request.param]

    def on_disk(x: np.ndarray) -> Any:
        ad.AnnData(ON_DISK[request.param](x)).write_h5ad(tmp_path / "x.h5ad")
        return ad.read_h5ad(tmp_path / "x.h5ad", backed="r").X

    return on_disk
