"""``bulkvi demo``: the packaged airway data from counts to fold changes.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bulkvi.cli._folder import REPORT_FILE, RESULTS, RUN_FILE, new_result
from bulkvi.cli._progress import FAILURE, Say, exits, paused_collector, reporter, warnings_as_notes
from bulkvi.cli._results import ENRICHMENT, FILES, score_terms, show_files, show_results, show_terms, write_table
from bulkvi.cli._run_file import describe_result, describe_run

if TYPE_CHECKING:
    import pandas as pd

GROUPBY: Final = "dex"
GROUPS: Final = ("trt", "untrt")
DESIGN: Final = "~ cell + dex"
FDR: Final = 0.05
MIN_COUNTS: Final = 10
SIZE_FACTORS: Final = "median_of_ratios"
GENE_SETS: Final = "go_bp"
SIGN: Final = "log2, treated (trt) over untreated (untrt): +1 is twice as much with dexamethasone, -1 half as much."


def demo(
    ctx: typer.Context,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model's start and training.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Analyse eight airway samples, from raw counts to differential expression.

    Four donors, each with and without dexamethasone. The data are part of bulkvi; no network is needed. Writes a table
    de.csv, figures/, report.html, adata.h5ad, the trained model/ and run.json in the folder; with the extra "enrichment" installed
    also enrichment.csv, the GO terms whose genes go up or down together.
    """
    result = ctx.with_resource(new_result(ctx, out, RESULTS, force=force, what="the demo's files"))
    (result.new / "figures").mkdir()

    say = reporter()
    with warnings_as_notes(say) as notes, exits(FAILURE, ctx):
        say("Loading PyTorch and scvi-tools, a few seconds")
        with paused_collector():
            from bulkvi import BulkVI, datasets, pp, report
            from bulkvi.names import LATENT, SIZE_FACTOR

        adata = datasets.airway()
        n_read = adata.n_vars
        say(f"Counts: {adata.n_obs} samples x {n_read:,} genes")
        pp.filter_genes(adata, min_counts=MIN_COUNTS)
        pp.size_factors(adata, method=SIZE_FACTORS)
        factors = adata.obs[SIZE_FACTOR]
        say(
            f"{adata.n_vars:,} genes with at least {MIN_COUNTS} counts; size factors {factors.min():.2f} to {factors.max():.2f}"
        )
        BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, design=DESIGN)
        model = BulkVI(adata, n_latent=2, seed=seed)
        say(f"Training on {DESIGN}, some seconds")
        model.train(seed=seed, progress_bar=False)
        adata.obsm[LATENT] = model.get_latent_representation()
        say("Comparing trt with untrt; the first time, code is compiled for this machine")
        de = model.differential_expression(GROUPBY, *GROUPS)

        say(f"Writing to {out}")
        table = write_table(de, adata, result.new / "de.csv")
        terms = _go_terms(table, result.new, say)
        adata.write_h5ad(result.new / "adata.h5ad")
        model.save(result.new / "model")
        run = (
            describe_run(ctx)
            | describe_result(adata, table, (GROUPBY, *GROUPS), FDR, terms)
            | {
                "design": DESIGN,
                "size_factors": {"chosen": SIZE_FACTORS, "min": factors.min(), "max": factors.max()},
                "n_genes_read": n_read,
                "min_counts": MIN_COUNTS,
                "gene_sets": None if terms is None else GENE_SETS,
                "seed": seed,
                "warnings": notes,
            }
        )
        report(
            model,
            table,
            result.new / REPORT_FILE,
            enrichment=terms,
            warnings=notes,
            command=run["command"],
            run=run,
            figures=result.new / "figures",
        )
        files = FILES if terms is None else FILES | ENRICHMENT
        result.move_in(run)
        say("Done")
    show_results(table, level=FDR, sign=SIGN)
    if terms is not None:
        show_terms(terms, FDR)
    show_files(table, out, files | {RUN_FILE: "question and findings, the versions and the command"})


def _go_terms(table: "pd.DataFrame", out: Path, say: Say) -> "pd.DataFrame | None":
    """Score the packaged GO terms; None without the extra."""
    if find_spec("decoupler") is None:
        say("GO terms left out: they need decoupler, pip install 'bulkvi[enrichment]'")
        return None
    say("Scoring GO terms")
    return score_terms(table, GENE_SETS, "human", out)
