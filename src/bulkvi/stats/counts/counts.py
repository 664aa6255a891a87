"""Checks of count matrices and of offsets of single counts, in row blocks; errors name the first wrong entry."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from bulkvi.stats.counts.blocks import RowMatrix, by_rows, iter_stored_blocks, read_rows

SMALLEST_FACTOR = 1e-30
LARGEST_FACTOR = 1e30
"""Beyond these a 32-bit float, as in networks, has no digits left."""
LARGEST = 1e12
"""Largest count: more reads than any library has, and the most that the likelihood resolves."""


def check_counts(
    x: RowMatrix,
    *,
    sample_names: Sequence[str] | None = None,
    gene_names: Sequence[str] | None = None,
    matrix: str = "x",
    block_rows: int | None = None,
) -> np.ndarray:
    """Check that a matrix (samples x genes) holds raw counts and that every sample has some; returns the total of each sample.

    ``matrix`` is its name in error messages; floats that are integers pass.
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


class Offset(NamedTuple):
    """Positive factors of single counts, such as transcript lengths, relative to their geometric mean over the samples."""

    matrix: RowMatrix
    """Factors > 0, samples x genes, in a storage whose rows are cheap to read."""
    log_mean: np.ndarray
    """Mean over the samples of the natural log of the factors, genes."""

    def log_relative(self) -> np.ndarray:
        """Natural logs of the factors less their means, samples x genes."""
        return np.log(read_rows(self.matrix, slice(None))) - self.log_mean


def check_offset(
    x: RowMatrix,
    *,
    sample_names: Sequence[str] | None = None,
    gene_names: Sequence[str] | None = None,
    matrix: str = "x",
    block_rows: int | None = None,
) -> Offset:
    r"""Check that a matrix (samples x genes) holds positive factors, and compute their geometric means over the samples.

    A factor :math:`o_{ng}` is the number of counts of gene g in sample n per unit of expression. Only ratios between samples
    matter, so a gene's factors are taken relative to their geometric mean, as ``estimateSizeFactors`` of DESeq2 does with
    average transcript lengths (Love, Huber & Anders 2014; Soneson, Love & Robinson 2015):
    :math:`o_{ng} / \exp(\sum_i \log o_{ig} / N)`. Rates then keep the scale of the counts.
    """
    if len(x.shape) != 2 or 0 in x.shape:
        raise ValueError(f"{matrix} must be samples x genes with at least one of each; its shape is {tuple(x.shape)}.")
    x = by_rows(x)
    log_sums = np.zeros(x.shape[1])
    for rows, block in iter_stored_blocks(x, block_rows=block_rows):
        if block.dtype.kind not in "uif":
            raise TypeError(
                f"{matrix} must hold numbers > 0, such as average transcript lengths; its dtype is {block.dtype}."
            )
        factors = np.asarray(block if isinstance(block, np.ndarray) else block.toarray(), dtype=np.float64)
        right = (factors >= SMALLEST_FACTOR) & (factors <= LARGEST_FACTOR)  # false for NaN
        if not right.all():
            row, gene = np.argwhere(~right)[0]
            value = float(factors[row, gene])
            sample, name = rows.start + int(row), int(gene)
            raise ValueError(
                f"{matrix} must hold finite numbers > 0 (from {SMALLEST_FACTOR:g} to {LARGEST_FACTOR:g}); sample "
                f"{sample if sample_names is None else sample_names[sample]!r} has {value} at gene "
                f"{name if gene_names is None else gene_names[name]!r}. {_factor_advice(value)}"
            )
        for logs in np.log(factors):  # row by row: the sum is then the same to the last bit for all block sizes
            log_sums += logs
    return Offset(x, log_sums / x.shape[0])


def _factor_advice(value: float) -> str:
    if value == 0:
        return (
            "A factor of 0 allows no count at all, and entries that a sparse matrix does not store are 0: give the "
            "gene's mean over the other samples where its length is not known."
        )
    if value < 0:
        return "This looks like logs: give their exponential."
    return "Give the gene's mean over the other samples where its length is not known, or drop the gene."
