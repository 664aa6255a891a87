"""``bulkvi check``: what a design can tell, and whether samples are what their labels say."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkvi.cli import _beside_counts as beside
from bulkvi.cli import _reading as reading
from bulkvi.cli._columns import complete
from bulkvi.cli._design import check_formula
from bulkvi.cli._figures import new_figure, save_figure
from bulkvi.cli._folder import CHECKS, new_result
from bulkvi.cli._progress import FAILURE, WRONG_INPUT, exits, noted, reporter
from bulkvi.cli._run_file import as_json, of_this_run

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def check(
    ctx: typer.Context,
    counts: reading.Counts,
    samples: reading.Samples = None,
    *,
    design: reading.Design,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Column whose labels are checked; may be given again. Without it, each grouping of the design."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the tables (check_design.csv, check_samples.csv), check.json and a figure.",
            file_okay=False,
        ),
    ] = None,
    size_factors: reading.SizeFactors = "median_of_ratios",
    control_genes: reading.ControlGenes = None,
    min_counts: reading.MinCounts = 10,
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
    lengths: beside.Lengths = None,
    genes: beside.Genes = None,
    sum_replicates: beside.SumReplicates = None,
    sheet: reading.Sheet = None,
    drop_incomplete: reading.DropIncomplete = False,
) -> None:
    """Say what a design can tell from these samples, and which samples are not what their label says.

    \b
    Example:
      bulkvi check counts.csv samples.csv --design '~ batch + treatment'

    Looks for variables that cannot be told apart, groups without replicates, columns of SAMPLES that go with the
    comparison, swapped labels and samples unlike all others. Nothing is changed. The exit code is 0 with findings as
    without; 2 if something in the input is wrong.
    """  # noqa: D301  # click wraps what is not below a backspace
    result = None
    if out is not None:
        inputs = [counts, samples, transcripts, lengths, genes]
        result = ctx.with_resource(
            new_result(ctx, out, CHECKS, force=force, what="what this command writes", inputs=inputs)
        )
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
        lengths,
        genes,
        sheet,
    )
    say = reporter()
    with noted(say) as notes, exits(WRONG_INPUT):
        say("Reading; libraries take some seconds to load")
        adata = reading.read(counts, samples, how)
        say(f"Counts: {reading.in_words(adata)}")
        in_design = check_formula(design, adata.obs)
        adata = complete(adata, in_design, drop=drop_incomplete)
        adata = beside.sum_replicates(adata, sum_replicates, in_design, None, size_factors)
        from bulkvi import pp, tl
        from bulkvi.names import COUNTS_SOURCE, N_SAMPLES

        found = tl.check_design(adata, design)
        pp.filter_genes(adata, min_counts=min_counts)
        offset = reading.add_size_factors(adata, size_factors, control_genes)
        labels = label or [str(name) for name in found.cells.columns if name != N_SAMPLES]
        tables, skipped = _check_labels(adata, labels, design, offset, say=say, asked=bool(label))
        summary = of_this_run(ctx) | {
            "counts": str(counts),
            "samples": str(samples or counts),
            "read": dict(adata.uns[COUNTS_SOURCE]),
            "design": design,
            "n_samples": adata.n_obs,
            "n_genes": adata.n_vars,
            "n_columns": found.n_columns,
            "residual_df": found.residual_df,
            "findings": found.findings.to_dict("records"),
            "not_compared": found.left_out,
            "labels": {name: _as_records(table) for name, table in tables.items()},
            "labels_not_checked": skipped,
            "warnings": notes,
        }
        if result is not None:
            with exits(FAILURE, ctx):
                _write(result.new, found, tables)
                summary = result.move_in(summary)
        say("Done")
    if json:
        typer.echo(as_json(summary))
        return
    typer.echo(f"{found}\n")
    for name, table in tables.items():
        typer.echo("\n".join(_in_words(name, table)))
    for name, why in skipped.items():
        typer.echo(f"Labels of {name}: not checked. {why}")
    if out is not None:
        typer.echo(f"\nIn {out}: {', '.join(summary['files'])}")


def _check_labels(
    adata: "AnnData", labels: list[str], design: str, offset: str | None, *, say: Any, asked: bool
) -> tuple[dict[str, "pd.DataFrame"], dict[str, str]]:
    from bulkvi import tl

    tables: dict[str, pd.DataFrame] = {}
    skipped: dict[str, str] = {}
    for name in labels:
        say(f"Checking the labels of {name}")
        try:
            tables[name] = tl.check_samples(adata, name, design=design, offset_key=offset)
        except ValueError as error:
            if asked:
                raise
            skipped[name] = str(error)
    return tables, skipped


def _as_records(table: "pd.DataFrame") -> dict[str, Any]:
    from bulkvi.names import PROB_MEANINGLESS

    return {
        PROB_MEANINGLESS: table.attrs[PROB_MEANINGLESS],
        "samples": table.reset_index(names="sample").to_dict("records"),
    }


def _in_words(name: str, table: "pd.DataFrame") -> list[str]:
    from bulkvi.names import FLAG, LABEL, LIKELY_LABEL, PROB_LABEL, PROB_MEANINGLESS, SWAPPED_WITH

    flagged = table[table[FLAG] != ""]
    lines = [f"Labels of {name}: {len(table) - len(flagged)} of {len(table)} samples are what they say."]
    if table.attrs[PROB_MEANINGLESS] > 0.5:
        lines.append(
            f"    The labels tell little about the counts (probability {table.attrs[PROB_MEANINGLESS]:.2f} that they mean nothing)."
        )
    for sample, row in flagged.iterrows():
        said = f"    [{row[FLAG]}] {sample}: labelled {row[LABEL]}"
        if row[LABEL] != row[LIKELY_LABEL]:
            said += f", more likely {row[LIKELY_LABEL]} (probability of {row[LABEL]}: {row[PROB_LABEL]:.2g})"
        if row[SWAPPED_WITH]:
            said += f"; may have been exchanged with {row[SWAPPED_WITH]}"
        lines.append(said)
    return lines


def _write(folder: Path, found: Any, tables: dict[str, "pd.DataFrame"]) -> None:
    import pandas as pd

    from bulkvi import pl
    from bulkvi.design_names import COLUMN
    from bulkvi.names import SAMPLE

    found.findings.to_csv(folder / "check_design.csv", index=False)
    if tables:
        checked = pd.concat(tables, names=[COLUMN, SAMPLE]).reset_index()
        checked.to_csv(folder / "check_samples.csv", index=False)
    if len(found.association):
        figure = new_figure(3.3)
        pl.design(found, ax=figure.subplots())
        (folder / "figures").mkdir()
        save_figure(figure, folder / "figures" / "design")
