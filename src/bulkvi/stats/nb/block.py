"""What the negative binomial kernels work on: the counts of a block of genes and the layout of the features.

Genes are always the last axis. Arrays are numpy arrays (compiled kernels) or torch tensors (the same arithmetic on
their device); `kernels` picks by what it is given.
"""

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from bulkvi.stats.nb import kernels as nb_kernels

T = TypeVar("T", bound=tuple)

Array = Any
"""A numpy array or a torch tensor, float64 unless said otherwise."""


class Layout(NamedTuple):
    """Features of the samples, equal rows standing together, and the ridge on their coefficients."""

    unique: Array
    """Different rows of the features, rows x p."""
    outer: Array
    """Products of the columns of ``unique``, rows x p (p + 1) / 2, packed lower triangles."""
    start: Array
    """First sample of each different row, and the number of samples at the end; integers."""
    ridge: Array
    """Prior precision of the coefficients, p x p."""
    ridge_packed: Array
    """Lower triangle of ``ridge``."""
    reach: Array
    """Largest absolute value of each feature, p."""


class Block(NamedTuple):
    """Some genes of a data set, samples in the order of the layout."""

    counts: Array
    """Samples x genes."""
    exposure: Array
    """exp(offset), samples x genes or samples x 1."""
    weights: Array
    """Weight of each observation's log likelihood, samples x genes; 0 x 0 when all are 1."""
    layout: Layout


def is_torch(array: Array) -> bool:
    """Whether an array is a torch tensor (without importing torch for those who have none)."""
    return type(array).__module__.partition(".")[0] == "torch"


def to_host(array: Array) -> np.ndarray:
    """The array as numpy's, copied off its device if need be."""
    return array.cpu().numpy() if is_torch(array) else np.asarray(array)


def namespace(array: Array) -> ModuleType:
    """``torch`` or ``numpy``: the module whose functions take this array."""
    if is_torch(array):
        import torch

        return torch
    return np


def kernels(array: Array) -> ModuleType:
    """The negative binomial kernels for this kind of array."""
    if is_torch(array):
        from bulkvi.stats.nb import torch_twin

        return torch_twin
    return nb_kernels


def full(shape: tuple[int, ...], value: float, *, like: Array) -> Array:
    """A float64 array of one value, of the kind and on the device of ``like``."""
    if is_torch(like):
        return like.new_full(shape, value, dtype=namespace(like).float64)
    return np.full(shape, value)


def convert(array: Any, *, like: Array) -> Array:
    """``array`` as an array of the kind and on the device of ``like``; numbers keep their type."""
    if is_torch(like):
        import torch

        return torch.as_tensor(array, device=like.device)
    return np.asarray(array)


def take_rows(table: Array, row: Array) -> Array:
    """``table[row[k, g], g]``: other rows for each gene."""
    return table.gather(0, row) if is_torch(table) else np.take_along_axis(table, row, 0)


def row_sums(values: Array, layout: Layout) -> Array:
    """Sum over the samples of each different row of features."""
    if is_torch(values):
        rows = layout.unique.shape[0]
        of_row = namespace(values).arange(rows, device=values.device).repeat_interleave(layout.start.diff())
        return values.new_zeros((rows, values.shape[1])).index_add_(0, of_row, values)
    return np.add.reduceat(values, layout.start[:-1], axis=0)


def sample_rows(rows: Array, layout: Layout) -> Array:
    """The different rows of features, repeated for their samples."""
    size = layout.start[1:] - layout.start[:-1]
    return rows.repeat_interleave(size, 0) if is_torch(rows) else np.repeat(rows, size, axis=0)


def join(parts: list[T]) -> T:
    """Named tuples of arrays of blocks of genes (the last axis) as one of all genes."""
    if len(parts) == 1:
        return parts[0]
    xp = namespace(parts[0][0])
    return type(parts[0])(*(xp.concatenate(arrays, -1) for arrays in zip(*parts, strict=True)))


def make_layout(features: Array, ridge: Array) -> tuple[Layout, np.ndarray]:
    """Layout of the features (samples x p) and the order of samples it stands for; see `Layout`."""
    rows = features.detach().cpu().numpy() if is_torch(features) else np.asarray(features)
    rows = np.asarray(rows, dtype=float)
    precision = ridge.detach().cpu().numpy() if is_torch(ridge) else np.asarray(ridge, dtype=float)
    p = rows.shape[1]
    if precision.ndim < 2:
        precision = np.diag(np.broadcast_to(precision, p))
    unique, which = np.unique(rows, axis=0, return_inverse=True)
    which = which.reshape(-1)
    lower = np.tril_indices(p)
    parts = (
        unique,
        np.ascontiguousarray(unique[:, lower[0]] * unique[:, lower[1]]),
        np.concatenate([[0], np.cumsum(np.bincount(which))]),
        np.ascontiguousarray(precision, dtype=float),
        np.ascontiguousarray(precision[lower], dtype=float),
        np.abs(unique).max(axis=0),
    )
    return Layout(*(convert(part, like=features) for part in parts)), np.argsort(which, kind="stable")


def blocks(
    counts: Array, offset: Array, weights: Array | None, layout: Layout, order: np.ndarray, genes: int
) -> Iterator[tuple[slice, Block]]:
    """Cut the genes into blocks, samples put into the order of the layout, counts into contiguous float64."""
    xp = namespace(counts)
    order = convert(order, like=counts)
    shared = xp.exp(offset[order][:, None]) if offset.ndim == 1 else None
    for begin in range(0, counts.shape[1], genes):
        part = slice(begin, begin + genes)
        yield (
            part,
            Block(
                _float_rows(counts, order, part),
                xp.exp(_float_rows(offset, order, part)) if shared is None else shared,
                full((0, 0), 0.0, like=counts) if weights is None else _float_rows(weights, order, part),
                layout,
            ),
        )


def _float_rows(array: Array, order: Array, part: slice) -> Array:
    rows = array[:, part][order]
    if is_torch(rows):
        return rows.to(dtype=namespace(rows).float64)
    return np.ascontiguousarray(rows, dtype=float)
