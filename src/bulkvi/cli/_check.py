"""``bulkvi check``: replicates and confounding of a design, and labels of samples that the counts contradict."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkvi.cli import _options as options
from bulkvi.cli import _reading as reading
from bulkvi.cli._design import check_formula, drop_missing
from bulkvi.cli._folder import CHECKS, new_result
from bulkvi.cli._progress import (
    FAILURE,
    WRONG_INPUT,
    exits,
    paused_collector,
    reporter,
    translate_to_flags,
    warnings_as_notes,
)
from bulkvi.cli._run_file import as_json, describe_run

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def check(
    ctx: typer.Context,
    counts: options.Counts,
    samples: options.Samples = None,
    *,
    design: options.Design,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Column whose labels are checked; may be given again. Without it, each grouping of the design."
        ),
    ] = None,
    sex: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with the sex (female, male; F, M), compared with XIST and genes of the Y chromosome. Without it, a column "
            "called sex or gender, or one with these levels.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the tables (check_design.csv, check_samples.csv), check.json and a figure.",
            file_okay=False,
        ),
    ] = None,
    size_factors: options.SizeFactors = "median_of_ratios",
    control_genes: options.ControlGenes = None,
    min_counts: options.MinCounts = 10,
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
    """Check what a design can estimate from these samples, and find samples that disagree with their label.

    \b
    Example:
      bulkvi check counts.csv samples.csv --design '~ batch + treatment'

    Looks for variables that are confounded, groups without replicates, columns of SAMPLES that are confounded with the
    comparison, technical replicates, swapped labels, outlying samples, and samples of the wrong sex. Nothing is changed. The exit
    code is 0 with findings as without; 2 if something in the input is wrong.
    """  # noqa: D301  # click wraps what is not below a backspace
    result = None
    if out is not None:
        inputs = [counts, samples, transcripts, lengths, genes]
        result = ctx.with_resource(
            new_result(ctx, out, CHECKS, force=force, what="what this command writes", inputs=inputs)
        )
    how = reading.HowToRead.from_options(ctx.params)
    say = reporter()
    with warnings_as_notes(say) as notes, exits(WRONG_INPUT):
        say("Reading; libraries take some seconds to load")
        with paused_collector():
            from bulkvi import pp, tl
            from bulkvi.names import COUNTS_SOURCE, N_SAMPLES
        adata = reading.read(counts, samples, how)
        say(f"Counts: {reading.describe(adata)}")
        in_design = check_formula(design, adata.obs)
        if drop_incomplete:
            adata = drop_missing(adata, in_design)
        adata = reading.sum_replicates(adata, sum_replicates, in_design, None, size_factors)
        found = tl.check_design(adata, design)
        pp.filter_genes(adata, min_counts=min_counts)
        offset = reading.add_size_factors(adata, size_factors, control_genes)
        labels = label or [str(name) for name in found.cells.columns if name != N_SAMPLES]
        tables, skipped = _check_labels(adata, labels, design, offset, sex, say=say, required=bool(label))
        summary = describe_run(ctx) | {
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
    typer.echo(f"{translate_to_flags(str(found))}\n")
    for name, table in tables.items():
        typer.echo("\n".join(_describe_labels(name, table)))
    for name, why in skipped.items():
        typer.echo(f"Labels of {name}: not checked. {translate_to_flags(why)}")
    for line in _describe_sexes(next(iter(tables.values()))) if tables else []:
        typer.echo(line)
    if out is not None:
        typer.echo(f"\nIn {out}: {', '.join(summary['files'])}")


def _check_labels(
    adata: "AnnData", labels: list[str], design: str, offset: str | None, sex: str | None, *, say: Any, required: bool
) -> tuple[dict[str, "pd.DataFrame"], dict[str, str]]:
    from bulkvi import tl

    tables: dict[str, pd.DataFrame] = {}
    skipped: dict[str, str] = {}
    for name in labels:
        say(f"Checking the labels of {name}")
        try:
            tables[name] = tl.check_samples(adata, name, design=design, offset_key=offset, sex_key=sex)
        except ValueError as error:
            if required or sex is not None:
                raise
            skipped[name] = str(error)
    return tables, skipped


def _as_records(table: "pd.DataFrame") -> dict[str, Any]:
    from bulkvi.names import PROB_MEANINGLESS

    return {
        PROB_MEANINGLESS: table.attrs[PROB_MEANINGLESS],
        "samples": table.reset_index(names="sample").to_dict("records"),
    }


def _describe_labels(name: str, table: "pd.DataFrame") -> list[str]:
    """A line on all samples of a column, and one for each kind of finding."""
    from bulkvi.names import DOUBTFUL, FLAG, NOT_CHECKED, OUTLYING, PROB_MEANINGLESS, SWAPPED

    kinds = (SWAPPED, DOUBTFUL, OUTLYING)
    codes = table[FLAG].str.split(",")
    found = codes.map(lambda flags: bool({*flags} & {*kinds}))
    lines = [f"Labels of {name}: {int((~found).sum())} of {len(table)} samples agree with their labels."]
    if table.attrs[PROB_MEANINGLESS] > 0.5:
        lines.append(
            f"    The labels explain little of the counts (probability {table.attrs[PROB_MEANINGLESS]:.2f} that they are unrelated to them)."
        )
    for kind in (*kinds, NOT_CHECKED):
        rows = table[codes.map(lambda flags, kind=kind: kind in flags)]
        if len(rows):
            described = _list([_describe_sample(kind, str(sample), row) for sample, row in rows.iterrows()])
            lines.append(f"    [{kind}] {described}{WORDS[kind]}")
    return lines


WORDS = {
    "swapped": "",
    "doubtful": ". Some of these labels are wrong; the counts do not show which.",
    "outlying": ". Each is an outlier whichever group it is assigned to.",
    "not_checked": ". There is no other sample to compare them with.",
}
MOST_SHOWN = 5


def _list(texts: list[str]) -> str:
    more = f"; and {len(texts) - MOST_SHOWN} more (all with --out or --json)" if len(texts) > MOST_SHOWN else ""
    return "; ".join(texts[:MOST_SHOWN]) + more


def _describe_sample(kind: str, sample: str, row: "pd.Series") -> str:
    from bulkvi.names import LABEL, LIKELY_LABEL, OUTLYING, PROB_LABEL, SWAPPED, SWAPPED_WITH

    if kind not in (SWAPPED, OUTLYING):
        return sample
    text = f"{sample}: labelled {row[LABEL]}"
    if kind == SWAPPED:
        text += f", more likely {row[LIKELY_LABEL]} (probability of {row[LABEL]}: {row[PROB_LABEL]:.2g})"
        text += f", may have been exchanged with {row[SWAPPED_WITH]}" if row[SWAPPED_WITH] else ""
    return text


def _describe_sexes(table: "pd.DataFrame") -> list[str]:
    """Lines on the sex of the samples; none where it was not checked."""
    from bulkvi.names import FLAG, SEX, SEX_GENES, SEX_KEY, SEX_MISMATCH, SEX_REMARK

    if SEX not in table:
        return []
    key, genes, remark = (table.attrs[name] for name in (SEX_KEY, SEX_GENES, SEX_REMARK))
    wrong = table[table[FLAG].str.split(",").map(lambda flags: SEX_MISMATCH in flags)]
    counted = ", ".join(f"{n} {sex}" for sex, n in table[SEX].value_counts().items())
    lines = [
        f"Sex ({key}) by {', '.join(genes[:4])}{', ...' if len(genes) > 4 else ''}: {counted}{'; ' * bool(remark)}{remark}."
    ]
    if len(wrong):
        genes = [
            f"{sample}: genes of {'both sexes' if row[SEX] == 'both' else row[SEX]}" for sample, row in wrong.iterrows()
        ]
        lines.append(f"    [{SEX_MISMATCH}] {_list(genes)}")
    return lines


def _write(folder: Path, found: Any, tables: dict[str, "pd.DataFrame"]) -> None:
    import pandas as pd
    from matplotlib.figure import Figure

    from bulkvi import pl
    from bulkvi.design_names import COLUMN
    from bulkvi.names import SAMPLE

    found.findings.to_csv(folder / "check_design.csv", index=False)
    if tables:
        checked = pd.concat(tables, names=[COLUMN, SAMPLE]).reset_index()
        checked.to_csv(folder / "check_samples.csv", index=False)
    if len(found.association):
        figure = Figure(figsize=(3.3, 3.3), layout="constrained")
        pl.design(found, ax=figure.subplots())
        (folder / "figures").mkdir()
        for kind in ("png", "pdf"):
            figure.savefig(folder / "figures" / f"design.{kind}", dpi=300)
