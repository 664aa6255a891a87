"""Options for files beside COUNTS, and for replicates whose counts are summed, which several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anndata import AnnData

Lengths = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Table of average transcript lengths beside COUNTS (nf-core's salmon.merged.gene_lengths.tsv): an offset, as with "
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


def sum_replicates(
    adata: "AnnData", column: str | None, in_design: set[str], donor: str | None, size_factors: str
) -> "AnnData":
    """Sum the counts of technical replicates, if a column of them was given.

    Raises
    ------
    ValueError
        If there is no such column, if samples of one library differ in the design, or if size factors of single samples
        were given.
    """
    from bulkvi import pp

    if column is None:
        return adata
    if column not in adata.obs:
        raise ValueError(
            f"--sum-replicates {column}: the sample sheet has no such column; it has {list(adata.obs.columns)}."
        )
    if size_factors in adata.obs:
        raise ValueError(
            f"--sum-replicates {column} and --size-factors {size_factors}: that column belongs to the single samples. Leave it out, or "
            "sum counts and size factors beforehand."
        )
    return pp.sum_replicates(adata, column, constant=sorted(in_design if donor is None else in_design | {donor}))
