"""Rows and columns that are sums of the others: no genes, and no samples."""

import re
import warnings
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from scipy import sparse

TOTAL: Final = re.compile(
    r"(?i:(grand|column|col|sample|library|lib)?[\W_]*(totals?|sums?|summe|gesamt|gesamtsumme|somme|suma)"
    r"([\W_]*(reads?|counts?|mapped|mapped[\W_]*reads?|umis?|of[\W_]*(all[\W_]*)?(genes|reads|counts)|per[\W_]*sample))?|"
    r"(library|lib|sequencing)[\W_]*(size|depth)s?|n[\W_]*reads|all[\W_]*(genes|reads))"
)
"""What a row of sums is called."""
MANY_OTHERS: Final = 10
"""Number of other rows with counts from which a row that equals their sum is no gene, whatever its name."""

Matrix: TypeAlias = np.ndarray | sparse.csr_matrix


def drop_totals(counts: Matrix, names: Sequence[str], summaries: np.ndarray, source: str) -> np.ndarray:
    """Which rows are genes; a warning names those that are the sum of the others, or are called so.

    Parameters
    ----------
    counts
        Genes x samples.
    names
        Names of the rows.
    summaries
        Sum of the rows that were left out before, which may be in a total, shape ``(n_samples,)``.
    source
        What to call the table in messages.
    """
    called = np.array([TOTAL.fullmatch(name.strip(" :")) is not None for name in names], dtype=bool)
    if called.all():
        return np.ones(len(names), dtype=bool)
    rows = np.asarray(counts.sum(axis=1, dtype=float)).ravel()
    total = np.asarray(counts[~called].sum(axis=0, dtype=float)).ravel()
    equal = np.zeros(len(names), dtype=bool)
    if np.count_nonzero(rows) > MANY_OTHERS:
        for whole in (total, total + summaries):
            near = ~called & (rows > 0) & np.isclose(2 * rows, whole.sum(), rtol=1e-9, atol=0.5)
            for k in np.flatnonzero(near).tolist():
                equal[k] |= np.allclose(2 * _row(counts, k), whole, rtol=1e-13, atol=0)
    totals = [names[k] for k in np.flatnonzero(called | equal).tolist()]
    if totals:
        why = "is the sum of the other rows" if equal.any() and not called.any() else "is called a total"
        warnings.warn(
            f"{source}: {len(totals)} row {why} and was left out, since it is no gene: {totals[:5]}."
            if len(totals) == 1
            else f"{source}: {len(totals)} rows hold sums of the others and were left out, since they are no genes: {totals[:5]}.",
            UserWarning,
            stacklevel=2,
        )
    return ~(called | equal)


def refuse_sum_of_samples(counts: Matrix, samples: Sequence[str], source: str) -> None:
    """Raise where a sample is the sum of all others.

    Raises
    ------
    ValueError
        If there is such a sample, among four or more.
    """
    if len(samples) < 4 or counts.shape[0] <= MANY_OTHERS:
        return
    columns = np.asarray(counts.sum(axis=0, dtype=float)).ravel()
    genes = np.asarray(counts.sum(axis=1, dtype=float)).ravel()
    near = (columns > 0) & np.isclose(2 * columns, columns.sum(), rtol=1e-9, atol=0.5)
    for k in np.flatnonzero(near).tolist():
        column = counts[:, [k]]
        column = (column if isinstance(column, np.ndarray) else column.toarray()).ravel()
        if np.allclose(2.0 * column, genes, rtol=1e-13, atol=0):
            raise ValueError(
                f"{source}: sample {samples[k]!r} is the sum of all other samples, gene by gene: a column of totals and no sample. "
                "Take its row out of the sample sheet."
            )


def _row(counts: Matrix, position: int) -> np.ndarray:
    row = counts[[position]]
    return np.asarray(row if isinstance(row, np.ndarray) else row.toarray(), dtype=float).ravel()
