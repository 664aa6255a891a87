"""Row blocks of a samples x genes matrix, in memory or not, so that memory stays bounded at any cohort size."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from scipy import sparse

BLOCK_BYTES: Final = 16 * 2**20
"""Size of a dense float64 block, in bytes; larger ones are not faster."""


class RowMatrix(Protocol):
    """Samples x genes matrix that can be sliced by rows.

    A numpy array, a scipy sparse matrix or array, a dask array with dense or sparse chunks, or the matrix of a backed
    AnnData (``h5py.Dataset``, ``anndata.abc.CSRDataset``, ``anndata.abc.CSCDataset``).
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of samples, number of genes."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Rows of the matrix."""


def by_rows(x: RowMatrix) -> RowMatrix:
    """Return ``x`` itself, or as CSR in memory where it is stored by columns or coordinates; call it once before several passes."""
    if getattr(x, "format", "csr") == "csr":
        return x
    in_memory: Any = x if sparse.issparse(x) else x.to_memory()  # type: ignore[attr-defined]
    return in_memory.tocsr()


def iter_stored_blocks(
    x: RowMatrix, *, block_rows: int | None = None
) -> Iterator[tuple[slice, np.ndarray | sparse.csr_array | sparse.csr_matrix]]:
    """Yield consecutive row blocks as they are stored: dense as dense, sparse as CSR, with their dtype.

    A block has at most ``block_rows`` rows, by default as many as fit into `BLOCK_BYTES` as dense float64. It may share
    memory with ``x``: do not write to it. Each chunk of a dask array is computed once, so at least one is in memory.
    """
    x = by_rows(x)
    if block_rows is None:
        block_rows = BLOCK_BYTES // (8 * max(x.shape[1], 1))
    block_rows = max(block_rows, 1)
    for start, stop in _read_spans(x, block_rows):
        span = _read(x, start, stop)
        for low in range(start, stop, block_rows):
            high = min(low + block_rows, stop)
            yield slice(low, high), span[low - start : high - start]


def iter_row_blocks(x: RowMatrix, *, block_rows: int | None = None) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive row blocks as dense float64 arrays; see `iter_stored_blocks`."""
    for rows, block in iter_stored_blocks(x, block_rows=block_rows):
        dense = block if isinstance(block, np.ndarray) else block.toarray()
        yield rows, np.ascontiguousarray(dense, dtype=np.float64)


def read_rows(x: RowMatrix, rows: slice) -> np.ndarray:
    """Read consecutive rows as a dense float64 array, which may share memory with ``x``."""
    start, stop, _ = rows.indices(x.shape[0])
    part = _read(by_rows(x), start, stop)
    return np.ascontiguousarray(part if isinstance(part, np.ndarray) else part.toarray(), dtype=np.float64)


def _read_spans(x: RowMatrix, block_rows: int) -> Iterator[tuple[int, int]]:
    """Row ranges that are read at once: blocks, or runs of whole dask chunks (reading a part of a chunk computes the whole)."""
    n_rows = x.shape[0]
    if not _is_dask(x):
        yield from ((start, min(start + block_rows, n_rows)) for start in range(0, n_rows, block_rows))
        return
    start = stop = 0
    for chunk_rows in x.chunks[0]:  # type: ignore[attr-defined]
        if stop > start and stop + chunk_rows - start > block_rows:
            yield start, stop
            start = stop
        stop += chunk_rows
    if stop > start:
        yield start, stop


def _read(x: RowMatrix, start: int, stop: int) -> Any:
    rows = x[start:stop]
    if _is_dask(rows):
        rows = rows.compute()
    return rows.tocsr() if sparse.issparse(rows) else np.asarray(rows)


def _is_dask(x: object) -> bool:
    return hasattr(x, "__dask_graph__")
