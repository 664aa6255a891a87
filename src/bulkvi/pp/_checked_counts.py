"""The count matrix of an AnnData, after the checks that every step on counts needs."""

import pandas as pd
from anndata import AnnData

from bulkvi.stats.blocks import RowMatrix, by_rows
from bulkvi.stats.counts import check_counts


def checked_counts(adata: AnnData, layer: str | None) -> RowMatrix:
    """Return the matrix of raw counts, sliceable by rows, or say what is wrong with it.

    Parameters
    ----------
    adata
        Samples x genes.
    layer
        Layer that holds the counts; None for ``adata.X``.

    Returns
    -------
    ``adata.X`` or the layer; as CSR where it is stored by columns.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData or does not hold numbers.
    KeyError
        If there is no such layer.
    ValueError
        If there is no ``X``, if sample or gene names are not unique, or if
        :func:`~bulkvi.stats.counts.check_counts` finds something that is not a count.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"`adata` must be an AnnData (samples x genes), not {type(adata).__name__}.")
    check_unique(adata.obs_names, "sample names (adata.obs_names)", "adata.obs_names_make_unique()")
    check_unique(adata.var_names, "gene names (adata.var_names)", "adata.var_names_make_unique()")
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if layer is not None and layer not in layers:
        raise KeyError(f"no layer {layer!r} in adata.layers; it has {layers}.")
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError(f"adata.X is empty; name the layer that holds the counts: {layers}.")
    matrix = "adata.X" if layer is None else f"adata.layers[{layer!r}]"
    counts = by_rows(x)
    check_counts(counts, sample_names=adata.obs_names.tolist(), gene_names=adata.var_names.tolist(), matrix=matrix)
    return counts


def check_unique(names: pd.Index, what: str, remedy: str) -> None:
    """Raise a ValueError that shows the first duplicated names, or do nothing."""
    if names.is_unique:
        return
    duplicated = list(dict.fromkeys(names[names.duplicated()]))
    raise ValueError(
        f"{what} must be unique; {len(duplicated)} occur more than once: {duplicated[:5]}. Rename or merge them, or "
        f"call {remedy}."
    )
