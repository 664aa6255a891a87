"""AnnData fields of size factors, offsets and the design formula, and the record of what was registered."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import rich.table
from anndata import AnnData
from scvi.data.fields import BaseAnnDataField, LayerField, NumericalObsField

from bulkvi.names import DESIGN, OFFSET
from bulkvi.stats.counts.blocks import read_rows
from bulkvi.study.counts import check_size_factor, checked_offset
from bulkvi.study.design import INTERCEPT, Design, apply_design, design_from_state, make_design, without_intercept
from bulkvi.study.fingerprint import fingerprint
from bulkvi.study.size_factors import source_of


class DesignField(BaseAnnDataField):
    """Design matrix of a formula, stored in ``obsm`` without its intercept.

    Parameters
    ----------
    formula
        Right-hand side of a formula; ``None`` registers nothing.
    """

    def __init__(self, formula: str | None):
        super().__init__()
        self.formula = formula

    @property
    def registry_key(self) -> str:
        """Key of the field in the registry and in minibatches."""
        return DESIGN

    @property
    def attr_name(self) -> str:
        """Attribute of the AnnData that holds the matrix."""
        return "obsm"

    @property
    def attr_key(self) -> str:
        """Key of the matrix in ``obsm``."""
        return DESIGN

    @property
    def is_empty(self) -> bool:
        """Whether there is no formula."""
        return self.formula is None

    def validate_field(self, adata: AnnData) -> None:
        """Raise if the formula cannot be coded for these samples."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Code the samples and store the matrix."""
        if self.formula is None:
            return {}
        design, matrix = make_design(self.formula, adata.obs)
        adata.obsm[DESIGN] = without_intercept(matrix)
        return design._asdict()

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Code new samples as the training samples were."""
        design = design_from_state(state_registry)
        adata_target.obsm[DESIGN] = without_intercept(apply_design(design, adata_target.obs))
        return design._asdict()

    def get_summary_stats(self, state_registry: dict) -> dict[str, int]:
        """Number of columns without the intercept."""
        return {"n_design": len(design_columns(state_registry))}

    def view_state_registry(self, state_registry: dict) -> rich.table.Table | None:
        """Table of the formula and its columns."""
        if not state_registry:
            return None
        table = rich.table.Table(title="design State Registry")
        table.add_column("Formula")
        table.add_column("Columns")
        table.add_row(state_registry["formula"], ", ".join(state_registry["columns"]))
        return table


def design_columns(state_registry: dict) -> list[str]:
    """Columns of the stored matrix (intercept left out)."""
    if not state_registry:
        return []
    design: Design = design_from_state(state_registry)
    return [name for name in design.columns if name != INTERCEPT]


class SizeFactorField(NumericalObsField):
    """Column of ``obs`` with size factors, checked for new samples as for the first ones; its origin is registered."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Register where the size factors come from."""
        return super().register_field(adata) | {SOURCE: source_of(adata, self.attr_key)}

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Register where the size factors of new samples come from."""
        state = super().transfer_field(state_registry, adata_target, **kwargs)
        return state | {SOURCE: source_of(adata_target, self.attr_key, state_registry.get(SOURCE))}

    def validate_field(self, adata: AnnData) -> None:
        """Raise if the column is not a size factor."""
        check_size_factor(adata, self.attr_key)


LOG_MEAN: Final = "log_geometric_mean"
SOURCE: Final = "source"
"""Entry of the size factors' state registry."""


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


REGISTERED: Final = "_bulkvi_record"
"""Key in the registry."""


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
        return fingerprint(adata, self.columns, self.layers)

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Take the record of new samples."""
        return self.register_field(adata_target)

    def get_summary_stats(self, state_registry: dict) -> dict[str, int]:
        """No numbers."""
        return {}

    def view_state_registry(self, state_registry: dict) -> None:
        """No table."""
