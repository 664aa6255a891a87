"""Offsets of single counts: the layer that holds them, and what they are relative to."""

from anndata import AnnData

from bulkvi.stats.counts.counts import Offset, check_offset


def checked_offset(adata: AnnData, key: str) -> Offset:
    """Return the factors of a layer, relative to their means over these samples, or say what is wrong with them.

    Parameters
    ----------
    adata
        Samples x genes.
    key
        Name of a layer.

    Raises
    ------
    TypeError
        If ``key`` is not a name, or the layer does not hold numbers.
    KeyError
        If there is no such layer.
    ValueError
        If `bulkvi.stats.counts.counts.check_offset` finds a factor that is not finite and > 0.
    """
    if not isinstance(key, str):
        raise TypeError(
            f"`offset_key` must be the name of a layer, not {type(key).__name__}: put the factors (samples x genes) into "
            "adata.layers['offset'] and give offset_key='offset'."
        )
    layers = [name for name in adata.layers if name is not None]  # anndata 0.13 lists X as the layer None
    if key not in layers:
        raise KeyError(
            f"offset_key={key!r} is not a layer of adata; it has {layers}. Put the factors (samples x genes) into "
            f"adata.layers[{key!r}]."
        )
    return check_offset(
        adata.layers[key],
        sample_names=adata.obs_names.tolist(),
        gene_names=adata.var_names.tolist(),
        matrix=f"adata.layers[{key!r}]",
    )
