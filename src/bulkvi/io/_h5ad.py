"""Counts in an AnnData file."""

from pathlib import Path

import pandas as pd
from anndata import AnnData, read_h5ad

from bulkvi.io._gene_names import SYMBOL_COLUMNS, plain
from bulkvi.io._left_out import say_left_out
from bulkvi.io._orientation import SamplesIn, samples_in
from bulkvi.io._sample_names import Match, matched
from bulkvi.names import SYMBOL


def read_anndata(
    path: Path, samples: pd.DataFrame, *, match: Match, given: SamplesIn | None, layer: str | None
) -> tuple[AnnData, dict[str, str]]:
    """The samples of a sheet in its order, counts in ``X`` and not yet checked; and how they were read.

    Raises
    ------
    KeyError
        If there is no such layer.
    ValueError
        If the samples of the sheet are not in the file.
    """
    adata = read_h5ad(path)
    wanted = samples.index.tolist()
    side = given or samples_in(adata.var_names.tolist(), adata.obs_names.tolist(), wanted, match, path.name)
    if side == "columns":
        adata = adata.T.copy()
    chosen = matched(adata.obs_names.tolist(), samples, match, path.name)
    say_left_out(sorted(set(adata.obs_names) - set(chosen)), path.name)
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"layer={layer!r} is not in {path}; its layers are {layers}.")
    if layer is None and adata.X is None:
        raise ValueError(f"{path} has no X: name the layer with raw counts as layer; its layers are {layers}.")
    adata = adata[chosen].copy()
    if layer is not None:
        adata.X = adata.layers[layer].copy()
    adata.obs = samples.copy()
    columns = [name for name in map(str, adata.var.columns) if plain(name) in SYMBOL_COLUMNS]
    if columns and SYMBOL not in adata.var:
        adata.var[SYMBOL] = adata.var[columns[0]]
    return adata, {"format": "h5ad", "samples_in": side, "match": match}
