"""COUNTS, SAMPLES and the options of reading them, which several commands share."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bulkvi.cli._control_genes import find_control_genes
from bulkvi.cli._sheets import check_columns, choose_sheets

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

Counts = Annotated[
    Path,
    typer.Argument(
        exists=True,
        metavar="COUNTS",
        help="Raw counts: a table (.tsv, .csv, .xlsx, .gct; genes x samples or samples x genes; featureCounts' too), .h5ad, or a "
        "folder with the files of STAR, HTSeq, featureCounts, RSEM (genes.results), Salmon or kallisto, one for each sample, in it "
        "or in subfolders.",
    ),
]
Samples = Annotated[
    Path | None,
    typer.Argument(
        exists=True,
        dir_okay=False,
        metavar="SAMPLES",
        help="Sample sheet (.tsv, .csv, .xlsx): a row for each sample; its name, as COUNTS has it, in the first column; what "
        "is known about it (treatment, batch, donor, ...) in the others, under a header. Leave it out where COUNTS is an .h5ad that holds it.",
    ),
]
Design = Annotated[
    str,
    typer.Option(
        help="Formula of what is known to move the counts, over columns of SAMPLES: '~ batch + treatment'. Names with spaces go "
        "in backticks, all of it in single quotes: '~ `cell line` + treatment'. Numbers are slopes unless a note says that they are taken for names of groups: "
        "C(batch) makes groups of them, slope(batch) a slope.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the model's start and training.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as JSON on standard output, and nothing else there.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Write into a folder that is not empty, in place of an older result.")
]
SampleColumn = Annotated[
    str | None, typer.Option(help="Column of SAMPLES with the names of the samples, if not the first.")
]
Match = Annotated[
    str,
    typer.Option(
        help="How names in COUNTS and SAMPLES are compared: exact, case, r_names (dots for dashes), file_names (without folder "
        "and .bam), affix (without what all have before or after), numbers (1 for 01 and 1.0), prefix (one begins with the "
        "other, as patient and sample barcodes of TCGA), letters (letters and digits only). The error about names that do not "
        "match says which would do.",
    ),
]
SamplesIn = Annotated[str | None, typer.Option(help="columns or rows, if the names do not tell where the samples are.")]
GeneColumn = Annotated[str | None, typer.Option(help="Column of COUNTS with the gene ids, if not found.")]
Sheet = Annotated[
    list[str] | None,
    typer.Option(
        help="Sheet of a spreadsheet (.xlsx) with several. Where COUNTS and SAMPLES both are such files, give it twice, first "
        "for COUNTS."
    ),
]
Layer = Annotated[str | None, typer.Option(help="Layer of an .h5ad with the raw counts, if not X.")]
DuplicateGenes = Annotated[str, typer.Option(help="error, or sum: the rows of gene ids that repeat are added up.")]
Missing = Annotated[
    str, typer.Option(help="error, or zero: empty cells, and genes that a file of a folder lacks, mean no read.")
]
Round = Annotated[
    bool,
    typer.Option(
        "--round",
        help="Round expected counts (RSEM, tximport). Also lets raw counts pass that were drawn down to a million in each sample.",
    ),
]
Strandedness = Annotated[
    str | None, typer.Option(help="STAR's column: unstranded, forward or reverse, if the reads do not tell.")
]
Transcripts = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="For Salmon and kallisto: table of transcripts and genes, or a .gtf."
    ),
]
DropIncomplete = Annotated[
    bool,
    typer.Option(
        "--drop-incomplete",
        help="Leave out samples for which a column of the design (or the donor) is missing; a note names them.",
    ),
]
SizeFactors = Annotated[
    str, typer.Option(help="median_of_ratios, poscounts (for counts with many zeros), or a column of SAMPLES.")
]
ControlGenes = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|NAMES",
        help="Genes that do not change, such as spike-ins or housekeeping genes, to estimate size factors from: a file with a "
        "name on each line, names separated by commas, or the beginning of their names (ERCC-). Zero then stays where they put it.",
    ),
]
CompositionShift = Annotated[
    bool | None,
    typer.Option(
        "--composition-shift/--no-composition-shift",
        help="Whether the shift that most effects share is subtracted from all of them. By default only if size factors were "
        "estimated from all genes; those of a column or of control genes decide where zero is.",
        show_default=False,
    ),
]
MinCounts = Annotated[int, typer.Option(min=1, help="Genes with fewer counts over all samples are left out.")]


class HowToRead(NamedTuple):
    """What the options say about COUNTS and SAMPLES."""

    sample_column: str | None
    match: Any
    samples_in: Any
    gene_column: str | None
    layer: str | None
    duplicate_genes: Any
    missing: Any
    round_counts: bool
    strandedness: Any
    transcripts: Path | None
    lengths: Path | None
    genes: Path | None
    sheet: list[str] | None = None


def read(counts: Path, samples: Path | None, how: HowToRead) -> "AnnData":
    """Samples x genes, with the sample sheet as ``obs``."""
    from bulkvi import io

    options = how._asdict()
    sample_column = options.pop("sample_column")
    if samples is None and counts.suffix.lower() != ".h5ad":
        raise ValueError(
            f"SAMPLES is missing: {counts} does not say what its samples are. Give the sample sheet after it: a table with a row for "
            "each sample, its name in the first column. Only an .h5ad may hold it."
        )
    of_counts, of_samples = choose_sheets(counts, samples or counts, options.pop("sheet") or [])
    if samples is None or samples.suffix.lower() == ".h5ad":
        if sample_column is not None:
            raise ValueError(f"--sample-column {sample_column}: an .h5ad names its samples itself. Leave it out.")
        adata = io.read_counts(counts, samples, sheet=of_counts, **options)
        check_columns(adata.obs)
        return adata
    table = io.read_samples(samples, sample_column=sample_column, sheet=of_samples)
    check_columns(table)
    return io.read_counts(counts, table, sheet=of_counts, **options)


def in_words(adata: "AnnData") -> str:
    """What was read, and how."""
    from bulkvi.names import COUNTS_SOURCE

    facts = adata.uns[COUNTS_SOURCE]
    where = {"rows": ", the samples in its rows", "columns": ", the samples in its columns"}.get(
        facts["samples_in"], ""
    )
    told = {
        "exact": "",
        "file_names": "; names of files without folder and ending",
    }.get(facts["match"], f"; names matched by {facts['match']}")
    strand = f"; {facts['strandedness']}" if "strandedness" in facts else ""
    lost = f"; {facts['lost_reads']:.2%} of the reads lost" if facts.get("lost_reads") else ""
    symbols = f"; symbols of {facts['n_symbols'] / adata.n_vars:.0%} of the genes" if "n_symbols" in facts else ""
    totals = adata.X.sum(axis=1)
    return (
        f"{adata.n_obs} samples x {adata.n_vars:,} genes ({facts['format']}{where}{told}{strand}{lost}{symbols}); "
        f"{totals.min():,} to {totals.max():,} counts a sample"
    )


def add_size_factors(adata: "AnnData", chosen: str, control_genes: str | None = None) -> str | None:
    """Put size factors into ``obs["size_factor"]``, by a method or from a column; and return the offset's layer, if any.

    Raises
    ------
    ValueError
        If the choice is neither a method nor a column, the column does not hold numbers above 0, or control genes are given
        with a column.
    KeyError
        If there are no such control genes.
    """
    from bulkvi import pp
    from bulkvi.names import LENGTH, SIZE_FACTOR

    offset = LENGTH if LENGTH in adata.layers else None
    if SIZE_FACTOR in adata.obs and chosen != SIZE_FACTOR:
        warnings.warn(
            f"The column {SIZE_FACTOR!r} of the sample sheet is not used, and is not in the results: size factors are those of "
            f"{chosen}. To take the column, add --size-factors {SIZE_FACTOR}.",
            UserWarning,
            stacklevel=1,
        )
    if chosen in ("median_of_ratios", "poscounts"):
        genes = None if control_genes is None else find_control_genes(adata, control_genes)
        pp.size_factors(adata, method=chosen, offset_key=offset, control_genes=genes)  # type: ignore[arg-type]
    elif control_genes is not None:
        raise ValueError(
            f"--control-genes with --size-factors {chosen}: size factors are either estimated from control genes "
            "(--size-factors median_of_ratios or poscounts) or taken from a column. Leave one of the two out."
        )
    elif chosen in adata.obs:
        adata.obs[SIZE_FACTOR] = _size_factor_column(adata.obs[chosen], chosen)
    else:
        raise ValueError(
            f"--size-factors {chosen}: give median_of_ratios, poscounts, or a column of the sample sheet, which has "
            f"{list(adata.obs.columns)}."
        )
    return offset


def _size_factor_column(column: "pd.Series", name: str) -> "pd.Series":
    from numpy import inf
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(column) and not is_bool_dtype(column):
        wrong = column[~((column > 0) & (column < inf))]
    else:
        wrong = column
    if len(wrong):
        raise ValueError(
            f"--size-factors {name}: size factors are numbers above 0, and that column of the sample sheet has "
            f"{wrong.iloc[0]!s} for sample {str(wrong.index[0])!r}. Name another column, or leave the option out: then they are "
            "computed from the counts."
        )
    return column
