"""Row blocks of a samples x genes matrix, in memory or not, so that memory stays bounded at any cohort size."""

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
from scipy import sparse

BLOCK_BYTES: Final = 16 * 2**20
"""Size of a dense float64 block, in bytes: a few of them fit into any machine, and larger ones are not faster."""


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
    """Return ``x`` in a storage whose rows are cheap to read.

    Parameters
    ----------
    x
        Samples x genes.

    Returns
    -------
    ``x`` itself; or CSR in memory where ``x`` is stored by columns or coordinates (CSC, COO, ..., a CSC matrix on
    disk). Call it once before several passes over ``x``.

    Examples
    --------
    >>> by_rows(sparse.csc_array(np.eye(3))).format
    'csr'
    """
    if getattr(x, "format", "csr") == "csr":
        return x
    in_memory: Any = x if sparse.issparse(x) else x.to_memory()  # type: ignore[attr-defined]
    return in_memory.tocsr()


def iter_stored_blocks(
    x: RowMatrix, *, block_rows: int | None = None
) -> Iterator[tuple[slice, np.ndarray | sparse.csr_array | sparse.csr_matrix]]:
    """Yield consecutive row blocks as they are stored: dense as dense, sparse as CSR, in their own dtype.

    Parameters
    ----------
    x
        Samples x genes.
    block_rows
        Most rows in a block. By default as many as fit into :data:`BLOCK_BYTES` as dense float64.

    Yields
    ------
    The rows and the block of these rows. A block may share memory with ``x``: do not write to it.

    Notes
    -----
    A dask array is computed in runs of whole row chunks, each chunk once, so at least one row chunk is in memory.

    Examples
    --------
    >>> x = sparse.csr_array(np.eye(3))
    >>> [(rows.start, rows.stop, block.nnz) for rows, block in iter_stored_blocks(x, block_rows=2)]
    [(0, 2, 2), (2, 3, 1)]
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
    """Yield consecutive row blocks as dense float64 arrays.

    Parameters
    ----------
    x
        Samples x genes.
    block_rows
        Most rows in a block. By default as many as fit into :data:`BLOCK_BYTES`.

    Yields
    ------
    The rows and the block, shape ``(n_rows, n_genes)``. A block may share memory with ``x``: do not write to it.

    Examples
    --------
    >>> x = sparse.csr_array(np.eye(3))
    >>> [block.shape for _, block in iter_row_blocks(x, block_rows=2)]
    [(2, 3), (1, 3)]
    """
    for rows, block in iter_stored_blocks(x, block_rows=block_rows):
        dense = block if isinstance(block, np.ndarray) else block.toarray()
        yield rows, np.ascontiguousarray(dense, dtype=np.float64)


def read_rows(x: RowMatrix, rows: slice) -> np.ndarray:
    """Some consecutive rows as a dense float64 array.

    Parameters
    ----------
    x
        Samples x genes.
    rows
        The rows, without a step.

    Returns
    -------
    Shape ``(n_rows, n_genes)``. It may share memory with ``x``: do not write to it.

    Notes
    -----
    Of a dask array every row chunk that holds one of the rows is computed.

    Examples
    --------
    >>> read_rows(sparse.csr_array(np.eye(3)), slice(1, 2)).tolist()
    [[0.0, 1.0, 0.0]]
    """
    start, stop, _ = rows.indices(x.shape[0])
    part = _read(by_rows(x), start, stop)
    return np.ascontiguousarray(part if isinstance(part, np.ndarray) else part.toarray(), dtype=np.float64)


def _read_spans(x: RowMatrix, block_rows: int) -> Iterator[tuple[int, int]]:
    """Row ranges that are read at once: blocks, or runs of whole dask chunks (a part of a chunk costs the whole)."""
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
