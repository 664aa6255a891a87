"""``bulkvi demo``: the packaged airway data from counts to fold changes.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bulkvi.cli._figures import draw_figures
from bulkvi.cli._folder import RESULTS, clear_folder, open_folder
from bulkvi.cli._progress import Say, reporter
from bulkvi.cli._results import FILES, show_files, show_results, write_table
from bulkvi.cli._terms import ENRICHMENT, score_terms, show_terms

if TYPE_CHECKING:
    import pandas as pd

GROUPBY: Final = "dex"
GROUPS: Final = ("trt", "untrt")
FDR: Final = 0.05
SIGN: Final = "log2, treated (trt) over untreated (untrt): +1 is twice as much with dexamethasone, -1 half as much."


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model's start and training.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Analyse eight airway samples, from raw counts to differential expression.

    Four donors, each with and without dexamethasone. The data come with bulkvi; no network is needed. Leaves a table
    de.csv, figures/, report.html, adata.h5ad and the trained model/ in the folder; with the extra "enrichment" installed also
    enrichment.csv, the GO terms whose genes go up or down together.
    """
    open_folder(out, RESULTS, force=force, what="the demo's files")
    clear_folder(out, RESULTS)
    (out / "figures").mkdir(exist_ok=True)  # fails now rather than after the work

    say = reporter()
    say("Loading PyTorch and scvi-tools, a few seconds")
    from bulkvi import BulkVI, datasets, pp, report
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
    table = write_table(de, adata, out / "de.csv")
    terms = _go_terms(table, out, say)
    draw_figures(model, adata, table, out / "figures", terms=terms, groupby=GROUPBY, level=FDR)
    adata.write_h5ad(out / "adata.h5ad")
    model.save(str(out / "model"), overwrite=True)
    report(
        model,
        table,
        out / "report.html",
        enrichment=terms,
        command=f"bulkvi demo --out {shlex.quote(str(out))} --seed {seed}",
    )
    say("Done")
    show_results(table, level=FDR, sign=SIGN)
    if terms is not None:
        show_terms(terms, FDR)
    show_files(table, out, FILES if terms is None else FILES | ENRICHMENT)


def _go_terms(table: "pd.DataFrame", out: Path, say: Say) -> "pd.DataFrame | None":
    """Scores of the packaged GO terms; None without the extra."""
    if find_spec("decoupler") is None:
        say("GO terms left out: they need decoupler, pip install 'bulkvi[enrichment]'")
        return None
    say("Scoring GO terms")
    return score_terms(table, "go_bp", "human", out)
