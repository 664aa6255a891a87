"""Tables of a comparison: the file, and what is shown of it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bulkvi.cli._progress import in_flags

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

N_SHOWN: Final = 10
SMALLEST_P: Final = 1e-300
"""Smaller p-values have lost digits to floating point."""
LEFT: Final = 16
"""Width of the names of files, where they are listed."""
FILES: Final = {
    "de.csv": "a row for each of {n_genes:,} genes: fold change, interval, p-values and more",
    "figures/": "volcano, ma, p_values, dispersion, shrinkage, gene (the surest one), latent (what\n"
    "the design leaves unexplained), size_factors and training, as PNG and PDF",
    "report.html": "all of it on one page: open it in a browser",
    "adata.h5ad": "counts with size factors and latent state",
    "model/": "the trained model, for bulkvi.BulkVI.load",
}


def write_table(de: "pd.DataFrame", adata: "AnnData", path: Path) -> "pd.DataFrame":
    """Write the table with the symbols of ``adata``, where it has them, in front; and return it."""
    from bulkvi.names import GENE_ID, SYMBOL

    table = de.copy()
    if SYMBOL in adata.var:
        table.insert(0, SYMBOL, adata.var[SYMBOL].astype(str))
    table.to_csv(path, index_label=GENE_ID)
    return table


def show_results(
    table: "pd.DataFrame", *, level: float, sign: str, n_shown: int = N_SHOWN, any_unit: bool = False
) -> None:
    """Say on standard output what was found.

    Parameters
    ----------
    table
        Of differential expression.
    level
        Genes are called where the adjusted p-value is below it.
    sign
        What +1 means.
    n_shown
        Number of genes to list.
    any_unit
        Whether effects are per unit of something, and so of any size.
    """
    from rich.console import Console
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
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
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
    """A p-value with one digit; one that underflows as a bound."""
    return f"{p_value:.0e}" if p_value >= SMALLEST_P else f"<{SMALLEST_P:.0e}"


def _decimals(effects: "pd.Series") -> int:
    """Decimals that leave two digits of half of the effects, at least 2."""
    middle = float(effects.abs().median())
    return min(12, max(2, 1 - math.floor(math.log10(middle)))) if middle > 0 else 2


def show_notes(notes: Sequence[str]) -> None:
    """Say again on standard output what was noted on the way: it is long gone when the table is read."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    for note in notes:
        console.print(f"\nNote: {in_flags(note)}")


def show_files(table: "pd.DataFrame", out: Path, files: dict[str, str]) -> None:
    """Say on standard output what lies in the folder of results, and what each is."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    width = max(LEFT, *(len(name) + 2 for name in files))
    console.print(f"\nIn {out}:")
    for name, what in files.items():
        text = what.format(n_genes=len(table)).replace("\n", "\n" + " " * (width + 2))
        console.print(f"  {name:<{width}}{text}")
