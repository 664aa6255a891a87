"""``bulkvi demo``: the packaged airway data from counts to fold changes and pathways.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from rich.table import Table

    from bulkvi import BulkVI

GROUPBY: Final = "dex"
GROUPS: Final = ("trt", "untrt")
FDR: Final = 0.05
N_SHOWN: Final = 10
N_TERMS: Final = 8
N_TERMS_DRAWN: Final = 12


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model's start and training.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Analyse eight airway samples, from raw counts to differential expression.

    Four donors, each with and without dexamethasone. The data come with bulkvi; no network is needed. Leaves a table
    de.csv, figures/, adata.h5ad and the trained model/ in the folder; with the extra "enrichment" installed also
    enrichment.csv, the GO terms whose genes go up or down together.
    """
    if out.is_dir() and any(out.iterdir()) and not force:
        raise typer.BadParameter(
            f"{out} is not empty. Name another folder, or add --force to overwrite the demo's files in it (others stay).",
            param_hint="--out",
        )
    (out / "figures").mkdir(parents=True, exist_ok=True)  # fails now rather than after the work

    say = _reporter()
    say("Loading PyTorch and scvi-tools, a few seconds")
    from bulkvi import BulkVI, datasets, pp
    from bulkvi.names import LATENT, SIZE_FACTOR

    adata = datasets.airway()
    say(f"Counts: {adata.n_obs} samples x {adata.n_vars:,} genes")
    pp.filter_genes(adata, min_counts=10)
    pp.size_factors(adata)
    factors = adata.obs[SIZE_FACTOR]
    say(f"{adata.n_vars:,} genes with at least 10 counts; size factors {factors.min():.2f} to {factors.max():.2f}")
    BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, design="~ cell + dex")
    model = BulkVI(adata, n_latent=2, seed=seed)
    say("Training on ~ cell + dex, some seconds")
    model.train(seed=seed, progress_bar=False)
    adata.obsm[LATENT] = model.get_latent_representation()
    say("Comparing trt with untrt; the first time, code is compiled for this machine")
    de = model.differential_expression(GROUPBY, *GROUPS)

    say(f"Writing to {out}")
    table = _write_table(de, adata, out / "de.csv")
    terms = _enrich(table, say)
    _draw_figures(model, adata, table, terms, out / "figures")
    if terms is not None:
        terms.to_csv(out / "enrichment.csv", index=False)
    adata.write_h5ad(out / "adata.h5ad")
    model.save(str(out / "model"), overwrite=True)
    say("Done")
    _summarise(table, terms, out)


def _reporter() -> Callable[[str], None]:
    """A function that prints a line with the seconds since now, to standard error."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    start = time.perf_counter()
    return lambda text: console.print(f"[dim]{time.perf_counter() - start:5.1f} s[/dim]  {text}", soft_wrap=True)


def _write_table(de: "pd.DataFrame", adata: "AnnData", path: Path) -> "pd.DataFrame":
    from bulkvi.names import GENE_ID, SYMBOL

    table = de.copy()
    table.insert(0, SYMBOL, adata.var[SYMBOL].astype(str))
    table.to_csv(path, index_label=GENE_ID)
    return table


def _enrich(table: "pd.DataFrame", say: Callable[[str], None]) -> "pd.DataFrame | None":
    """GO terms of the packaged file; None without the extra."""
    if find_spec("decoupler") is None:
        say("GO terms left out: they need decoupler, pip install 'bulkvi[enrichment]'")
        return None
    from bulkvi import tl

    say("Scoring GO terms")
    return tl.enrichment(table, "go_bp", "ulm")


def _draw_figures(
    model: "BulkVI", adata: "AnnData", table: "pd.DataFrame", terms: "pd.DataFrame | None", folder: Path
) -> None:
    from matplotlib.figure import Figure

    from bulkvi import pl
    from bulkvi.names import P_VALUE

    surest = str(table[P_VALUE].idxmin())
    rates = model.get_group_rates([surest], GROUPBY)
    plots: dict[str, tuple[float, Callable[[Axes], Axes]]] = {
        "volcano": (3.3, lambda ax: pl.volcano(table, level=FDR, ax=ax)),
        "ma": (3.0, lambda ax: pl.ma(table, level=FDR, ax=ax)),
        "p_values": (2.6, lambda ax: pl.p_values(table, ax=ax)),
        "dispersion": (2.8, lambda ax: pl.dispersion(model.get_dispersions(), ax=ax)),
        "shrinkage": (3.1, lambda ax: pl.shrinkage(table, level=FDR, ax=ax)),
        "gene": (2.6, lambda ax: pl.gene(adata, surest, GROUPBY, rates=rates, ax=ax)),
        "latent": (3.0, lambda ax: pl.latent(adata, color=GROUPBY, ax=ax)),
        "size_factors": (3.0, lambda ax: pl.size_factors(adata, color=GROUPBY, ax=ax)),
        "training": (2.4, lambda ax: pl.training(model.history, ax=ax)),
    }
    if terms is not None:
        plots["enrichment"] = (4.5, lambda ax: pl.enrichment(terms, n_terms=N_TERMS_DRAWN, level=FDR, ax=ax))
    for name, (height, draw) in plots.items():
        figure = Figure(figsize=(3.3, height), layout="constrained")  # no pyplot: needs no display
        draw(figure.subplots())
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=300)


def _summarise(table: "pd.DataFrame", terms: "pd.DataFrame | None", out: Path) -> None:
    """Say on standard output what was found and what lies where."""
    from rich.console import Console
    from rich.table import Table

    from bulkvi.names import ADJ_P_VALUE, FLAG, LOG_FC, LOG_FC_HIGH, LOG_FC_LOW, P_VALUE, SYMBOL

    called = table[table[ADJ_P_VALUE] < FDR]
    shown = Table()
    shown.add_column(SYMBOL)
    for column in (LOG_FC, "95 % interval", ADJ_P_VALUE):
        shown.add_column(column, justify="right")
    shown.add_column(FLAG)
    for _, gene in called.sort_values(P_VALUE).head(N_SHOWN).iterrows():
        interval = f"{gene[LOG_FC_LOW]:+.2f} to {gene[LOG_FC_HIGH]:+.2f}"
        shown.add_row(gene[SYMBOL], f"{gene[LOG_FC]:+.2f}", interval, f"{gene[ADJ_P_VALUE]:.0e}", gene[FLAG])
    files = {
        "de.csv": f"a row for each of {len(table):,} genes: fold change, interval, p-values and more",
        "figures/": "volcano, ma, p_values, dispersion, shrinkage, gene (the surest one), latent (what",
        "": "the design leaves unexplained), size_factors and training, as PNG and PDF",
        "enrichment.csv": "a row for each GO term: score, interval, p-values, genes; drawn in figures/enrichment",
        "adata.h5ad": "counts with size factors and latent state",
        "model/": "the trained model, for bulkvi.BulkVI.load",
    }
    if terms is None:
        del files["enrichment.csv"]
    up = int((called[LOG_FC] > 0).sum())
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\n{len(called):,} of {len(table):,} genes change ({ADJ_P_VALUE} < {FDR}): {up:,} up, {len(called) - up:,} down. "
        "The surest:"
    )
    console.print(shown)
    console.print(
        "log2, treated (trt) over untreated (untrt): +1 is twice as much with dexamethasone, -1 half as much."
    )
    if terms is not None:
        console.print(
            f"\n{int((terms[ADJ_P_VALUE] < FDR).sum()):,} of {len(terms):,} GO terms go up or down. The surest:"
        )
        console.print(_surest_terms(terms))
    console.print(f"\nIn {out}:")
    for name, what in files.items():
        console.print(f"  {name:<16}{what}")


def _surest_terms(terms: "pd.DataFrame") -> "Table":
    from rich.table import Table

    from bulkvi.enrichment_names import DIRECTION, GENES, SCORE, SCORE_HIGH, SCORE_LOW, TERM
    from bulkvi.names import ADJ_P_VALUE

    shown = Table()
    shown.add_column("GO term", max_width=40)
    shown.add_column(DIRECTION)
    for column in (SCORE, "95 % interval", ADJ_P_VALUE):
        shown.add_column(column, justify="right", no_wrap=True)
    for _, term in terms.drop_duplicates([SCORE, GENES]).head(N_TERMS).iterrows():
        interval = f"{term[SCORE_LOW]:+.1f} to {term[SCORE_HIGH]:+.1f}"
        shown.add_row(term[TERM], term[DIRECTION], f"{term[SCORE]:+.1f}", interval, f"{term[ADJ_P_VALUE]:.0e}")
    return shown
