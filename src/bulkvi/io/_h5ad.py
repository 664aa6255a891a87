"""Counts in an AnnData file."""

import warnings
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from anndata import AnnData, read_h5ad
from scipy import sparse

from bulkvi.arguments import warn_user
from bulkvi.io._genes import SYMBOL_COLUMNS, GeneCounts, NamedMatrix, plain_label
from bulkvi.io._sample_names import Match, SamplesIn, find_samples, match_samples
from bulkvi.names import SYMBOL

HDF5: Final = b"\x89HDF\r\n\x1a\n"


def read_obs(path: Path, given: SamplesIn | None) -> pd.DataFrame:
    """Read the table of samples of an ``.h5ad``: ``obs``, or ``var`` if the samples are its columns."""
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    adata = _open(path, backed="r")
    sheet = (adata.var if given == "columns" else adata.obs).copy()
    adata.file.close()
    repeated = sheet.index[sheet.index.duplicated()].unique().tolist()
    if repeated:
        raise ValueError(
            f"{path}: sample names must be unique; {len(repeated)} occur more than once, first {repeated[0]!r}. Make obs_names unique, "
            "or give a sample sheet."
        )
    return sheet


def read_anndata(
    path: Path, samples: pd.DataFrame, *, match: Match, given: SamplesIn | None, layer: str | None
) -> tuple[AnnData, NamedMatrix, dict[str, str]]:
    """Return the samples of a sheet, their unchecked numbers in ``X`` or the layer, and how they were read."""
    adata = _open(path)
    adata.var_names, adata.obs_names = (
        names.map(lambda name: str(name).strip()) for names in (adata.var_names, adata.obs_names)
    )
    wanted = samples.index.tolist()
    side = given or find_samples(adata.var_names.tolist(), adata.obs_names.tolist(), wanted, match, path.name)
    if side == "columns":
        adata = adata.T.copy()
    given_names = adata.obs_names.tolist()
    chosen = match_samples(given_names, samples, match, path.name)
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"layer={layer!r} is not in {path}; its layers are {layers}.")
    if layer is None and adata.X is None:
        raise ValueError(f"{path} has no X: name the layer with raw counts as layer; its layers are {layers}.")
    adata = adata[[given_names.index(name) for name in chosen]].copy()
    adata.obs = samples.copy()
    columns = [name for name in map(str, adata.var.columns) if plain_label(name) in SYMBOL_COLUMNS]
    if columns and SYMBOL not in adata.var:
        adata.var[SYMBOL] = adata.var[columns[0]]
    numbers = _named_matrix(adata.X if layer is None else adata.layers[layer], adata, path.name)
    return adata, numbers, {"format": "h5ad", "samples_in": side, "match": match}


def with_counts(adata: AnnData, genes: GeneCounts, source: str) -> AnnData:
    """Return the object with the checked counts in ``X``, one column per gene."""
    if len(genes.rows) < adata.n_vars and adata.layers and len(set(adata.var_names)) < adata.n_vars:
        layers = list(adata.layers)
        warn_user(f"{source}: layers are not summed with the counts, and were left out: {layers}.")
        for name in layers:
            del adata.layers[name]
    counts = genes.counts.T
    with warnings.catch_warnings(action="ignore"):  # on names that repeat until X is set
        if not np.array_equal(genes.rows, np.arange(adata.n_vars)):
            adata = adata[:, genes.rows].copy()
        adata.var_names = pd.Index(genes.names)
    adata.X = sparse.csr_matrix(counts) if sparse.issparse(counts) else np.ascontiguousarray(counts)
    return adata


def _open(path: Path, backed: Literal["r"] | None = None) -> AnnData:
    with path.open("rb") as file:
        start = file.read(8)
    if start != HDF5:
        raise ValueError(
            f"{path} is no .h5ad file, whatever its name says, or its beginning is damaged. Write it again with "
            "AnnData.write_h5ad, or give a table its own ending (.csv, .tsv, .xlsx)."
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # about names that repeat, which are checked later
            return read_h5ad(path, backed=backed)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
        reason = (
            "it is cut off"
            if any(word in str(error) for word in ("truncated", "eof"))
            else "it is cut off, damaged or no AnnData"
        )
        raise ValueError(
            f"{path} cannot be read: {reason}. Copy or download it again and compare its size with the original, or write it "
            "again with AnnData.write_h5ad."
        ) from error


def _named_matrix(values: Any, adata: AnnData, source: str) -> NamedMatrix:
    genes, samples = adata.var_names.tolist(), adata.obs_names.tolist()
    if hasattr(values, "compute"):
        values = values.compute()
    dtype = np.dtype(values.dtype)
    if not sparse.issparse(values):
        values = np.asarray(values)
        _warn_of_rounding(values, dtype, source)
        # a table checks its columns, which are the samples
        return NamedMatrix(pd.DataFrame(values.T, index=genes, columns=samples), genes, samples)
    try:
        matrix = sparse.csr_matrix(values)
        matrix.check_format(full_check=True)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{source}: its sparse matrix is damaged. Write the file again.") from error
    _warn_of_rounding(matrix.data, dtype, source)
    if dtype.kind in "iuf" and dtype.itemsize < 8:  # so that entries stored twice add up
        matrix = matrix.astype(np.int64 if dtype.kind in "iu" else np.float64)
    matrix = sparse.csr_matrix(matrix.T)
    matrix.sum_duplicates()
    return NamedMatrix(matrix, genes, samples)


def _warn_of_rounding(values: np.ndarray, dtype: np.dtype, source: str) -> None:
    """Warn if the floating point type may have rounded counts."""
    if dtype.kind != "f" or dtype.itemsize >= 8 or not values.size:
        return
    largest = 2 ** (np.finfo(dtype).nmant + 1)
    rounded = np.isfinite(values) & (values > largest)
    if rounded.any():
        warn_user(
            f"{source}: {rounded.sum():,} values are above {largest:,}, up to which {dtype} holds whole numbers exactly: they may have been "
            "rounded when the file was written."
        )
