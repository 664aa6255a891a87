"""``bulkvi demo``: the packaged airway data from counts to fold changes.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

    from bulkvi import BulkVI

GROUPBY: Final = "dex"
GROUPS: Final = ("trt", "untrt")
N_SHOWN: Final = 10
MIN_BASE_MEAN: Final = 10
"""Least mean count of a gene in the closing summary: among a few reads any ratio can be large."""


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model's start and training.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Analyse eight airway samples, from raw counts to fold changes.

    Four donors, each with and without dexamethasone. The data come with bulkvi; no network is needed. Leaves a table
    de.csv, figures/, adata.h5ad and the trained model/ in the folder.
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
    de = model.differential_expression(GROUPBY, *GROUPS)

    say(f"Writing to {out}")
    table = _write_table(de, adata, out / "de.csv")
    _draw_figures(model, adata, de, out / "figures")
    adata.write_h5ad(out / "adata.h5ad")
    model.save(str(out / "model"), overwrite=True)
    say("Done")
    _summarise(table, out)


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


def _draw_figures(model: "BulkVI", adata: "AnnData", de: "pd.DataFrame", folder: Path) -> None:
    from matplotlib.figure import Figure

    from bulkvi import pl
    from bulkvi.names import LOG_FC_DECODED

    decoded = de[LOG_FC_DECODED].rename("decoded by the model")
    plots: dict[str, tuple[float, Callable[[Axes], Axes]]] = {
        "latent": (3.0, lambda ax: pl.latent(adata, color=GROUPBY, ax=ax)),
        "log_fc_scatter": (3.3, lambda ax: pl.log_fc_scatter(_ratio_of_means(adata), decoded, ax=ax)),
        "size_factors": (3.0, lambda ax: pl.size_factors(adata, color=GROUPBY, ax=ax)),
        "training": (2.4, lambda ax: pl.training(model.history, ax=ax)),
    }
    for name, (height, draw) in plots.items():
        figure = Figure(figsize=(3.3, height), layout="constrained")  # no pyplot: needs no display
        draw(figure.subplots())
        for suffix in ("png", "pdf"):
            figure.savefig(folder / f"{name}.{suffix}", dpi=300)


def _ratio_of_means(adata: "AnnData") -> "pd.Series":
    """Log2 ratio of the mean normalised counts of the two groups; infinite or NaN where one has no counts."""
    import numpy as np
    import pandas as pd

    from bulkvi.names import SIZE_FACTOR

    normalised = adata.X / adata.obs[[SIZE_FACTOR]].to_numpy()
    means = [normalised[(adata.obs[GROUPBY] == group).to_numpy()].mean(0) for group in GROUPS]
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.Series(np.log2(means[0]) - np.log2(means[1]), index=adata.var_names, name="ratio of mean counts")


def _summarise(table: "pd.DataFrame", out: Path) -> None:
    """Say on standard output what was found and what lies where."""
    from rich.console import Console
    from rich.table import Table

    from bulkvi.names import BASE_MEAN, LOG_FC_DECODED, SYMBOL

    expressed = table[table[BASE_MEAN] > MIN_BASE_MEAN]
    largest = expressed.loc[expressed[LOG_FC_DECODED].abs().nlargest(N_SHOWN).index]
    shown = Table()
    shown.add_column(SYMBOL)
    for column in (LOG_FC_DECODED, BASE_MEAN):
        shown.add_column(column, justify="right")
    for gene in largest.itertuples():
        shown.add_row(
            getattr(gene, SYMBOL), f"{getattr(gene, LOG_FC_DECODED):+.2f}", f"{getattr(gene, BASE_MEAN):,.0f}"
        )
    files = {
        "de.csv": f"the fold changes of all {len(table):,} genes",
        "figures/": "latent state (what the design leaves unexplained), fold changes, size factors, training",
        "adata.h5ad": "counts with size factors and latent state",
        "model/": "the trained model, for bulkvi.BulkVI.load",
    }
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\nLargest changes among {len(expressed):,} genes with {BASE_MEAN} > {MIN_BASE_MEAN}")
    console.print(shown)
    console.print(
        "log2, treated (trt) over untreated (untrt): +1 is twice as much with dexamethasone, -1 half as much."
    )
    console.print("Estimates without uncertainty: no p-values yet.")
    console.print(f"\nIn {out}:")
    for name, what in files.items():
        console.print(f"  {name:<12}{what}")
