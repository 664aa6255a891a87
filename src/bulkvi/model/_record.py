"""A record of what was registered, so that labels, counts or genes that change afterwards are noticed."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData
from scvi.data.fields import BaseAnnDataField
from scvi.model.base import BaseModelClass

from bulkvi.stats.blocks import by_rows, read_rows

REGISTERED: Final = "_bulkvi_record"
"""Key in the registry."""
COLUMNS: Final = "columns"
GENES: Final = "genes"
MATRICES: Final = "matrices"
BLOCK: Final = 50
N_BLOCKS: Final = 4
"""Blocks of samples whose counts are compared, spread over all of them; all counts, if there are no more."""
AGAIN: Final = "Call setup_anndata again and train a new model, or undo the change."


class RecordField(BaseAnnDataField):
    """Hashes of the columns, and of some rows of the matrices, that a model reads; and the names of the genes.

    Parameters
    ----------
    columns
        Columns of obs.
    layers
        Layers; None for X.
    """

    def __init__(self, columns: Sequence[str], layers: Sequence[str | None]):
        super().__init__()
        self.columns = list(dict.fromkeys(columns))
        self.layers = list(layers)

    @property
    def registry_key(self) -> str:
        """Key of the field in the registry."""
        return REGISTERED

    @property
    def attr_name(self) -> str:
        """Attribute of the AnnData: the field stores nothing in it."""
        return "obs"

    @property
    def attr_key(self) -> None:
        """No key: the field stores nothing."""
        return

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to record."""
        return False

    def get_data_registry(self) -> dict[str, Any]:
        """Nothing that a minibatch would need."""
        return {}

    def validate_field(self, adata: AnnData) -> None:
        """Accept any samples."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Take the record of these samples."""
        return {
            COLUMNS: {name: _hash_of_column(adata.obs[name]) for name in self.columns},
            MATRICES: {str(layer): _hash_of_matrix(adata, layer) for layer in self.layers},
            GENES: adata.var_names.astype(str).tolist(),
        }

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Take the record of new samples."""
        return self.register_field(adata_target)

    def get_summary_stats(self, state_registry: dict) -> dict[str, int]:
        """No numbers."""
        return {}

    def view_state_registry(self, state_registry: dict) -> None:
        """No table."""


class RecordedMixin(BaseModelClass):
    """A model that notices when its samples change."""

    _recorded: AnnData | None = None
    _record: dict[str, Any]

    def _check_unchanged(self) -> None:
        """Raise ValueError if the samples of the model are not what was registered any more.

        The record is kept from the first time on: scvi-tools registers samples again when another model was made of them.
        """
        if self.adata is None:
            return
        if self._recorded is not self.adata:
            self._recorded, self._record = self.adata, recorded(self.registry)
        check_unchanged(self._record, self.adata)


def recorded(registry: dict[str, Any]) -> dict[str, Any]:
    """The record in a registry; empty in a model saved before there was one."""
    return registry["field_registries"].get(REGISTERED, {}).get("state_registry", {})


def check_unchanged(record: dict[str, Any], adata: AnnData) -> None:
    """Raise ValueError if the samples are not those of the record any more.

    Raises
    ------
    ValueError
        If genes, a column of obs, the counts or the offsets changed; the message names which.
    """
    if not record:
        return
    if adata.var_names.astype(str).tolist() != record[GENES]:
        raise ValueError(
            f"The genes of adata are not those that were registered ({adata.n_vars:,} and {len(record[GENES]):,} genes, or another "
            f"order). {AGAIN}"
        )
    absent = [name for name in record[COLUMNS] if name not in adata.obs]
    changed = absent or [name for name, value in record[COLUMNS].items() if _hash_of_column(adata.obs[name]) != value]
    if changed:
        raise ValueError(
            f"adata.obs[{changed[0]!r}] {'is gone' if absent else 'has other values'} since setup_anndata: the model learned from "
            f"the old ones. {AGAIN}"
        )
    for layer, value in record[MATRICES].items():
        if _hash_of_matrix(adata, None if layer == "None" else layer) != value:
            place = "adata.X" if layer == "None" else f"adata.layers[{layer!r}]"
            raise ValueError(
                f"{place} has other values since setup_anndata, as after normalisation in place. {AGAIN} Raw counts that other "
                "tools must not touch can be a layer: layer='counts'."
            )


def _hash_of_column(column: pd.Series) -> str:
    """Hash of the values, whatever their dtype: writing a file makes categories of text."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return _hash(column.to_numpy(dtype=float, na_value=np.nan))
    codes, levels = pd.factorize(column.astype(object))
    return _hash(codes.astype(np.int64), "\0".join(f"{type(level).__name__}{level}" for level in levels).encode())


def _hash_of_matrix(adata: AnnData, layer: str | None) -> str:
    matrix = adata.X if layer is None else adata.layers.get(layer)
    if matrix is None:
        return ""
    stored = by_rows(matrix)
    n, size = adata.n_obs, BLOCK if adata.n_obs > N_BLOCKS * BLOCK else adata.n_obs
    starts = np.unique(np.linspace(0, n - size, N_BLOCKS).astype(int))
    weights = 1 + np.arange(adata.n_vars) % 97  # so that genes that were exchanged are noticed
    sums = [read_rows(stored, slice(start, start + size)) @ weights for start in starts]
    return _hash(np.array(matrix.shape), np.concatenate(sums))


def _hash(*parts: np.ndarray | bytes) -> str:
    digest = hashlib.blake2b()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
