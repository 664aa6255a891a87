r"""Size factors: sequencing depth of each sample, relative to a reference sample.

The reference sample is a log count per gene, :math:`r_g`. A sample's size factor is the median ratio of its counts to
the reference, over the genes with a reference and with a count in this sample:

.. math:: s_n = \exp \operatorname{median}_{g:\; r_g > -\infty,\; x_{ng} > 0} \left( \log x_{ng} - r_g \right)

The methods differ in the reference only. Logarithms are natural. With an offset a count is divided by its factor
:math:`o_{ng}` first, and :math:`r_g` is less the mean of :math:`\log o_{ng}` over the samples: the size factors are then those in
DESeq2's ``normalizationFactors``. Anders & Huber (2010), Genome Biology 11:R106; Love, Huber & Anders (2014), Genome Biology
15:550.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bulkvi.stats.counts.blocks import RowMatrix, by_rows, iter_row_blocks, read_rows
from bulkvi.stats.counts.counts import Offset


class SizeFactors(NamedTuple):
    """Size factors and their reference."""

    size_factors: np.ndarray
    """Size factor of each sample, > 0, shape ``(n_samples,)``."""

    log_geometric_means: np.ndarray
    """Natural log of each gene's reference count, per unit of the offset if there is one, shape ``(n_genes,)``; -inf for a
    gene that is left out."""


def median_of_ratios(
    x: RowMatrix,
    *,
    offset: Offset | None = None,
    control: np.ndarray | None = None,
    sample_names: Sequence[str] | None = None,
    block_rows: int | None = None,
) -> SizeFactors:
    r"""Estimate size factors by the median of ratios to each gene's geometric mean (Anders and Huber 2010).

    .. math:: r_g = \frac{1}{N} \sum_n \log x_{ng}

    so that a gene with a zero in any sample is left out.

    Parameters
    ----------
    x
        Raw counts, samples x genes (see `bulkvi.stats.counts.counts.check_counts`).
    offset
        Factors of the single counts (see `bulkvi.stats.counts.counts.check_offset`); none by default.
    control
        Genes to measure on, boolean, shape ``(n_genes,)``; all by default.
    sample_names
        Names for the error message; by default positions.
    block_rows
        Most rows in memory at once, see `bulkvi.stats.counts.blocks.iter_row_blocks`.

    Returns
    -------
    Named tuple with ``size_factors`` and ``log_geometric_means``, as ``estimateSizeFactors(dds, type = "ratio")`` of DESeq2.

    Raises
    ------
    ValueError
        If every gene to measure on has a zero in some sample.

    Examples
    --------
    >>> median_of_ratios(np.array([[1, 4, 9], [4, 16, 36]])).size_factors
    array([0.5, 2. ])
    """
    x = by_rows(x)
    log_sums, n_positive = _log_sums(x, block_rows)
    measured = _measured(n_positive == x.shape[0], control)
    reference = _per_offset(np.where(measured, log_sums / x.shape[0], -np.inf), offset)
    if not np.isfinite(reference).any():
        genes = f"{reference.size} genes" if control is None else f"{int(control.sum())} control genes"
        raise ValueError(
            f"every one of the {genes} has a zero count in at least one of the {x.shape[0]} samples, so "
            "the median of ratios has no gene to work on. Use method='poscounts', or a frozen reference."
        )
    factors = size_factors_from_reference(x, reference, offset=offset, sample_names=sample_names, block_rows=block_rows)
    return SizeFactors(factors, reference)


def poscounts(
    x: RowMatrix,
    *,
    offset: Offset | None = None,
    control: np.ndarray | None = None,
    sample_names: Sequence[str] | None = None,
    block_rows: int | None = None,
) -> SizeFactors:
    r"""Estimate size factors from genes with zeros too: the geometric mean takes a zero as one.

    .. math:: r_g = c + \frac{1}{N} \sum_{n:\; x_{ng} > 0} \log x_{ng}

    and -inf for a gene without any count. The constant :math:`c` makes the geometric mean of the size factors one; it is
    part of the reference, so that a frozen reference gives these same size factors.

    Parameters
    ----------
    x
        Raw counts, samples x genes (see `bulkvi.stats.counts.counts.check_counts`).
    offset
        Factors of the single counts (see `bulkvi.stats.counts.counts.check_offset`); none by default.
    control
        Genes to measure on, boolean, shape ``(n_genes,)``; all by default.
    sample_names
        Names for the error message; by default positions.
    block_rows
        Most rows in memory at once, see `bulkvi.stats.counts.blocks.iter_row_blocks`.

    Returns
    -------
    Named tuple with ``size_factors`` and ``log_geometric_means``, as ``estimateSizeFactors(dds, type = "poscounts")`` of DESeq2.

    Raises
    ------
    ValueError
        If a sample has no count.

    Examples
    --------
    >>> poscounts(np.array([[1, 4, 0], [4, 16, 0]])).size_factors
    array([0.5, 2. ])
    """
    x = by_rows(x)
    log_sums, n_positive = _log_sums(x, block_rows)
    reference = _per_offset(np.where(_measured(n_positive > 0, control), log_sums / x.shape[0], -np.inf), offset)
    factors = size_factors_from_reference(x, reference, offset=offset, sample_names=sample_names, block_rows=block_rows)
    log_scale = np.log(factors).mean()
    return SizeFactors(factors / np.exp(log_scale), reference + log_scale)


def size_factors_from_reference(
    x: RowMatrix,
    log_geometric_means: np.ndarray,
    *,
    offset: Offset | None = None,
    sample_names: Sequence[str] | None = None,
    block_rows: int | None = None,
) -> np.ndarray:
    """Estimate size factors against a given reference, so that they do not depend on the other samples.

    ``log_geometric_means`` is the natural log of each gene's reference count, per unit of the offset if there is one; -inf
    leaves a gene out. Unlike DESeq2's with ``geoMeans`` the size factors are not rescaled to geometric mean one, which would
    make a sample's size factor depend on the other samples.
    """
    if log_geometric_means.shape != (x.shape[1],):
        raise ValueError(
            f"`log_geometric_means` must have one value for each of the {x.shape[1]} genes; its shape is "
            f"{log_geometric_means.shape}."
        )
    if offset is not None and tuple(offset.matrix.shape) != tuple(x.shape):
        raise ValueError(f"the offset has shape {tuple(offset.matrix.shape)}, the counts {tuple(x.shape)}.")
    usable = np.isfinite(log_geometric_means)
    reference = log_geometric_means[usable]
    log_factors = np.full(x.shape[0], np.nan)
    for rows, block in iter_row_blocks(x, block_rows=block_rows):
        counts = block[:, usable]
        log_ratios = _log_or_zero(counts) - reference
        if offset is not None:
            log_ratios -= np.log(read_rows(offset.matrix, rows)[:, usable])
        for i, (ratios, positive) in enumerate(zip(log_ratios, counts > 0, strict=True), start=rows.start):
            if positive.any():
                log_factors[i] = np.median(ratios[positive])
    unmeasured = np.flatnonzero(np.isnan(log_factors))
    if unmeasured.size:
        names = [repr(int(i) if sample_names is None else sample_names[int(i)]) for i in unmeasured[:5]]
        raise ValueError(
            f"{unmeasured.size} of {log_factors.size} samples have no count in any of the {reference.size} genes that "
            f"size factors are measured on: {', '.join(names)}{' and others' if unmeasured.size > 5 else ''}. Drop these "
            "samples."
        )
    return np.exp(log_factors)


def _measured(usable: np.ndarray, control: np.ndarray | None) -> np.ndarray:
    return usable if control is None else usable & control


def _per_offset(log_counts: np.ndarray, offset: Offset | None) -> np.ndarray:
    return log_counts if offset is None else log_counts - offset.log_mean


def _log_sums(x: RowMatrix, block_rows: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Per gene: sum of the logs of its positive counts, and number of samples with a count."""
    log_sums = np.zeros(x.shape[1])
    n_positive = np.zeros(x.shape[1], dtype=np.int64)
    for _, block in iter_row_blocks(x, block_rows=block_rows):
        for logs in _log_or_zero(block):  # row by row: the sum is then the same to the last bit for all block sizes
            log_sums += logs
        n_positive += np.count_nonzero(block, axis=0)
    return log_sums, n_positive


def _log_or_zero(counts: np.ndarray) -> np.ndarray:
    """Natural log of positive counts, 0 for zeros (a masked log is several times slower)."""
    logs = np.maximum(counts, 1)
    return np.log(logs, out=logs)
