"""``bulkvi outliers``: aberrant genes of samples, against a reference or against each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkvi.cli import _options as options
from bulkvi.cli import _reading as reading
from bulkvi.cli._folder import OUTLIERS, new_result
from bulkvi.cli._progress import FAILURE, WRONG_INPUT, Say, exits, paused_collector, reporter, warnings_as_notes
from bulkvi.cli._run_file import as_json, describe_run

if TYPE_CHECKING:
    from anndata import AnnData

    from bulkvi.tl import OutlierScores

MOST_SHOWN = 10


def outliers(
    ctx: typer.Context,
    counts: options.Counts,
    samples: options.Samples = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for outliers.csv (a row for each), samples.csv (their number in each sample), p_value.csv.gz and log_fc.csv.gz "
            "(all genes and samples), outliers.json and a figure.",
            file_okay=False,
        ),
    ],
    reference: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Reference to compare the samples with (bulkvi reference build); one sample is enough. Without it the samples are "
            "compared with each other, which takes 5 at least, and 20 to be of use.",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="False discovery rate within a sample at which genes are called.")
    ] = 0.05,
    adjust: Annotated[
        str,
        typer.Option(help="by (Benjamini and Yekutieli: holds however genes depend on each other) or bh (calls more)."),
    ] = "by",
    size_factors: options.SizeFactors = "median_of_ratios",
    min_counts: options.MinCounts = 10,
    seed: options.Seed = 0,
    json: options.Json = False,
    force: options.Force = False,
    sample_column: options.SampleColumn = None,
    match: options.Match = "exact",
    samples_in: options.SamplesIn = None,
    gene_column: options.GeneColumn = None,
    duplicate_genes: options.DuplicateGenes = "error",
    missing: options.Missing = "error",
    round_counts: options.Round = False,
    layer: options.Layer = None,
    strandedness: options.Strandedness = None,
    transcripts: options.Transcripts = None,
    lengths: options.Lengths = None,
    genes: options.Genes = None,
    sheet: options.Sheet = None,
) -> None:
    """Find genes whose count in a sample is far from what is expected of it.

    \b
    Examples:
      bulkvi outliers patient.csv samples.csv --reference lcl.ref --out patient
      bulkvi outliers cohort.csv samples.csv --out cohort

    What is expected of a gene in a sample depends on the sample's other genes: batch, tissue composition and quality of the RNA are
    allowed for as far as they move many genes. Size factors against a reference are the reference's (--size-factors and --min-counts are for
    samples compared with each other).
    """  # noqa: D301  # click wraps what is not below a backspace
    inputs = [counts, samples, reference, transcripts, lengths, genes]
    result = ctx.with_resource(
        new_result(ctx, out, OUTLIERS, force=force, what="what this command writes", inputs=inputs)
    )
    how = reading.HowToRead.from_options(ctx.params)
    say = reporter()
    with warnings_as_notes(say) as notes, exits(WRONG_INPUT):
        say("Reading; libraries take some seconds to load")
        with paused_collector():
            import bulkvi
            from bulkvi.names import COUNTS_SOURCE
        adata = reading.read(counts, samples, how)
        say(f"Counts: {reading.describe(adata)}")
        how_adjusted: Any = adjust
        if reference is None:
            scores = _of_cohort(ctx, adata, size_factors, min_counts, seed, how_adjusted, say)
        else:
            scores = bulkvi.Reference.load(reference).score(adata, adjust=how_adjusted)
        calls, numbers = scores.calls(alpha), scores.per_sample(alpha)
        summary = describe_run(ctx) | {
            "counts": str(counts),
            "reference": None if reference is None else str(reference),
            "compared_with": scores.compared_with,
            "read": dict(adata.uns[COUNTS_SOURCE]),
            "n_samples": len(scores.samples),
            "n_genes": len(scores.genes),
            "alpha": alpha,
            "adjust": adjust,
            "n_outliers": len(calls),
            "per_sample": numbers.reset_index(names="sample").to_dict("records"),
            "warnings": notes,
        }
        with exits(FAILURE, ctx):
            _write(result.new, scores, alpha)
            summary = result.move_in(summary)
        say("Done")
    if json:
        typer.echo(as_json(summary))
        return
    typer.echo(
        f"{len(calls):,} outliers (adjusted p < {alpha:g}) in {int((numbers['n_outliers'] > 0).sum())} of {len(numbers)} samples, "
        f"against {scores.compared_with}; {len(scores.genes):,} genes."
    )
    for row in calls.head(MOST_SHOWN).to_dict("records"):
        typer.echo(
            f"    {row['sample']}  {row['gene']}: {row['count']:,.0f} counts, {row['expected_count']:,.1f} expected, log2 fold change "
            f"{row['log_fc']:+.2f} ({row['log_fc_low']:+.2f} to {row['log_fc_high']:+.2f}), adjusted p {row['adj_p_value']:.1e}"
        )
    if len(calls) > MOST_SHOWN:
        typer.echo(f"    and {len(calls) - MOST_SHOWN:,} more")
    typer.echo(f"\nIn {out}: {', '.join(summary['files'])}")


def _of_cohort(
    ctx: typer.Context, adata: "AnnData", size_factors: str, min_counts: int, seed: int, adjust: Any, say: Say
) -> "OutlierScores":
    """Train a model without a design on the samples, and compare them with each other."""
    from bulkvi import BulkVI, pp, tl
    from bulkvi.names import SIZE_FACTOR

    pp.filter_genes(adata, min_counts=min_counts)
    offset = reading.add_size_factors(adata, size_factors)
    BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, offset_key=offset)
    model = BulkVI(adata, seed=seed)
    with exits(FAILURE, ctx):
        say("Training")
        model.train(seed=seed, progress_bar=False)
    say("Comparing each sample with the others")
    return tl.outliers(model, adjust=adjust, progress_bar=False)


def _write(folder: Path, scores: "OutlierScores", alpha: float) -> None:
    """Write tables and figure."""
    from matplotlib.figure import Figure

    from bulkvi import pl

    scores.calls(alpha).to_csv(folder / "outliers.csv", index=False)
    scores.per_sample(alpha).to_csv(folder / "samples.csv", index_label="sample")
    for name in ("p_value", "log_fc"):
        scores.table(name).T.to_csv(folder / f"{name}.csv.gz", index_label="gene", float_format="%.6g")
    (folder / "figures").mkdir()
    figure = Figure(figsize=(3.3, 3.0), layout="constrained")
    pl.outliers(scores, alpha=alpha, ax=figure.subplots())
    for kind in ("png", "pdf"):
        figure.savefig(folder / "figures" / f"outliers.{kind}", dpi=300)
