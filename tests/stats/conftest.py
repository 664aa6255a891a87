"""The storages a matrix may come in, and counts with known truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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


class Cohort(NamedTuple):
    """Negative binomial counts with known truth, natural logs."""

    counts: np.ndarray
    features: np.ndarray
    offset: np.ndarray
    effect: np.ndarray
    dispersion: np.ndarray


def _simulate(rng, n_per_group=4, n_genes=200, *, share=0.1, effect_sd=0.8, log_mean=(4.5, 2.0), scatter=0.5) -> Cohort:
    """Two groups; dispersions scatter log-normally about 0.05 + 2 / mean; a share of the genes changes."""
    mean = np.exp(rng.normal(*log_mean, n_genes))
    dispersion = np.minimum((0.05 + 2 / mean) * np.exp(rng.normal(0, scatter, n_genes)), 20.0)
    group = np.repeat([0.0, 1.0], n_per_group)
    offset = rng.normal(0, 0.3, 2 * n_per_group)
    effect = np.where(rng.random(n_genes) < share, rng.normal(0, effect_sd, n_genes), 0.0)
    rate = np.exp(offset)[:, None] * mean * np.exp((group - 0.5)[:, None] * effect)
    counts = rng.poisson(rng.gamma(1 / dispersion, 1, rate.shape) * dispersion * rate).astype(float)
    kept = counts.sum(0) >= 5
    return Cohort(
        counts[:, kept], np.column_stack([np.ones(group.size), group]), offset, effect[kept], dispersion[kept]
    )


@pytest.fixture
def simulate():
    """Maker of cohorts: see `_simulate`."""
    return _simulate


@pytest.fixture
def cohort(rng):
    return _simulate(rng)
