"""Counts in an AnnData file."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from scipy import sparse

from bulkvi.io._gene_names import SYMBOL_COLUMNS, plain
from bulkvi.io._genes import Genes, Numbers
from bulkvi.io._left_out import say_left_out
from bulkvi.io._orientation import SamplesIn, samples_in
from bulkvi.io._sample_names import Match, matched
from bulkvi.names import SYMBOL

HDF5 = b"\x89HDF\r\n\x1a\n"


class FoundAnnData(NamedTuple):
    """Numbers of an ``.h5ad`` and the object they are in."""

    adata: AnnData
    """The samples of the sheet in its order; ``X`` is not yet checked."""
    numbers: Numbers
    """What ``X`` or the layer holds."""
    facts: dict[str, str]
    """How the file was read, for ``uns``."""


def read_anndata(
    path: Path, samples: pd.DataFrame, *, match: Match, given: SamplesIn | None, layer: str | None
) -> FoundAnnData:
    """Find the counts of the samples of a sheet in ``X`` or a layer.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If the file cannot be read, or the samples of the sheet are not in it.
    """
    adata = _open(path)
    adata.var_names, adata.obs_names = (
        names.map(lambda name: str(name).strip()) for names in (adata.var_names, adata.obs_names)
    )
    wanted = samples.index.tolist()
    side = given or samples_in(adata.var_names.tolist(), adata.obs_names.tolist(), wanted, match, path.name)
    if side == "columns":
        adata = adata.T.copy()
    given_names = adata.obs_names.tolist()
    chosen = matched(given_names, samples, match, path.name)
    say_left_out(sorted(set(given_names) - set(chosen)), path.name)
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"layer={layer!r} is not in {path}; its layers are {layers}.")
    if layer is None and adata.X is None:
        raise ValueError(f"{path} has no X: name the layer with raw counts as layer; its layers are {layers}.")
    adata = adata[[given_names.index(name) for name in chosen]].copy()
    adata.obs = samples.copy()
    columns = [name for name in map(str, adata.var.columns) if plain(name) in SYMBOL_COLUMNS]
    if columns and SYMBOL not in adata.var:
        adata.var[SYMBOL] = adata.var[columns[0]]
    numbers = _numbers(adata.X if layer is None else adata.layers[layer], adata, path.name)
    return FoundAnnData(adata, numbers, {"format": "h5ad", "samples_in": side, "match": match})


def with_counts(adata: AnnData, genes: Genes, source: str) -> AnnData:
    """The object with checked counts in ``X``, a column for each gene."""
    if len(genes.rows) < adata.n_vars and adata.layers and len(set(adata.var_names)) < adata.n_vars:
        layers = list(adata.layers)
        warnings.warn(
            f"{source}: layers are not summed as the counts are, and were left out: {layers}.",
            UserWarning,
            stacklevel=2,
        )
        for name in layers:
            del adata.layers[name]
    counts = genes.counts.T
    with warnings.catch_warnings(action="ignore"):  # on names that repeat until X is set
        if not np.array_equal(genes.rows, np.arange(adata.n_vars)):
            adata = adata[:, genes.rows].copy()
        adata.var_names = pd.Index(genes.names)
    adata.X = sparse.csr_matrix(counts) if sparse.issparse(counts) else np.ascontiguousarray(counts)
    return adata


def _open(path: Path) -> AnnData:
    with path.open("rb") as file:
        start = file.read(8)
    if start != HDF5:
        raise ValueError(
            f"{path} is no .h5ad file, whatever its name says, or its beginning is damaged. Write it again with "
            "AnnData.write_h5ad, or give a table its own ending (.csv, .tsv, .xlsx)."
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # on names that repeat, which are checked below
            return read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        said = " ".join(str(error).split())
        reason = "it is cut off" if "truncated" in said or "eof" in said else "it is cut off, damaged or no AnnData"
        raise ValueError(
            f"{path} cannot be read: {reason}. Copy or download it again and compare its size with the original, or write it "
            "again with AnnData.write_h5ad."
        ) from error


def _numbers(values: Any, adata: AnnData, source: str) -> Numbers:
    genes, samples = adata.var_names.tolist(), adata.obs_names.tolist()
    if hasattr(values, "compute"):
        values = values.compute()
    dtype = np.dtype(values.dtype)
    if not sparse.issparse(values):
        values = np.asarray(values)
        _report_rounded(values, dtype, source)
        # a table checks its columns, which are the samples
        return Numbers(pd.DataFrame(values.T, index=genes, columns=samples), genes, samples)
    try:
        matrix = sparse.csr_matrix(values)
        matrix.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{source}: its sparse matrix is damaged. Write the file again.") from error
    _report_rounded(matrix.data, dtype, source)
    if dtype.kind in "iuf" and dtype.itemsize < 8:  # so that entries stored twice add up
        matrix = matrix.astype(np.int64 if dtype.kind in "iu" else np.float64)
    matrix = sparse.csr_matrix(matrix.T)
    matrix.sum_duplicates()
    return Numbers(matrix, genes, samples)


def _report_rounded(values: np.ndarray, dtype: np.dtype, source: str) -> None:
    """Warn where a floating point type of few digits may have rounded counts."""
    if dtype.kind != "f" or dtype.itemsize >= 8 or not values.size:
        return
    largest = 2 ** (np.finfo(dtype).nmant + 1)
    rounded = np.isfinite(values) & (values > largest)
    if rounded.any():
        warnings.warn(
            f"{source}: {rounded.sum():,} values are above {largest:,}, up to which {dtype} holds whole numbers exactly: they may have been "
            "rounded when the file was written.",
            UserWarning,
            stacklevel=2,
        )
