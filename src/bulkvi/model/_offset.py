"""Offsets of single counts: the layer that holds them, and what they are relative to."""

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField

from bulkvi.names import OFFSET
from bulkvi.stats.blocks import by_rows, read_rows
from bulkvi.stats.offsets import Offset, check_offset

LOG_MEAN = "log_geometric_mean"


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
        If :func:`~bulkvi.stats.offsets.check_offset` finds a factor that is not finite and > 0.
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


class OffsetField(LayerField):
    """Layer with offsets. New samples keep the geometric means of the first ones.

    The layer stays as it is, in its own unit; what its factors are relative to stands in the state registry and goes with
    the model wherever that goes.
    """

    def __init__(self, key: str):
        super().__init__(OFFSET, key, is_count_data=False, correct_data_format=False)

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Check the factors and take their geometric means over the samples."""
        offset = checked_offset(adata, str(self.attr_key))
        return super().register_field(adata) | {LOG_MEAN: offset.log_mean}

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Check the factors of new samples, which are relative to the geometric means of the first ones."""
        state = super().transfer_field(state_registry, adata_target, **kwargs)
        return state | {LOG_MEAN: state_registry[LOG_MEAN]}


def log_offset_means(registry: dict[str, Any]) -> np.ndarray | None:
    """Natural log of what the offsets of a model's genes are relative to, or None without an offset."""
    field = registry["field_registries"].get(OFFSET)
    return None if field is None else field["state_registry"][LOG_MEAN]


def fill_offset(adata: AnnData, registry: dict[str, Any], known: pd.Index) -> None:
    """Give the genes that were added to samples, because a model has them, the offset that counts as 1.

    Parameters
    ----------
    adata
        Samples with all genes of the model, in its order. Only the layer with the offset changes.
    registry
        Registry of the model.
    known
        Genes that the samples were measured on.
    """
    means, key = log_offset_means(registry), registry["setup_args"].get("offset_key")
    added = ~adata.var_names.isin(known)
    if means is not None and added.any() and key in adata.layers:
        adata.layers[key] = np.where(added, np.exp(means), read_rows(adata.layers[key], slice(None)))


def log_exposure(manager: AnnDataManager) -> np.ndarray:
    """Natural log of what multiplies the rates of registered samples.

    Of the size factors, one a sample; with an offset, of size factor x relative offset, samples x genes.
    """
    size_factor = np.asarray(manager.get_from_registry(REGISTRY_KEYS.SIZE_FACTOR_KEY), dtype=float).ravel()
    means = log_offset_means(manager.registry)
    if means is None:
        return np.log(size_factor)
    offset = Offset(by_rows(manager.get_from_registry(OFFSET)), means)
    return np.log(size_factor)[:, None] + offset.log_relative()
