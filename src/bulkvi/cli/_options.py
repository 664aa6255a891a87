"""Arguments and options that several commands share, and the questions of ``bulkvi de``."""

from pathlib import Path
from typing import Annotated

import typer

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
        "in backticks, all of it in single quotes: '~ `cell line` + treatment'. Numbers are slopes; a note names those that are taken for names of groups: "
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
        "match names the one that would help.",
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
Lengths = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Table of average transcript lengths for COUNTS (nf-core's salmon.merged.gene_lengths.tsv): an offset, as with "
        "Salmon's folders.",
    ),
]
Genes = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Symbols of genes: a table with gene ids and symbols, or a .gtf."),
]
SumReplicates = Annotated[
    str | None,
    typer.Option(
        help="Column of SAMPLES with the library of each sample: samples of one (lanes, runs) are technical replicates, and their "
        "counts are summed."
    ),
]
Contrasts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN TEST REFERENCE",
        help="Two groups to compare: up means more in TEST than in REFERENCE. It may be given again, for several questions to "
        "one trained model; so may --slope, --weights and --omnibus.",
    ),
]
Slopes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Numeric column of the design: the log2 change per unit of it. Up means that expression rises with it.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="'COLUMN=WEIGHT,...'",
        help="Any other contrast, such as an interaction: weights of columns of the design matrix, "
        "'dose[T.high]=1,dose[T.low]=-1/2', "
        "or 'genotype[T.mutant]:treatment[T.drug]=1'. The error about an unknown column lists them.",
    ),
]
Omnibus = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the design: any difference between its levels, or any effect of its numbers (omnibus test by "
        "likelihood ratio).",
    ),
]
Delta = Annotated[
    float,
    typer.Option(
        metavar="LOG2",
        help="Smallest effect that matters, log2 (of a slope per unit): p-values test for a larger one.",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE",
        help="Reference cohort of the same tissue, from `bulkvi reference build`: directions and dispersions of its genes are a prior.",
    ),
]
