"""Gene sets on the command line: scored, written, shown."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bulkvi.cli._results import p_text

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Organism = Literal["human", "mouse"]
FILE: Final = "enrichment.csv"
ENRICHMENT: Final = {FILE: "a row for each gene set: score, interval, p-values, genes; drawn in figures/enrichment"}
METHOD: Final = "ulm"
N_SHOWN: Final = 8
MIN_SIZE: Final = 10
MAX_SIZE: Final = 500


def check_gene_sets(gene_sets: str, organism: Organism, adata: "AnnData") -> None:
    """Find out whether they can be read and scored on these genes, before anything takes long.

    Raises
    ------
    ImportError
        If decoupler is not installed.
    OSError
        If there is no such file, or sets by name are neither at hand nor can they be downloaded.
    ValueError
        If the file holds no sets, the name is not known, or none of the genes is counted.
    """
    from bulkvi import tl
    from bulkvi.enrichment_names import N_FOUND

    if find_spec("decoupler") is None:
        raise ImportError("--gene-sets needs decoupler: pip install 'bulkvi[enrichment]'")
    try:
        found = tl.check_gene_sets(adata.var, gene_sets, organism=organism)[N_FOUND]
    except ValueError as error:
        whose = "" if Path(gene_sets).exists() else f"{gene_sets} are sets of {organism} genes, by symbol. "
        remedy = (
            f"{whose}For another organism, or other ids, give a GMT file that calls the genes as COUNTS does; for symbols, add a "
            "column symbol or gene_name to COUNTS."
        )
        raise ValueError(f"--gene-sets {gene_sets}: {error} {remedy}") from error
    small, large = int((found < MIN_SIZE).sum()), int((found > MAX_SIZE).sum())
    if small + large == len(found):
        raise ValueError(
            f"None of the {len(found):,} gene sets of {gene_sets} has {MIN_SIZE} to {MAX_SIZE} genes in COUNTS: {small:,} have "
            f"fewer, {large:,} more. Scores of so few genes, or of so many, would mean little."
        )


def score_terms(table: "pd.DataFrame", gene_sets: str, organism: Organism, out: Path) -> "pd.DataFrame":
    """Score the gene sets, and write them into the folder of the results."""
    from bulkvi import tl

    terms = tl.enrichment(table, gene_sets, METHOD, organism=organism, min_size=MIN_SIZE, max_size=MAX_SIZE)
    terms.to_csv(out / FILE, index=False)
    return terms


def show_terms(terms: "pd.DataFrame", level: float) -> None:
    """Say on standard output how many sets are called, and which are the most significant."""
    from rich.console import Console
    from rich.table import Table

    from bulkvi.enrichment_names import (
        BACKGROUND,
        DIRECTION,
        GENES,
        N_BACKGROUND,
        N_SETS_TOO_LARGE,
        N_SETS_TOO_SMALL,
        SCORE,
        SCORE_HIGH,
        SCORE_LOW,
        TERM,
    )
    from bulkvi.names import ADJ_P_VALUE

    shown = Table()
    shown.add_column(TERM, max_width=40)
    shown.add_column(DIRECTION)
    for column in (SCORE, "95 % interval", ADJ_P_VALUE):
        shown.add_column(column, justify="right", no_wrap=True)
    for _, term in terms.drop_duplicates([SCORE, GENES]).head(N_SHOWN).iterrows():
        interval = f"{term[SCORE_LOW]:+.1f} to {term[SCORE_HIGH]:+.1f}"
        shown.add_row(term[TERM], term[DIRECTION], f"{term[SCORE]:+.1f}", interval, p_text(term[ADJ_P_VALUE]))
    n_called = int((terms[ADJ_P_VALUE] < level).sum())
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    left_out = terms.attrs[N_SETS_TOO_SMALL] + terms.attrs[N_SETS_TOO_LARGE]
    aside = f" {left_out:,} of fewer than {MIN_SIZE} or more than {MAX_SIZE} genes were left out." if left_out else ""
    console.print(
        f"\n{n_called:,} of {len(terms):,} gene sets go up or down, compared with all {terms.attrs[N_BACKGROUND]:,} "
        f"{terms.attrs[BACKGROUND]} genes.{aside} The most significant:"
    )
    console.print(shown)
