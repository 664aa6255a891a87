r"""Offsets of single counts: positive factors, such as transcript lengths, relative to their mean over the samples.

A factor :math:`o_{ng}` says how many counts of gene :math:`g` sample :math:`n` gives per unit of expression. Only its ratio
between samples counts, so that each gene's factors are taken relative to their geometric mean:

.. math:: \tilde o_{ng} = o_{ng} / \exp\Bigl(\frac{1}{N} \sum_i \log o_{ig}\Bigr)

as ``estimateSizeFactors`` of DESeq2 does with average transcript lengths (Love, Huber and Anders 2014; Soneson, Love and
Robinson 2015, F1000Research 4:1521). Means of genes, and rates, then keep the scale of the counts.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from bulkvi.stats.counts.blocks import RowMatrix, by_rows, iter_stored_blocks, read_rows

SMALLEST: Final = 1e-30
LARGEST: Final = 1e30
"""Beyond these a 32-bit float, as networks take them, has no digits left."""


class Offset(NamedTuple):
    """Factors that passed the checks, and what they are relative to."""

    matrix: RowMatrix
    """Factors > 0, samples x genes, in a storage whose rows are cheap to read."""
    log_mean: np.ndarray
    """Natural log of the factor of each gene that counts as 1, shape ``(n_genes,)``."""

    def log_relative(self) -> np.ndarray:
        """Natural logs of the factors less those of their means.

        Returns
        -------
        Samples x genes.
        """
        return np.log(read_rows(self.matrix, slice(None))) - self.log_mean


def check_offset(
    x: RowMatrix,
    *,
    sample_names: Sequence[str] | None = None,
    gene_names: Sequence[str] | None = None,
    matrix: str = "x",
    block_rows: int | None = None,
) -> Offset:
    """Check that a matrix holds positive factors, and take their geometric means over the samples.

    Parameters
    ----------
    x
        Samples x genes, dense or sparse, in any unit. What a sparse matrix does not store is 0, and refused.
    sample_names, gene_names
        Names for the error messages; by default positions.
    matrix
        What to call ``x`` in the error messages, for example ``"adata.layers['length']"``.
    block_rows
        Most rows read at once, see :func:`~bulkvi.stats.counts.blocks.iter_stored_blocks`.

    Returns
    -------
    The factors, each gene's relative to its geometric mean.

    Raises
    ------
    TypeError
        If ``x`` does not hold real numbers.
    ValueError
        If ``x`` is not two-dimensional or is empty, or if a factor is not finite and > 0 (between 1e-30 and 1e30). The
        first that is not is named.

    Examples
    --------
    >>> lengths = np.array([[1000.0, 500.0], [4000.0, 500.0]])
    >>> np.exp(check_offset(lengths).log_relative()).round(6).tolist()
    [[0.5, 1.0], [2.0, 1.0]]
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
        right = (factors >= SMALLEST) & (factors <= LARGEST)  # false for NaN
        if not right.all():
            row, gene = np.argwhere(~right)[0]
            value = float(factors[row, gene])
            sample, name = rows.start + int(row), int(gene)
            raise ValueError(
                f"{matrix} must hold finite numbers > 0 (from {SMALLEST:g} to {LARGEST:g}); sample "
                f"{sample if sample_names is None else sample_names[sample]!r} has {value} at gene "
                f"{name if gene_names is None else gene_names[name]!r}. {_advice(value)}"
            )
        for logs in np.log(factors):  # row by row: the sum is then the same to the last bit for all block sizes
            log_sums += logs
    return Offset(x, log_sums / x.shape[0])


def _advice(value: float) -> str:
    if value == 0:
        return (
            "A factor of 0 allows no count at all, and entries that a sparse matrix does not store are 0: give the "
            "gene's mean over the other samples where its length is not known."
        )
    if value < 0:
        return "This looks like logs: give their exponential."
    return "Give the gene's mean over the other samples where its length is not known, or drop the gene."
