"""``bulkvi reference``: build the reference of a cohort from files, and show what one holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulkvi.cli import _options as options
from bulkvi.cli import _reading as reading
from bulkvi.cli._command import Command, RecordedCommand
from bulkvi.cli._design import check_formula, drop_missing
from bulkvi.cli._progress import FAILURE, WRONG_INPUT, exits, paused_collector, reporter, warnings_as_notes
from bulkvi.cli._run_file import as_json

if TYPE_CHECKING:
    from bulkvi import Reference

reference = typer.Typer(
    no_args_is_help=True, help="Build the reference of a cohort, or show one.", rich_markup_mode=None
)


def build(
    ctx: typer.Context,
    counts: options.Counts,
    samples: options.Samples = None,
    *,
    out: Annotated[Path, typer.Option(help="File to write, such as lcl.ref.", dir_okay=False)],
    design: options.Design = "~ 1",
    name: Annotated[str | None, typer.Option(help="Short name of the reference; by default that of the file.")] = None,
    source: Annotated[str, typer.Option(help="Where the counts are from, such as an accession.")] = "",
    licence: Annotated[str, typer.Option(help="Terms under which the reference may be used and shared.")] = "",
    organism: Annotated[str, typer.Option(help="Organism of the samples.")] = "",
    tissue: Annotated[str, typer.Option(help="Tissue or cell type of the samples.")] = "",
    directions: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of directions; by default up to 30, fewer in small cohorts."),
    ] = None,
    size_factors: options.SizeFactors = "median_of_ratios",
    control_genes: options.ControlGenes = None,
    min_counts: options.MinCounts = 10,
    seed: options.Seed = 0,
    json: options.Json = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
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
    """Train a model of a cohort, and write what it teaches a study of the same tissue to one file.

    \b
    Example:
      bulkvi reference build counts.csv samples.csv --design '~ batch + sex' --out lcl.ref \\
          --tissue 'lymphoblastoid cell lines' --licence CC0

    Put into the design what is known to move the counts. What studies will compare needs no column. The file holds estimates
    for every gene and no counts; the names of the samples are not in it.
    """  # noqa: D301  # click wraps what is not below a backspace
    how = reading.HowToRead.from_options(ctx.params)
    say = reporter()
    with warnings_as_notes(say) as notes:
        with exits(WRONG_INPUT):
            if out.exists() and not force:
                raise ValueError(f"{out} exists already: name another file, or add --force to replace it.")
            if not out.parent.is_dir():
                raise ValueError(f"--out {out}: there is no folder {out.parent}. Make it first.")
            say("Reading; libraries take some seconds to load")
            with paused_collector():
                from bulkvi import BulkVI, Reference, pp
                from bulkvi.names import SIZE_FACTOR

            adata = reading.read(counts, samples, how)
            say(f"Counts: {reading.describe(adata)}")
            in_design = check_formula(design, adata.obs)
            if drop_incomplete:
                adata = drop_missing(adata, in_design)
            adata = reading.sum_replicates(adata, sum_replicates, in_design, None, size_factors)
            pp.filter_genes(adata, min_counts=min_counts)
            offset = reading.add_size_factors(adata, size_factors, control_genes)
            BulkVI.setup_anndata(adata, size_factor_key=SIZE_FACTOR, design=design, offset_key=offset)
            model = BulkVI(adata, n_latent=directions, seed=seed)
            if len(model.get_design_matrix()) <= model.get_design_matrix().shape[1] + 1:
                raise ValueError(
                    f"{adata.n_obs} samples are too few for the design {design!r}: a reference needs more samples than columns and "
                    "directions, and teaches much from about 30."
                )
        with exits(FAILURE, ctx):
            say(f"{adata.n_vars:,} genes; training on {design}")
            model.train(seed=seed, progress_bar=False)
            say("Estimating levels, loadings and dispersions")
            made = Reference.from_model(
                model, name=name or out.stem, source=source, licence=licence, organism=organism, tissue=tissue
            )
            made.save(out, overwrite=force)
            say("Done")
    _show(made, out, notes=notes, json=json)


def show(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="File of `bulkvi reference build`.")
    ],
    *,
    json: options.Json = False,
) -> None:
    """Show what a reference holds, where it comes from and how good it is. Nothing in the file is run.

    \b
    Example:
      bulkvi reference show lcl.ref
    """  # noqa: D301  # click wraps what is not below a backspace
    with warnings_as_notes(reporter()), exits(WRONG_INPUT):
        from bulkvi import Reference

        found = Reference.load(file)
    _show(found, file, notes=[], json=json)


def _show(found: "Reference", file: Path, *, notes: list[str], json: bool) -> None:
    size = file.stat().st_size
    if not json:
        typer.echo(f"{found}\n  in {file}, {size / 1e6:.1f} MB")
        return
    summary: dict[str, Any] = {
        "file": str(file),
        "bytes": size,
        **vars(found.provenance),
        "n_genes": int(found.values.known.sum()),
        "directions": dict(zip(found.directions, found.relevance.tolist(), strict=True)),
        "held_out": None if found.held_out is None else found.held_out._asdict(),
        "warnings": notes,
    }
    typer.echo(as_json(summary))


reference.command(cls=RecordedCommand)(build)
reference.command(cls=Command)(show)
