"""Rows of a table of counts: gene ids, symbols, and the lines that are no genes."""

import re
import warnings
from collections.abc import Sequence
from typing import Final, Literal

import pandas as pd

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
"""What may stand above gene ids in the first column."""
ANNOTATION: Final = SYMBOL_COLUMNS | frozenset(
    "chr chrom chromosome seqname start end strand length gene_length genelength width effective_length biotype gene_biotype "
    "gene_type description entrez entrezid entrez_id entrezgene".split()
)
EXCEL_DATE: Final = re.compile(
    r"(\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(Mar|Sep|Dec)-\d{1,2}|\d{4}-\d\d-\d\d( 00:00:00)?)",
    re.IGNORECASE,
)
EXCEL_NUMBER: Final = re.compile(r"\d(\.\d+)?E\+\d+")
"""What a spreadsheet makes of an id such as 2310009E13RIK without its last letters."""


def plain(label: str) -> str:
    """A column name in small letters, words joined by underscores."""
    return re.sub(r"[\W_]+", "_", label.strip()).strip("_").lower()


def id_column(labels: Sequence[str], gene_column: str | None, source: str) -> int:
    """Position of the column with gene ids: the one given, one with a usual name, or the first.

    Raises
    ------
    KeyError
        If there is no column ``gene_column``.
    """
    if gene_column is not None:
        if gene_column not in labels:
            raise KeyError(f"gene_column={gene_column!r} is not a column of {source}; it has {list(labels[:10])}.")
        return labels.index(gene_column)
    return next((k for k, label in enumerate(labels) if plain(label) in ID_COLUMNS), 0)


def symbol_column(labels: Sequence[str], ids: int) -> int | None:
    """Position of the column with gene symbols, or None."""
    return next((k for k, label in enumerate(labels) if k != ids and plain(label) in SYMBOL_COLUMNS), None)


def drop_summaries(ids: pd.Series, source: str) -> pd.Series:
    """Which rows are genes; a warning names those that summarise reads without a gene.

    Parameters
    ----------
    ids
        Names of the rows.
    source
        What to call the table in messages.
    """
    summary = ids.map(lambda name: SUMMARY.fullmatch(name) is not None).to_numpy(bool)
    if summary.any():
        warnings.warn(
            f"{source}: {summary.sum()} rows count reads without a gene and were left out: {list(ids[summary][:5])}.",
            UserWarning,
            stacklevel=2,
        )
    return ~pd.Series(summary, index=ids.index)


def check_ids(ids: list[str], duplicate_genes: Duplicates, source: str) -> None:
    """Raise where gene ids are missing or repeat; warn about names that a spreadsheet has changed.

    Raises
    ------
    ValueError
        If an id is empty, or occurs more than once and is not to be summed.
    """
    if duplicate_genes not in ("error", "sum"):
        raise ValueError(f"duplicate_genes={duplicate_genes!r} is unknown; choose 'error' or 'sum'.")
    if "" in ids:
        raise ValueError(
            f"{source}: {ids.count('')} genes have no id. Name the column with gene ids as gene_column, or fill them in."
        )
    changed = {
        "dates that a spreadsheet made of them": (EXCEL_DATE, "MARCHF1, SEPTIN2 and the like"),
        "numbers that a spreadsheet made of them": (EXCEL_NUMBER, "2310009E13RIK and the like"),
    }
    for what, (pattern, such_as) in changed.items():
        found = [name for name in ids if pattern.fullmatch(name)]
        if found:
            warnings.warn(
                f"{source}: {len(found)} gene names look like {what}: {found[:5]} ({such_as}). Go back to the file as the counting "
                "tool wrote it, or use gene ids.",
                UserWarning,
                stacklevel=2,
            )
    seen = pd.Index(ids)
    if duplicate_genes == "error" and not seen.is_unique:
        repeated = list(dict.fromkeys(seen[seen.duplicated()]))
        raise ValueError(
            f"{source}: gene ids must be unique; {len(repeated)} occur more than once: {repeated[:5]}. If these rows are parts "
            "of one gene, add them up with duplicate_genes='sum'; if not, name a column of unique ids (Ensembl ids, say) "
            "as gene_column."
        )
