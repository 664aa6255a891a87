"""``bulkvi de``: from files of counts and samples to differential expression.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bulkvi.cli import _options as options
from bulkvi.cli import _reading as reading
from bulkvi.cli._answers import Choices, answer, files_written, show_answers, summarise
from bulkvi.cli._design import check_formula, drop_missing
from bulkvi.cli._folder import new_result
from bulkvi.cli._progress import FAILURE, WRONG_INPUT, exits, paused_collector, reporter, warnings_as_notes
from bulkvi.cli._questions import Question, questions_in
from bulkvi.cli._results import Organism, check_gene_sets
from bulkvi.cli._run_file import as_json, describe_run
from bulkvi.cli._weighing import find_questions, weigh_questions

if TYPE_CHECKING:
    from anndata import AnnData


def de(
    ctx: typer.Context,
    counts: options.Counts,
    samples: options.Samples = None,
    *,
    design: options.Design,
    contrast: options.Contrasts = None,
    slope: options.Slopes = None,
    weights: options.Weights = None,
    omnibus: options.Omnibus = None,
    delta: options.Delta = 0.0,
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    size_factors: options.SizeFactors = "median_of_ratios",
    control_genes: options.ControlGenes = None,
    composition_shift: options.CompositionShift = None,
    min_counts: options.MinCounts = 10,
    level: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="False discovery rate at which genes are counted as changed.")
    ] = 0.05,
    gene_sets: Annotated[
        str | None,
        typer.Option(
            help="Gene sets to score: a GMT file (.gmt, .gmt.gz), or go_bp, hallmark, reactome, kegg. They name genes by "
            "symbol as a rule: COUNTS needs a column of symbols, or symbols for names."
        ),
    ] = None,
    organism: Annotated[Organism, typer.Option(help="For gene sets by name.")] = "human",
    donor: Annotated[
        str | None,
        typer.Option(
            help="Column of SAMPLES with the donor (patient, animal) of each sample, if there are several samples of a donor; "
            "then it is not in the design."
        ),
    ] = None,
    reference: options.Reference = None,
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
    sum_replicates: options.SumReplicates = None,
    sheet: options.Sheet = None,
    drop_incomplete: options.DropIncomplete = False,
) -> None:
    """Compare groups of samples, or follow a number such as age or dose, gene by gene.

    \b
    Examples:
      bulkvi de counts.csv samples.csv --design '~ treatment' \\
          --contrast treatment drug control --out results
      bulkvi de counts.txt samples.tsv --design '~ batch + treatment' \\
          --contrast treatment drug control --out results
      bulkvi de star/ samples.xlsx --design '~ `cell line` + dose' \\
          --contrast dose high none --match file_names --out results
      bulkvi de counts.csv samples.csv --design '~ sex + dose + age' \\
          --contrast dose high none --contrast dose low none --slope age \\
          --omnibus dose --out results

    Put what else moves the counts (batch, donor, sex) in front of what you compare. `bulkvi check` checks the design
    beforehand.

    At least one question is needed: --contrast, --slope, --weights or --omnibus. Each may be given again: several questions
    to one trained model get a folder each in the folder of results, named after the question.

    Writes into the folder: de.csv (one row for each gene), figures/, report.html (all of it on one page), adata.h5ad, the
    trained model/ and run.json (questions, findings and versions); with --gene-sets also enrichment.csv.
    All files come at the end and together; until then an older result stays. Progress and notes go to standard error. Exit
    code 0: done; 2: the input is wrong, and the message explains it; 1: it failed later; 130, 143: it was
    interrupted.
    """  # noqa: D301  # click wraps what is not below a backspace
    if not 0 < level < 1:
        raise typer.BadParameter(f"{level:g} is not between 0 and 1; give 0.05, say.", param_hint="--level")
    queries = questions_in(contrast, slope, weights, omnibus, delta=delta, gene_sets=gene_sets)
    choices = Choices(level, delta, gene_sets, organism, composition_shift)
    inputs = [counts, samples, transcripts, lengths, genes, gene_sets, reference]
    writes = files_written(out, queries)
    result = ctx.with_resource(
        new_result(ctx, out, writes, force=force, what="what this command writes", inputs=inputs)
    )
    how = reading.HowToRead.from_options(ctx.params)
    say = reporter()
    with warnings_as_notes(say) as notes:
        with exits(WRONG_INPUT):
            say("Reading; libraries take some seconds to load")
            with paused_collector():
                from bulkvi import BulkVI, Reference, pp, report  # noqa: F401  # the page is written at the end
                from bulkvi.names import COUNTS_SOURCE, LATENT, SIZE_FACTOR

            # a file that is no reference is found before anything takes long
            cohort = None if reference is None else Reference.load(reference)
            adata = reading.read(counts, samples, how)
            say(f"Counts: {reading.describe(adata)}")
            in_design = check_formula(design, adata.obs)
            if drop_incomplete:
                adata = drop_missing(adata, in_design | {str(donor)})
            adata = reading.sum_replicates(adata, sum_replicates, in_design, donor, size_factors)
            queries = find_questions(queries, adata.obs, in_design, design)
            n_read = adata.n_vars
            findings = _check(adata, design, in_design, queries)
            if gene_sets is not None:
                check_gene_sets(gene_sets, organism, adata)
            pp.filter_genes(adata, min_counts=min_counts)
            offset = reading.add_size_factors(adata, size_factors, control_genes)
            factors = adata.obs[SIZE_FACTOR]
            say(
                f"{adata.n_vars:,} genes with at least {min_counts} counts; size factors {factors.min():.2f} to "
                f"{factors.max():.2f}"
            )
            BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, design=design, offset_key=offset, donor_key=donor)
            model = BulkVI(adata, seed=seed, reference=cohort)
            queries = weigh_questions(queries, model)
        with exits(FAILURE, ctx):
            say(f"Training on {design}")
            model.train(seed=seed, progress_bar=False)
            adata.obsm[LATENT] = model.get_latent_representation()
            run = describe_run(ctx) | {
                "counts": str(counts),
                "samples": str(samples or counts),
                "read": dict(adata.uns[COUNTS_SOURCE]),
                "design": design,
                "donor": donor,
                "size_factors": {
                    "chosen": size_factors,
                    "control_genes": control_genes,
                    "min": factors.min(),
                    "max": factors.max(),
                },
                "n_genes_read": n_read,
                "min_counts": min_counts,
                "gene_sets": gene_sets,
                "reference": None if cohort is None else {"file": str(reference), "name": cohort.name},
                "seed": seed,
                "delta": delta,
                "findings": findings,
            }
            answers = [
                answer(model, adata, each, result, questions=queries, choices=choices, run=run, notes=notes, say=say)
                for each in queries
            ]
            adata.write_h5ad(result.new / "adata.h5ad")
            model.save(result.new / "model")
            summary = result.move_in(summarise(answers, run, notes, result.new))
            say("Done")
    if json:
        typer.echo(as_json(summary))
        return
    show_answers(answers, choices, notes, out)


def _check(adata: "AnnData", design: str, in_design: set[str], queries: Sequence[Question]) -> list[dict[str, str]]:
    """Check the design before anything takes long."""
    from bulkvi import tl

    # with several questions every finding is about one of them
    contrast = queries[0].groups if len(queries) == 1 else None
    found = tl.check_design(adata, design, contrast=contrast)
    if found.residual_df < 1:
        remedy = (
            "Take a variable out of the design, or add samples."
            if len(in_design) > 1
            else "No test is possible without replicates: at least one group needs a second sample, and each should have three."
        )
        raise ValueError(
            f"The design {design!r} has {found.n_columns} columns and there are {found.n_samples} samples: none is left to "
            f"estimate how much replicates differ. {remedy}"
        )
    return found.findings.to_dict("records")
