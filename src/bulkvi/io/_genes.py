"""The checks that the counts of every reader pass: which rows are genes, and whether the values are counts."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from bulkvi.io._count_values import Missing, narrow, sparse_counts, to_counts
from bulkvi.io._gene_names import Duplicates, check_ids, drop_summaries
from bulkvi.io._totals import Matrix, drop_totals, refuse_sum_of_samples


class Numbers(NamedTuple):
    """Numbers as a file holds them, genes x samples."""

    values: pd.DataFrame | sparse.csr_matrix
    genes: list[str]
    samples: list[str]

    def rows(self, which: np.ndarray) -> "Numbers":
        """Some of the genes."""
        values = self.values.iloc[which] if isinstance(self.values, pd.DataFrame) else self.values[which]
        return Numbers(values, [self.genes[k] for k in which], self.samples)

    def table(self) -> pd.DataFrame:
        """The numbers with their names."""
        if isinstance(self.values, pd.DataFrame):
            return self.values
        return pd.DataFrame(self.values.toarray(), index=self.genes, columns=self.samples)


class Genes(NamedTuple):
    """Counts that passed all checks."""

    counts: Matrix
    """Genes x samples, whole numbers; sparse if the numbers were."""
    names: list[str]
    """Gene ids, unique."""
    rows: np.ndarray
    """Row of the numbers for each gene, the first if several were summed."""


def to_genes(
    numbers: Numbers, *, duplicate_genes: Duplicates, missing: Missing, round_counts: bool, source: str
) -> Genes:
    """Check numbers, leave out rows that are no genes, and sum those of one gene.

    Parameters
    ----------
    numbers
        What was read.
    duplicate_genes, missing, round_counts
        As in :func:`bulkvi.io.read_counts`.
    source
        What to call the file in messages.

    Raises
    ------
    ValueError
        If values are no counts, gene ids are empty or repeat (and are not to be summed), or a sample is the sum of all others.
    """
    kept = np.flatnonzero(drop_summaries(pd.Series(numbers.genes, dtype=object), source).to_numpy(bool))
    summaries = np.zeros(len(numbers.samples))
    if len(kept) < len(numbers.genes):
        others = numbers.rows(np.setdiff1d(np.arange(len(numbers.genes)), kept)).table()
        summaries = others.apply(pd.to_numeric, errors="coerce").sum().to_numpy(float)
        numbers = numbers.rows(kept)
    if not numbers.genes:
        raise ValueError(
            f"{source} has no genes: every row counts reads without a gene. Give the table of counts itself."
        )
    counts = _counts(numbers, missing=missing, round_counts=round_counts, source=source)
    genes = drop_totals(counts, numbers.genes, summaries, source)
    counts, kept, names = counts[genes], kept[genes], [numbers.genes[k] for k in np.flatnonzero(genes)]
    refuse_sum_of_samples(counts, numbers.samples, source)
    check_ids(names, duplicate_genes, source)
    codes, unique = pd.factorize(np.array(names, dtype=object))
    if len(unique) < len(names):
        first = np.unique(codes, return_index=True)[1]
        member = sparse.csr_matrix(
            (np.ones(len(codes), np.int64), (codes, np.arange(len(codes)))), shape=(len(unique), len(codes))
        )
        counts, kept = member @ counts, kept[first]
    return Genes(narrow(counts, source), list(map(str, unique)), kept)


def _counts(numbers: Numbers, *, missing: Missing, round_counts: bool, source: str) -> Matrix:
    if not isinstance(numbers.values, pd.DataFrame):
        counts = sparse_counts(numbers.values)
        if counts is not None:
            return counts
    return to_counts(numbers.table(), missing=missing, round_counts=round_counts, source=source)
