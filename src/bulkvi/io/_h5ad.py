"""Counts in an AnnData file."""

import warnings
from pathlib import Path

import pandas as pd
from anndata import AnnData, read_h5ad

from bulkvi.io._gene_names import SYMBOL_COLUMNS, plain
from bulkvi.io._left_out import say_left_out
from bulkvi.io._orientation import SamplesIn, samples_in
from bulkvi.io._sample_names import Match, matched
from bulkvi.names import SYMBOL


def read_obs(path: Path, given: SamplesIn | None) -> pd.DataFrame:
    """What an ``.h5ad`` says about its samples.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, or two samples have one name.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file or folder {path}.")
    try:
        with warnings.catch_warnings(action="ignore"):  # names that repeat have an error below
            adata = read_h5ad(path, backed="r")
        sheet = (adata.var if given == "columns" else adata.obs).copy()
        adata.file.close()
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: it is no .h5ad, or cut short. Copy it or write it again.") from error
    repeated = sheet.index[sheet.index.duplicated()].unique().tolist()
    if repeated:
        raise ValueError(
            f"{path}: sample names must be unique; {len(repeated)} occur more than once, first {repeated[0]!r}. Make obs_names unique, "
            "or give a sample sheet."
        )
    return sheet


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
