"""``bulkvi de``: from files of counts and samples to differential expression.

Only light imports at the top: ``bulkvi --help`` is not to wait for PyTorch.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkvi.cli import _reading as reading
from bulkvi.cli._figures import draw_figures
from bulkvi.cli._folder import REPORT_FILE, RESULTS, RUN_FILE, clear_folder, files_in, open_folder
from bulkvi.cli._progress import FAILURE, WRONG_INPUT, exits, noted, reporter
from bulkvi.cli._results import FILES, show_files, show_notes, show_results, write_table
from bulkvi.cli._run_file import as_json, of_this_result, of_this_run
from bulkvi.cli._terms import ENRICHMENT, Organism, check_gene_sets, score_terms, show_terms

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from bulkvi import BulkVI

GOES_WITH = 0.5
"""Share of a latent column that a column of SAMPLES must explain to be named beside it."""


def de(
    ctx: typer.Context,
    counts: reading.Counts,
    samples: reading.Samples,
    *,
    design: reading.Design,
    contrast: Annotated[
        tuple[str, str, str],
        typer.Option(metavar="COLUMN TEST REFERENCE", help="What to compare: up means more in TEST than in REFERENCE."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results, made if it does not exist.", file_okay=False)],
    size_factors: reading.SizeFactors = "median_of_ratios",
    min_counts: reading.MinCounts = 10,
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
            help="Column of SAMPLES that says which samples are of one donor (patient, animal), where there are several of each; "
            "then it is not in the design."
        ),
    ] = None,
    seed: reading.Seed = 0,
    json: reading.Json = False,
    force: reading.Force = False,
    sample_column: reading.SampleColumn = None,
    match: reading.Match = "exact",
    samples_in: reading.SamplesIn = None,
    gene_column: reading.GeneColumn = None,
    duplicate_genes: reading.DuplicateGenes = "error",
    missing: reading.Missing = "error",
    round_counts: reading.Round = False,
    layer: reading.Layer = None,
    strandedness: reading.Strandedness = None,
    transcripts: reading.Transcripts = None,
) -> None:
    """Compare two groups of samples, gene by gene.

    \b
    Examples:
      bulkvi de counts.csv samples.csv --design '~ treatment' \\
          --contrast treatment drug control --out results
      bulkvi de counts.txt samples.tsv --design '~ batch + treatment' \\
          --contrast treatment drug control --out results
      bulkvi de star/ samples.xlsx --design '~ `cell line` + dose' \\
          --contrast dose high none --match file_names --out results

    Put what else moves the counts (batch, donor, sex) in front of what you compare. `bulkvi check` says beforehand
    what the design can tell.

    Leaves in the folder: de.csv (a row for each gene), figures/, report.html (all of it on one page), adata.h5ad, the
    trained model/ and run.json (what was asked, found, and with which versions); with --gene-sets also enrichment.csv.
    Progress and notes go to standard error. Exit code 0: done; 2: something in the input is wrong, and the message says
    what; 1: it failed on the way.
    """  # noqa: D301  # click wraps what is not below a backspace
    if not 0 < level < 1:
        raise typer.BadParameter(f"{level:g} is not between 0 and 1; give 0.05, say.", param_hint="--level")
    inputs = [counts, samples, transcripts, gene_sets]
    open_folder(out, RESULTS, force=force, what="what this command writes", inputs=inputs)
    how = reading.HowToRead(
        sample_column,
        match,
        samples_in,
        gene_column,
        layer,
        duplicate_genes,
        missing,
        round_counts,
        strandedness,
        transcripts,
    )
    say = reporter()
    with noted(say) as notes:
        with exits(WRONG_INPUT):
            say("Reading; libraries take some seconds to load")
            from bulkvi import BulkVI, pp, report
            from bulkvi.names import COUNTS_SOURCE, SIZE_FACTOR

            adata = reading.read(counts, samples, how)
            say(f"Counts: {reading.in_words(adata)}")
            in_design = reading.check_formula(design, adata.obs)
            groups = reading.find_groups(contrast, adata.obs, in_design)
            n_read = adata.n_vars
            findings = _check(adata, design, in_design, groups)
            if gene_sets is not None:
                check_gene_sets(gene_sets, organism, adata)
            pp.filter_genes(adata, min_counts=min_counts)
            offset = reading.add_size_factors(adata, size_factors)
            factors = adata.obs[SIZE_FACTOR]
            say(
                f"{adata.n_vars:,} genes with at least {min_counts} counts; size factors {factors.min():.2f} to "
                f"{factors.max():.2f}"
            )
            BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, design=design, offset_key=offset, donor_key=donor)
            clear_folder(out, RESULTS)  # fails now rather than after the work
        with exits(FAILURE):
            model, table = _compare(adata, design, groups, out, say=say, seed=seed)
            if hidden := _hidden(model, table):
                notes.append(hidden)
                say(f"Note: {hidden}")
            terms = None
            if gene_sets is not None:
                say(f"Scoring gene sets of {gene_sets}")
                try:
                    terms = score_terms(table, gene_sets, organism, out)
                except ValueError as error:  # the rest of the answer stands
                    notes.append(f"Gene sets left out: {error}")
                    say(f"Note: {notes[-1]}")
            (out / "figures").mkdir(exist_ok=True)
            draw_figures(model, adata, table, out / "figures", terms=terms, groupby=groups[0], level=level)
            summary = (
                of_this_run(ctx)
                | of_this_result(adata, table, groups, level, terms)
                | {
                    "counts": str(counts),
                    "samples": str(samples),
                    "read": dict(adata.uns[COUNTS_SOURCE]),
                    "design": design,
                    "donor": donor,
                    "size_factors": {"chosen": size_factors, "min": factors.min(), "max": factors.max()},
                    "n_genes_read": n_read,
                    "min_counts": min_counts,
                    "gene_sets": gene_sets,
                    "seed": seed,
                    "findings": findings,
                    "warnings": notes,
                }
            )
            files = FILES if terms is None else FILES | ENRICHMENT
            report(
                model,
                table,
                out / REPORT_FILE,
                enrichment=terms,
                level=level,
                warnings=notes,
                command=summary["command"],
                run=summary,
            )
            summary |= {"out": str(out), "files": [*files_in(out, RESULTS), RUN_FILE]}
            (out / RUN_FILE).write_text(as_json(summary) + "\n", encoding="utf-8")
            say("Done")
    if json:
        typer.echo(as_json(summary))
        return
    factor, test, reference = groups
    sign = f"log2, {test} over {reference} ({factor}): +1 is twice as much in {test}, -1 half as much."
    show_results(table, level=level, sign=sign)
    if terms is not None:
        show_terms(terms, level)
    show_notes(notes)
    show_files(table, out, files | {RUN_FILE: "what was asked and found, the versions and the command"})


def _check(adata: "AnnData", design: str, in_design: set[str], groups: tuple[str, Any, Any]) -> list[dict[str, str]]:
    """What there is to know about the design, before anything takes long."""
    from bulkvi import tl

    found = tl.check_design(adata, design, contrast=groups)
    if found.residual_df < 1:
        remedy = (
            "Take a variable out of the design, or add samples."
            if len(in_design) > 1
            else "No test is possible without replicates: at least one group needs a second sample, and each should have three."
        )
        raise ValueError(
            f"The design {design!r} has {found.n_columns} columns and there are {found.n_samples} samples: none is left to tell "
            f"how much replicates differ. {remedy}"
        )
    return found.findings.to_dict("records")


def _compare(
    adata: "AnnData", design: str, groups: tuple[str, Any, Any], out: Path, *, say: Any, seed: int
) -> tuple["BulkVI", "pd.DataFrame"]:
    """Fit, compare and write."""
    from bulkvi import BulkVI
    from bulkvi.names import LATENT

    model = BulkVI(adata, seed=seed)
    say(f"Training on {design}")
    model.train(seed=seed, progress_bar=False)
    adata.obsm[LATENT] = model.get_latent_representation()
    factor, test, reference = groups
    say(f"Comparing {test} with {reference}; the first time, code is compiled for this machine")
    result = model.differential_expression(factor, test, reference)
    say(f"Writing to {out}")
    table = write_table(result, adata, out / "de.csv")
    adata.write_h5ad(out / "adata.h5ad")
    model.save(str(out / "model"), overwrite=True)
    return model, table


def _hidden(model: "BulkVI", table: "pd.DataFrame") -> str | None:
    """What was held fixed that the design does not say."""
    from bulkvi.names import ENTERS, N_LATENT_COLUMNS, STRENGTH, STRONGEST_WITH

    n = int(table.attrs[N_LATENT_COLUMNS])
    if not n:
        return None
    held = model.latent_report()
    held = held[held[ENTERS] & (held[STRENGTH] > GOES_WITH)]
    obs = model.adata.obs
    free = len(obs) - model.get_design_matrix().shape[1]
    known = [name for name in dict.fromkeys(held[STRONGEST_WITH]) if name in obs]
    sizes = {name: 2 if obs[name].dtype.kind in "if" else obs[name].nunique() for name in known}
    fitting = ", ".join(repr(name) for name in known if sizes[name] - 1 < free)
    donors = [name for name in known if sizes[name] - 1 >= free and sizes[name] < len(obs)]
    advice = ""
    if fitting:
        advice = f" Of the columns in SAMPLES {fitting} goes with it: if that moves the counts, add it to the design."
    if donors:
        advice += f" {donors[0]!r} goes with it and has too many levels for the design: if samples repeat, use --donor {donors[0]}."
    return (
        f"{n} hidden direction{'s' * (n > 1)} of the data, such as a batch that the design does not name, "
        f"{'were' if n > 1 else 'was'} found and held fixed.{advice}"
    )
