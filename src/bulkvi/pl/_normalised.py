"""Counts per unit size factor of some genes, and which genes those are."""

from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from bulkvi.names import SYMBOL

BLOCK_ELEMENTS: Final = 10_000_000
"""Counts that are read at once."""


def find_gene(adata: AnnData, gene: str) -> int:
    """Position of a gene in ``var``, by its name or by a symbol that stands there once."""
    found = np.flatnonzero(adata.var_names == gene)
    where = "adata.var_names"
    if not found.size and SYMBOL in adata.var:
        found = np.flatnonzero((adata.var[SYMBOL] == gene).to_numpy(dtype=bool, na_value=False))
        where = f"adata.var[{SYMBOL!r}]"
    if not found.size:
        symbols = f" and no such symbol in adata.var[{SYMBOL!r}]" if SYMBOL in adata.var else ""
        raise KeyError(f"no gene {gene!r} in adata.var_names, which holds {list(adata.var_names[:3])} ...{symbols}.")
    if found.size > 1:
        several = list(adata.var_names[found[:5]])
        raise ValueError(f"{gene!r} stands {found.size} times in {where}: choose one of {several} by a unique name.")
    return int(found[0])


def symbol_of(adata: AnnData, position: int) -> str:
    """Symbol of a gene, or its name where there is none."""
    name = str(adata.var_names[position])
    symbol = adata.var[SYMBOL].iloc[position] if SYMBOL in adata.var else name
    return name if pd.isna(symbol) or symbol == "" else str(symbol)


def check_size_factors(adata: AnnData, size_factor_key: str) -> np.ndarray:
    """Size factors of the samples, or an error that says how to make them."""
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    if size_factor_key not in adata.obs:
        raise KeyError(
            f"no size factors {size_factor_key!r} in adata.obs; it has {list(adata.obs.columns)}. "
            "bulkvi.pp.size_factors(adata) makes them."
        )
    factors = adata.obs[size_factor_key].to_numpy(dtype=float, na_value=np.nan)
    wrong = ~(np.isfinite(factors) & (factors > 0))
    if wrong.any():
        raise ValueError(
            f"adata.obs[{size_factor_key!r}] must be finite and > 0; it is {factors[wrong][0]} in sample "
            f"{adata.obs_names[wrong][0]!r} and wrong in {wrong.sum()} of {adata.n_obs} samples."
        )
    return factors


def normalised(
    adata: AnnData, genes: np.ndarray, *, size_factor_key: str, layer: str | None, offset_key: str | None
) -> np.ndarray:
    """Count / size factor (/ relative offset) of every sample and of the genes at these positions of ``var``.

    Raises
    ------
    KeyError
        If there are no size factors, or no such layer.
    ValueError
        If a size factor or an offset is not positive, or a count is negative or not finite.
    """
    factors = check_size_factors(adata, size_factor_key)
    counts = _read(adata, genes, layer)
    wrong = ~(np.isfinite(counts) & (counts >= 0))
    if wrong.any():
        sample, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"counts must be finite and >= 0; sample {adata.obs_names[sample]!r} has {counts[sample, gene]:g} of gene "
            f"{adata.var_names[genes[gene]]!r}. Give raw counts, in X or in a layer."
        )
    values = counts / factors[:, None]
    return values if offset_key is None else values / _relative_offset(adata, genes, offset_key)


def _relative_offset(adata: AnnData, genes: np.ndarray, offset_key: str) -> np.ndarray:
    """Offsets of some genes in every sample, relative to the geometric mean of the gene."""
    factors = _read(adata, genes, offset_key)
    wrong = ~(np.isfinite(factors) & (factors > 0))
    if wrong.any():
        sample, gene = np.argwhere(wrong)[0]
        raise ValueError(
            f"adata.layers[{offset_key!r}] must be finite and > 0; it is {factors[sample, gene]:g} in sample "
            f"{adata.obs_names[sample]!r} at gene {adata.var_names[genes[gene]]!r}."
        )
    return factors / np.exp(np.log(factors).mean(0))


def _read(adata: AnnData, genes: np.ndarray, layer: str | None) -> np.ndarray:
    """Columns of ``X`` or of a layer."""
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"no layer {layer!r} in adata.layers; it has {layers}.")
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        raise ValueError("adata.X is empty; name the layer that holds the counts.")
    ascending, back = np.unique(genes, return_inverse=True)  # a file can only be read in this order
    columns = matrix[:, ascending.tolist()]
    columns = columns.compute() if hasattr(columns, "compute") else columns
    dense = np.asarray(columns.toarray() if sparse.issparse(columns) else columns, dtype=float)
    return dense[:, back]
