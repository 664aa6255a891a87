"""Genes among the rows of counts: their ids, rows that are no genes, and the checks of the counts of every reader."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from bulkvi.arguments import warn_user
from bulkvi.io._count_values import Missing, narrow, sparse_counts, to_counts

Duplicates = Literal["error", "sum"]

SUMMARY: Final = re.compile(
    r"__\w+|\*|(?i:N_(unmapped|multimapping|noFeature|ambiguous)|Unassigned_\w+|Assigned|"
    r"_{0,2}(no_feature|ambiguous|too_low_aQual|not_aligned|alignment_not_unique)|un(mapped|aligned|assigned)([ _.]reads)?)"
)
ID_COLUMNS: Final = frozenset("gene_id geneid ensembl_gene_id ensembl_id ensembl feature_id gene_stable_id".split())
SYMBOL_COLUMNS: Final = frozenset(
    "symbol gene_symbol genesymbol gene_name genename external_gene_name hgnc_symbol mgi_symbol".split()
)
ID_HEADERS: Final = ID_COLUMNS | frozenset("gene genes id ids name feature".split())
"""Headers of a first column of gene ids."""
ANNOTATION: Final = SYMBOL_COLUMNS | frozenset(
    "chr chrom chromosome seqname start end strand length gene_length genelength width effective_length biotype gene_biotype "
    "gene_type description entrez entrezid entrez_id entrezgene".split()
)
EXCEL_DATE: Final = re.compile(
    r"(\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(Mar|Sep|Dec)-\d{1,2}|\d{4}-\d\d-\d\d( 00:00:00)?)",
    re.IGNORECASE,
)
EXCEL_NUMBER: Final = re.compile(r"\d(\.\d+)?E\+\d+")
"""Spreadsheets turn an id such as 2310009E13RIK, without its last letters, into such a number."""
TOTAL: Final = re.compile(
    r"(?i:(grand|column|col|sample|library|lib)?[\W_]*(totals?|sums?|summe|gesamt|gesamtsumme|somme|suma)"
    r"([\W_]*(reads?|counts?|mapped|mapped[\W_]*reads?|umis?|of[\W_]*(all[\W_]*)?(genes|reads|counts)|per[\W_]*sample))?|"
    r"(library|lib|sequencing)[\W_]*(size|depth)s?|n[\W_]*reads|all[\W_]*(genes|reads))"
)
"""Names of rows of sums."""
MANY_OTHERS: Final = 10
"""A row that equals the sum of more than this many rows with counts is no gene, whatever its name."""
Matrix: TypeAlias = np.ndarray | sparse.csr_matrix


class SampleCounts(NamedTuple):
    """Numbers of a file, genes x samples, with the samples in the order and by the names of the sheet."""

    counts: pd.DataFrame
    """Genes x samples, not yet checked; gene ids may repeat."""
    facts: Mapping[str, str | float]
    """How the file was read, for ``uns``."""
    symbols: pd.Series | None = None
    """Gene symbols, one per row of ``counts``."""
    lengths: pd.DataFrame | None = None
    """Average transcript lengths (bases), with the rows and columns of ``counts``."""


class NamedMatrix(NamedTuple):
    """Numbers of a file, genes x samples, not yet checked."""

    values: pd.DataFrame | sparse.csr_matrix
    genes: list[str]
    samples: list[str]

    def rows(self, which: np.ndarray) -> "NamedMatrix":
        """Return the genes at these positions."""
        values = self.values.iloc[which] if isinstance(self.values, pd.DataFrame) else self.values[which]
        return NamedMatrix(values, [self.genes[k] for k in which], self.samples)

    def table(self) -> pd.DataFrame:
        """Return the numbers with their names."""
        if isinstance(self.values, pd.DataFrame):
            return self.values
        return pd.DataFrame(self.values.toarray(), index=self.genes, columns=self.samples)


class GeneCounts(NamedTuple):
    """Counts that passed all checks."""

    counts: Matrix
    """Genes x samples, whole numbers; sparse if the numbers were."""
    names: list[str]
    """Gene ids, unique."""
    rows: np.ndarray
    """First row of the numbers of each gene."""


def check_genes(
    numbers: NamedMatrix, *, duplicate_genes: Duplicates, missing: Missing, round_counts: bool, source: str
) -> GeneCounts:
    """Check the numbers, leave out rows that are no genes, and sum rows of the same gene."""
    kept = np.flatnonzero(~find_summaries(numbers.genes, source))
    summaries = np.zeros(len(numbers.samples))
    if len(kept) < len(numbers.genes):
        others = numbers.rows(np.setdiff1d(np.arange(len(numbers.genes)), kept)).table()
        summaries = others.apply(pd.to_numeric, errors="coerce").sum().to_numpy(float)
        numbers = numbers.rows(kept)
    if not numbers.genes:
        raise ValueError(
            f"{source} has no genes: every row counts reads without a gene. Give the table of counts itself."
        )
    counts = None if isinstance(numbers.values, pd.DataFrame) else sparse_counts(numbers.values)
    if counts is None:
        counts = to_counts(numbers.table(), missing=missing, round_counts=round_counts, source=source)
    genes = find_genes(counts, numbers.genes, summaries, source)
    counts, kept, names = counts[genes], kept[genes], [numbers.genes[k] for k in np.flatnonzero(genes)]
    refuse_sum_of_samples(counts, numbers.samples, source)
    check_ids(names, duplicate_genes, source)
    codes, unique = pd.factorize(np.array(names, dtype=object))
    if len(unique) < len(names):
        first = np.unique(codes, return_index=True)[1]
        membership = sparse.csr_matrix(
            (np.ones(len(codes), np.int64), (codes, np.arange(len(codes)))), shape=(len(unique), len(codes))
        )
        counts, kept = membership @ counts, kept[first]
    return GeneCounts(narrow(counts, source), list(map(str, unique)), kept)


def plain_label(label: str) -> str:
    """Return a label in lower case, with words joined by underscores."""
    return re.sub(r"[\W_]+", "_", label.strip()).strip("_").lower()


def id_column(labels: Sequence[str], gene_column: str | None, source: str) -> int:
    """Return the position of the column with gene ids: the given one, one with a usual name, or the first."""
    if gene_column is not None:
        if gene_column not in labels:
            raise KeyError(f"gene_column={gene_column!r} is not a column of {source}; it has {list(labels[:10])}.")
        return labels.index(gene_column)
    return next((k for k, label in enumerate(labels) if plain_label(label) in ID_COLUMNS), 0)


def symbol_column(labels: Sequence[str], ids: int) -> int | None:
    """Return the position of the column with gene symbols, or None."""
    return next((k for k, label in enumerate(labels) if k != ids and plain_label(label) in SYMBOL_COLUMNS), None)


def find_summaries(names: Sequence[str], source: str) -> np.ndarray:
    """Whether each row counts reads without a gene, boolean; a warning lists these rows."""
    found = [name for name in names if SUMMARY.fullmatch(name)]
    if found:
        warn_user(f"{source}: {len(found)} rows count reads without a gene and were left out: {found[:5]}.")
    return np.isin(np.array(names, dtype=object), found)


def check_ids(ids: list[str], duplicate_genes: Duplicates, source: str) -> None:
    """Raise if gene ids are missing or repeat; warn about ids that a spreadsheet has changed."""
    if duplicate_genes not in ("error", "sum"):
        raise ValueError(f"duplicate_genes={duplicate_genes!r} is unknown; choose 'error' or 'sum'.")
    if "" in ids:
        raise ValueError(
            f"{source}: {ids.count('')} genes have no id. Name the column with gene ids as gene_column, or fill them in."
        )
    for pattern, kind, examples in (
        (EXCEL_DATE, "dates", "MARCHF1, SEPTIN2 and the like"),
        (EXCEL_NUMBER, "numbers", "2310009E13RIK and the like"),
    ):
        found = [name for name in ids if pattern.fullmatch(name)]
        if found:
            warn_user(
                f"{source}: {len(found)} gene names look like {kind} made by a spreadsheet: {found[:5]} ({examples}). Go back to "
                "the file as the counting tool wrote it, or use gene ids."
            )
    index = pd.Index(ids)
    if duplicate_genes == "error" and not index.is_unique:
        repeated = list(dict.fromkeys(index[index.duplicated()]))
        raise ValueError(
            f"{source}: gene ids must be unique; {len(repeated)} occur more than once: {repeated[:5]}. If these rows are parts "
            "of one gene, add them up with duplicate_genes='sum'; if not, name a column of unique ids (Ensembl ids, say) "
            "as gene_column."
        )


def find_genes(counts: Matrix, names: Sequence[str], summaries: np.ndarray, source: str) -> np.ndarray:
    """Whether each row is a gene, boolean; a warning lists rows that are, or are named as, the sum of the others.

    ``summaries`` is the sum of the rows that count reads without a gene, which a total may include, shape ``(n_samples,)``.
    """
    named_total = np.array([TOTAL.fullmatch(name.strip(" :")) is not None for name in names], dtype=bool)
    if named_total.all():
        return np.ones(len(names), dtype=bool)
    rows = np.asarray(counts.sum(axis=1, dtype=float)).ravel()
    total = np.asarray(counts[~named_total].sum(axis=0, dtype=float)).ravel()
    is_sum = np.zeros(len(names), dtype=bool)
    if np.count_nonzero(rows) > MANY_OTHERS:
        for whole in (total, total + summaries):
            near = ~named_total & (rows > 0) & np.isclose(2 * rows, whole.sum(), rtol=1e-9, atol=0.5)
            for k in np.flatnonzero(near).tolist():
                is_sum[k] |= np.allclose(2 * _row(counts, k), whole, rtol=1e-13, atol=0)
    totals = [names[k] for k in np.flatnonzero(named_total | is_sum).tolist()]
    if totals:
        why = "is the sum of the other rows" if is_sum.any() and not named_total.any() else "is called a total"
        warn_user(
            f"{source}: {len(totals)} row {why} and was left out, since it is no gene: {totals[:5]}."
            if len(totals) == 1
            else f"{source}: {len(totals)} rows hold sums of the others and were left out, since they are no genes: {totals[:5]}."
        )
    return ~(named_total | is_sum)


def refuse_sum_of_samples(counts: Matrix, samples: Sequence[str], source: str) -> None:
    """Raise if a sample, among four or more, is the sum of all others."""
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
                f"{source}: sample {samples[k]!r} is the sum of all other samples, gene by gene: it is a column of totals, no sample. "
                "Take its row out of the sample sheet."
            )


def _row(counts: Matrix, position: int) -> np.ndarray:
    row = counts[[position]]
    return np.asarray(row if isinstance(row, np.ndarray) else row.toarray(), dtype=float).ravel()
