"""Tables of a comparison and of gene sets: their files, and what the terminal shows of them."""

import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from bulkvi.cli._progress import translate_to_flags

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from rich.console import Console

N_SHOWN: Final = 10
SMALLEST_P: Final = 1e-300
"""Smaller p-values have lost digits to floating point."""
LEFT: Final = 16
"""Width of the names in the list of files."""
FILES: Final = {
    "de.csv": "one row for each of {n_genes:,} genes: fold change, interval, p-values and more",
    "figures/": "volcano, ma, p_values, dispersion, shrinkage, gene (the most significant one),\n"
    "latent (variation that the design leaves unexplained), size_factors and training, as PNG and PDF",
    "report.html": "all of it on one page: open it in a browser",
    "adata.h5ad": "counts with size factors and latent state",
    "model/": "the trained model, for bulkvi.BulkVI.load",
}
Organism = Literal["human", "mouse"]
ENRICHMENT: Final = {
    "enrichment.csv": "one row for each gene set: score, interval, p-values, genes; drawn in figures/enrichment"
}
METHOD: Final = "ulm"
N_SETS_SHOWN: Final = 8
MIN_SIZE: Final = 10
MAX_SIZE: Final = 500


def write_table(de: "pd.DataFrame", adata: "AnnData", path: Path) -> "pd.DataFrame":
    """Write the table with the symbols of ``adata``, if there are any, as first column; and return it."""
    from bulkvi.names import GENE_ID, SYMBOL

    table = de.copy()
    if SYMBOL in adata.var:
        table.insert(0, SYMBOL, adata.var[SYMBOL].astype(str))
    table.to_csv(path, index_label=GENE_ID)
    return table


def plain_console() -> "Console":
    """Return standard output as a console that prints names of genes as they are."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def show_results(
    table: "pd.DataFrame", *, level: float, sign: str, n_shown: int = N_SHOWN, any_unit: bool = False
) -> None:
    """Print the findings on standard output.

    ``sign`` describes the meaning of +1; with ``any_unit`` effects are per unit of a column, and so of any size.
    """
    from rich.table import Table

    from bulkvi.gene_order import order_by_significance
    from bulkvi.names import ADJ_P_VALUE, DF, FLAG, GENE_ID, LOG_FC, LOG_FC_HIGH, LOG_FC_LOW, STAT, SYMBOL

    called = table[table[ADJ_P_VALUE] < level]
    has_effects = LOG_FC in table
    form = f"+.{_decimals(called[LOG_FC]) if any_unit else 2}f"
    shown = Table()
    shown.add_column(SYMBOL if SYMBOL in table else GENE_ID)
    for column in (*((LOG_FC, "95 % interval") if has_effects else (STAT, DF)), ADJ_P_VALUE):
        shown.add_column(column, justify="right")
    shown.add_column(FLAG)
    for name, gene in called.iloc[order_by_significance(called)[:n_shown]].iterrows():
        numbers = (
            (f"{gene[LOG_FC]:{form}}", f"{gene[LOG_FC_LOW]:{form}} to {gene[LOG_FC_HIGH]:{form}}")
            if has_effects
            else (f"{gene[STAT]:.1f}", f"{gene[DF]:g}")
        )
        shown.add_row(" ".join(str(gene.get(SYMBOL, name)).split()), *numbers, p_text(gene[ADJ_P_VALUE]), gene[FLAG])
    console = plain_console()
    directions = ""
    if has_effects:
        up = int((called[LOG_FC] > 0).sum())
        directions = f": {up:,} up, {len(called) - up:,} down"
    console.print(
        f"\n{len(called):,} of {len(table):,} genes change ({ADJ_P_VALUE} < {level}){directions}."
        + (" The most significant:" if len(called) else "")
    )
    if len(called):
        console.print(shown)
    console.print(sign)


def p_text(p_value: float) -> str:
    """Format a p-value with one digit; one that underflows as a bound."""
    return f"{p_value:.0e}" if p_value >= SMALLEST_P else f"<{SMALLEST_P:.0e}"


def _decimals(effects: "pd.Series") -> int:
    """Return the decimals that leave two digits of half of the effects, at least 2."""
    middle = float(effects.abs().median())
    return min(12, max(2, 1 - math.floor(math.log10(middle)))) if middle > 0 else 2


def show_notes(notes: Sequence[str]) -> None:
    """Repeat the notes of all steps on standard output."""
    console = plain_console()
    for note in notes:
        console.print(f"\nNote: {translate_to_flags(note)}")


def show_files(table: "pd.DataFrame", out: Path, files: dict[str, str]) -> None:
    """List the files of the result on standard output."""
    console = plain_console()
    width = max(LEFT, *(len(name) + 2 for name in files))
    console.print(f"\nIn {out}:")
    for name, description in files.items():
        text = description.format(n_genes=len(table)).replace("\n", "\n" + " " * (width + 2))
        console.print(f"  {name:<{width}}{text}")


def check_gene_sets(gene_sets: str, organism: Organism, adata: "AnnData") -> None:
    """Raise if the gene sets cannot be read or scored on these genes, before anything takes long."""
    from bulkvi import tl
    from bulkvi.enrichment_names import N_FOUND

    if find_spec("decoupler") is None:
        raise ImportError("--gene-sets needs decoupler: pip install 'bulkvi[enrichment]'")
    try:
        found = tl.check_gene_sets(adata.var, gene_sets, organism=organism)[N_FOUND]
    except ValueError as error:
        source = "" if Path(gene_sets).exists() else f"{gene_sets} are sets of {organism} genes, by symbol. "
        remedy = (
            f"{source}For another organism, or other ids, give a GMT file that calls the genes as COUNTS does; for symbols, add a "
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
    """Score the gene sets, and write the table into the folder of the results."""
    from bulkvi import tl

    terms = tl.enrichment(table, gene_sets, METHOD, organism=organism, min_size=MIN_SIZE, max_size=MAX_SIZE)
    terms.to_csv(out / "enrichment.csv", index=False)
    return terms


def show_terms(terms: "pd.DataFrame", level: float) -> None:
    """Print the number of called sets and the most significant ones on standard output."""
    from rich.table import Table

    from bulkvi import enrichment_names as en
    from bulkvi.names import ADJ_P_VALUE

    shown = Table()
    shown.add_column(en.TERM, max_width=40)
    shown.add_column(en.DIRECTION)
    for column in (en.SCORE, "95 % interval", ADJ_P_VALUE):
        shown.add_column(column, justify="right", no_wrap=True)
    for _, term in terms.drop_duplicates([en.SCORE, en.GENES]).head(N_SETS_SHOWN).iterrows():
        interval = f"{term[en.SCORE_LOW]:+.1f} to {term[en.SCORE_HIGH]:+.1f}"
        shown.add_row(term[en.TERM], term[en.DIRECTION], f"{term[en.SCORE]:+.1f}", interval, p_text(term[ADJ_P_VALUE]))
    n_called = int((terms[ADJ_P_VALUE] < level).sum())
    console = plain_console()
    left_out = terms.attrs[en.N_SETS_TOO_SMALL] + terms.attrs[en.N_SETS_TOO_LARGE]
    aside = f" {left_out:,} of fewer than {MIN_SIZE} or more than {MAX_SIZE} genes were left out." if left_out else ""
    console.print(
        f"\n{n_called:,} of {len(terms):,} gene sets go up or down, compared with all {terms.attrs[en.N_BACKGROUND]:,} "
        f"{terms.attrs[en.BACKGROUND]} genes.{aside} The most significant:"
    )
    console.print(shown)
