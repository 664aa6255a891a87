"""Is this a matrix of counts? One pass in row blocks, with an error that names the first entry that is not."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from bulkvi.stats.counts.blocks import RowMatrix, iter_stored_blocks

LARGEST = 1e12
"""Largest count: far more reads than any library has, and the most that the likelihood resolves."""


def check_counts(
    x: RowMatrix,
    *,
    sample_names: Sequence[str] | None = None,
    gene_names: Sequence[str] | None = None,
    matrix: str = "x",
    block_rows: int | None = None,
) -> np.ndarray:
    """Check that a matrix holds raw counts and that every sample has some.

    Parameters
    ----------
    x
        Samples x genes. Floats that are integers pass.
    sample_names, gene_names
        Names for the error messages; by default positions.
    matrix
        What to call ``x`` in the error messages, for example ``"adata.layers['counts']"``.
    block_rows
        Most rows read at once, see :func:`~bulkvi.stats.counts.blocks.iter_stored_blocks`.

    Returns
    -------
    Total count of every sample, float64, shape ``(n_samples,)``.

    Raises
    ------
    TypeError
        If ``x`` does not hold real numbers.
    ValueError
        If ``x`` is not two-dimensional or is empty, if an entry is not finite, negative, not an integer or above 1e12, or if a
        sample has no count at all. The first offending entry, or the offending samples, are named.

    Examples
    --------
    >>> check_counts(np.array([[1, 0, 2], [0, 5, 0]]))
    array([3., 5.])
    """
    if len(x.shape) != 2 or 0 in x.shape:
        raise ValueError(f"{matrix} must be samples x genes with at least one of each; its shape is {tuple(x.shape)}.")
    totals = np.empty(x.shape[0])
    for rows, block in iter_stored_blocks(x, block_rows=block_rows):
        values = block if isinstance(block, np.ndarray) else block.data
        if values.dtype.kind not in "buif":
            raise TypeError(f"{matrix} must hold numbers; its dtype is {values.dtype}.")
        if not _are_counts(values):
            row, gene, value = _first_offence(block)
            sample, gene_name = _name(sample_names, rows.start + row), _name(gene_names, gene)
            raise ValueError(
                f"{matrix} must hold raw counts (finite, non-negative integers); sample {sample!r} has {value} at "
                f"gene {gene_name!r}. {_advice(value)}"
            )
        if values.size and float(values.max()) > LARGEST:
            row, gene, value = _entry(block, int(np.argmax(values.astype(np.float64) > LARGEST)), values)
            sample, gene_name = _name(sample_names, rows.start + row), _name(gene_names, gene)
            raise ValueError(
                f"{matrix} has a count of {value:.3g} for sample {sample!r} at gene {gene_name!r}: no library has so many reads (the "
                f"largest allowed is {LARGEST:.0e}). Check how the counts were read; intensities and sums over cohorts are no "
                "counts."
            )
        totals[rows] = np.asarray(block.sum(axis=1, dtype=np.float64)).ravel()
    empty = np.flatnonzero(totals == 0)
    if empty.size:
        shown = ", ".join(repr(_name(sample_names, i)) for i in empty[:5]) + (" and others" if empty.size > 5 else "")
        raise ValueError(
            f"{empty.size} of {totals.size} samples have no counts at all in {matrix}: {shown}. Every sample needs at "
            "least one count: drop these samples."
        )
    return totals


def _are_counts(values: np.ndarray) -> bool:
    if values.size == 0 or values.dtype.kind in "bu":
        return True
    if values.min() < 0:
        return False
    # The maximum of values with a NaN is NaN, which is not below infinity.
    return values.dtype.kind == "i" or bool(values.max() < np.inf and np.array_equal(values, np.rint(values)))


def _first_offence(block: np.ndarray | sparse.csr_array | sparse.csr_matrix) -> tuple[int, int, float]:
    """Row, gene and value of the first entry that is not a count."""
    values = block.ravel() if isinstance(block, np.ndarray) else block.data
    with np.errstate(invalid="ignore"):
        bad = ~((values >= 0) & (values < np.inf) & (values == np.rint(values)))
    return _entry(block, int(np.argmax(bad)), values)


def _entry(
    block: np.ndarray | sparse.csr_array | sparse.csr_matrix, first: int, values: np.ndarray
) -> tuple[int, int, float]:
    """Row, gene and value of a stored entry of a block."""
    value = float(values.ravel()[first])
    if isinstance(block, np.ndarray):
        return *divmod(first, block.shape[1]), value
    return int(np.searchsorted(block.indptr, first, side="right")) - 1, int(block.indices[first]), value


def _advice(value: float) -> str:
    if not np.isfinite(value):
        return "Missing and infinite values cannot be counted: drop the gene or the sample, or repair the input."
    given = "log-transformed or centred values" if value < 0 else "TPM, log or normalised values"
    advice = f"This looks like {given}: give the raw counts, in X or in a layer."
    return advice if value < 0 else advice + " Round expected counts (RSEM, salmon, kallisto) first."


def _name(names: Sequence[str] | None, position: int | np.intp) -> str | int:
    return int(position) if names is None else names[int(position)]
