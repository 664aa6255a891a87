"""Files beside the counts: average lengths of transcripts, and symbols of genes."""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from bulkvi.io._annotation import GENE, GENE_SYMBOL, match_ids, read_annotation
from bulkvi.io._count_tables import read_count_table
from bulkvi.io._sample_names import Match
from bulkvi.names import COUNTS_SOURCE, LENGTH, SYMBOL

MOST: Final = 0.5
"""Share of reads in genes that a table lacks from which it is taken for a wrong one."""
LENGTHS_ALIKE: Final = (
    "Lengths by sample are needed, as nf-core's salmon.merged.gene_lengths.tsv or tximport's `length` holds them; one length for each "
    "gene is the same in all samples and cancels in comparisons: leave it out."
)


def add_lengths(adata: AnnData, path: Path, samples: pd.DataFrame, *, match: Match) -> None:
    """Put the lengths of a table of genes x samples into ``layers["length"]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there are lengths already, samples or the genes of most reads are not in the table, or a length is not above 0.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if LENGTH in adata.layers:
        raise ValueError(f"The counts come with lengths of their own. Leave lengths={str(path)!r} out.")
    try:
        found = read_count_table(path, samples, match=match, given=None, gene_column=None)
    except ValueError as error:
        raise ValueError(f"lengths={str(path)!r}: {error} {LENGTHS_ALIKE}") from error
    table = found.counts.apply(pd.to_numeric, errors="coerce")
    wrong = ~(np.isfinite(table) & (table > 0))
    if wrong.any(axis=None):
        gene, sample = (int(k) for k in np.argwhere(wrong.to_numpy())[0])
        raise ValueError(
            f"{path}: {int(wrong.to_numpy().sum()):,} lengths are not finite numbers above 0, first {found.counts.iat[gene, sample]} of gene "
            f"{table.index[gene]!r} in sample {table.columns[sample]!r}. Give average lengths in bases, as the quantifier wrote them."
        )
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{path}: {len(repeated)} genes occur more than once, first {repeated[0]!r}. Leave one row for each."
        )
    rows = match_ids(adata.var_names, {name: name for name in table.index})
    share = _say_missing(
        adata, rows.values, path, f"have no length{rows.in_words()}; theirs are taken to be the same in all samples"
    )
    values = np.ones(adata.shape)
    there = adata.var_names.isin(list(rows.values))
    values[:, there] = table.loc[[rows.values[name] for name in adata.var_names[there]]].to_numpy(float).T
    adata.layers[LENGTH] = values
    adata.uns[COUNTS_SOURCE] |= {"lengths": str(path), "reads_without_length": share}


def add_symbols(adata: AnnData, path: Path) -> None:
    """Put the symbols of an annotation into ``var["symbol"]``; genes that it lacks keep theirs, or their id.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no symbols, or none of these genes.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    annotation = read_annotation(path, wanted=adata.var_names, column=GENE)
    if GENE_SYMBOL not in annotation:
        raise ValueError(
            f"{path} has no symbols. Give a table with a column gene_id and a column symbol, or a .gtf with gene_name."
        )
    named = annotation[annotation[GENE_SYMBOL] != ""].drop_duplicates(GENE)
    symbols = match_ids(adata.var_names, dict(zip(named[GENE], named[GENE_SYMBOL], strict=True)))
    if not symbols.values:
        raise ValueError(
            f"{path} has none of the {adata.n_vars:,} genes: the counts have {adata.var_names[:3].tolist()}, the file has "
            f"{annotation[GENE].tolist()[:3]}. Give the annotation that the reads were counted with."
        )
    before = adata.var[SYMBOL] if SYMBOL in adata.var else adata.var_names
    adata.var[SYMBOL] = [symbols.values.get(gene, old) for gene, old in zip(adata.var_names, before, strict=True)]
    found = len(symbols.values)
    if found < adata.n_vars or symbols.in_words():
        warnings.warn(
            f"{path.name}: symbols of {found:,} of the {adata.n_vars:,} genes ({found / adata.n_vars:.0%}) were found{symbols.in_words()}"
            + (f"; not of {_examples(adata, symbols.values)}." if found < adata.n_vars else "."),
            UserWarning,
            stacklevel=3,
        )
    adata.uns[COUNTS_SOURCE] |= {"genes": str(path), "n_symbols": found}


def _say_missing(adata: AnnData, found: dict[str, str], path: Path, what: str) -> float:
    """The share of reads in genes that were not found; a warning says it, an error if it is most of them."""
    absent = ~adata.var_names.isin(list(found))
    if not absent.any():
        return 0.0
    reads = np.asarray(adata.X.sum(axis=0) if sparse.issparse(adata.X) else adata.X.sum(axis=0), dtype=float).ravel()
    share = float(reads[absent].sum() / max(reads.sum(), 1))
    said = f"{path.name}: {absent.sum():,} of the {adata.n_vars:,} genes, with {share:.2%} of the reads, {what}: {_examples(adata, found)}."
    if share > MOST or not found:
        raise ValueError(f"{said} Give the table that belongs to these counts.")
    warnings.warn(said, UserWarning, stacklevel=4)
    return round(share, 6)


def _examples(adata: AnnData, found: dict[str, str]) -> str:
    absent = [name for name in adata.var_names if name not in found]
    return ", ".join(map(repr, absent[:3])) + (" ..." if len(absent) > 3 else "")
