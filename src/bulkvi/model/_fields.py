"""AnnData fields of size factors, offsets, design and fingerprint, and the study that a registry describes."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import rich.table
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.data.fields import BaseAnnDataField, LayerField, NumericalObsField

from bulkvi.names import DESIGN, OFFSET
from bulkvi.stats.counts.blocks import read_rows
from bulkvi.study.counts import check_size_factor, checked_offset
from bulkvi.study.design import INTERCEPT, Design, apply_design, design_from_state, make_design, without_intercept
from bulkvi.study.fingerprint import fingerprint
from bulkvi.study.size_factors import source_from, source_of
from bulkvi.study.study import Study
from bulkvi.study.study_design import Factor, StudyDesign


class DesignField(BaseAnnDataField):
    """Design matrix of a formula, stored in ``obsm`` without its intercept; without a formula nothing is registered."""

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
        """Accept any samples: coding them raises the errors."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Code the samples and store the matrix."""
        if self.formula is None:
            return {}
        design, matrix = make_design(self.formula, adata.obs)
        adata.obsm[DESIGN] = without_intercept(matrix)
        return design._asdict()

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Code new samples as the training samples were coded."""
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
    """Return the columns of the stored matrix (intercept left out)."""
    if not state_registry:
        return []
    design: Design = design_from_state(state_registry)
    return [name for name in design.columns if name != INTERCEPT]


class SizeFactorField(NumericalObsField):
    """Column of ``obs`` with size factors, checked for new samples as for the first ones; its origin is registered."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Register the origin of the size factors."""
        return super().register_field(adata) | {SOURCE: source_of(adata, self.attr_key)}

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Register the origin of the size factors of new samples."""
        state = super().transfer_field(state_registry, adata_target, **kwargs)
        return state | {SOURCE: source_of(adata_target, self.attr_key, state_registry.get(SOURCE))}

    def validate_field(self, adata: AnnData) -> None:
        """Raise if the column is not a size factor."""
        check_size_factor(adata, self.attr_key)


LOG_MEAN: Final = "log_geometric_mean"
SOURCE: Final = "source"
"""Entry of the size factors' state registry."""


class OffsetField(LayerField):
    """Layer with offsets; those of new samples are relative to the geometric means of the training samples.

    The layer stays in its unit; the geometric means are part of the state registry and are saved with the model.
    """

    def __init__(self, key: str):
        super().__init__(OFFSET, key, is_count_data=False, correct_data_format=False)

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Check the factors and compute their geometric means over the samples."""
        offset = checked_offset(adata, str(self.attr_key))
        return super().register_field(adata) | {LOG_MEAN: offset.log_mean}

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Check the factors of new samples, and keep the geometric means of the training samples."""
        state = super().transfer_field(state_registry, adata_target, **kwargs)
        return state | {LOG_MEAN: state_registry[LOG_MEAN]}


def log_offset_means(registry: dict[str, Any]) -> np.ndarray | None:
    """Natural log of the geometric mean offset of each gene of a model; None without an offset."""
    field = registry["field_registries"].get(OFFSET)
    return None if field is None else field["state_registry"][LOG_MEAN]


def fill_offset(adata: AnnData, registry: dict[str, Any], known: pd.Index) -> None:
    """Set the offset of genes that were added to samples to the geometric mean: it counts as 1.

    ``adata`` has all genes of the model, in its order; ``known`` are the genes that were measured. Only the layer with the offset
    changes.
    """
    means, key = log_offset_means(registry), registry["setup_args"].get("offset_key")
    added = ~adata.var_names.isin(known)
    if means is not None and added.any() and key in adata.layers:
        adata.layers[key] = np.where(added, np.exp(means), read_rows(adata.layers[key], slice(None)))


REGISTERED: Final = "_bulkvi_record"
"""Key in the registry."""


class RecordField(BaseAnnDataField):
    """Fingerprint (:func:`~bulkvi.study.fingerprint.fingerprint`) of columns of obs and of layers; None for X."""

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
        """None: the field stores nothing."""
        return

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to record."""
        return False

    def get_data_registry(self) -> dict[str, Any]:
        """Return nothing: no minibatch needs the field."""
        return {}

    def validate_field(self, adata: AnnData) -> None:
        """Accept any samples."""

    def register_field(self, adata: AnnData) -> dict[str, Any]:
        """Compute the fingerprint of these samples."""
        return fingerprint(adata, self.columns, self.layers)

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict[str, Any]:
        """Compute the fingerprint of new samples."""
        return self.register_field(adata_target)

    def get_summary_stats(self, state_registry: dict) -> dict[str, int]:
        """Return no numbers."""
        return {}

    def view_state_registry(self, state_registry: dict) -> None:
        """Return no table."""


Registry = dict[str, Any]


def study_of(registry: Registry, adata: AnnData, record: dict[str, Any]) -> Study:
    """Build the study of registered samples for the regressions; ``record`` is their fingerprint."""
    arguments, key = registry["setup_args"], size_factor_key(registry)
    return Study(
        adata=adata,
        design=_design_of(registry, adata),
        size_factor_key=key,
        source=source_from(source_of(adata, key, _state(registry, REGISTRY_KEYS.SIZE_FACTOR_KEY).get(SOURCE))),
        layer=arguments["layer"],
        offset_key=arguments.get("offset_key"),
        log_offset_mean=log_offset_means(registry),
        donor_key=arguments.get("donor_key"),
        record=record,
    )


def _design_of(registry: Registry, adata: AnnData) -> StudyDesign:
    arguments = registry["setup_args"]
    formula = _state(registry, DESIGN)
    keys = arguments["categorical_covariate_keys"] or []
    mappings = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY).get("mappings", {})
    batch = arguments["batch_key"]
    return StudyDesign(
        adata=adata,
        formula=design_from_state(formula) if formula else None,
        continuous=tuple(arguments["continuous_covariate_keys"] or ()),
        categories=tuple(Factor(key, tuple(mappings[key])) for key in keys),
        batch=None
        if batch is None
        else Factor(batch, tuple(_state(registry, REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"])),
    )


def size_factor_key(registry: Registry) -> str:
    """Return the column of obs with the size factors."""
    return registry["field_registries"][REGISTRY_KEYS.SIZE_FACTOR_KEY]["data_registry"]["attr_key"]


def has_recorded_source(registry: Registry) -> bool:
    """Whether the registry holds the origin of the size factors; older versions did not record it."""
    return SOURCE in _state(registry, REGISTRY_KEYS.SIZE_FACTOR_KEY)


def recorded(registry: Registry) -> dict[str, Any]:
    """Return the fingerprint in a registry; empty in a model saved before there was one."""
    return _state(registry, REGISTERED)


def levels_of_categories(registry: Registry) -> list[int] | None:
    """Return the number of levels of each categorical covariate, or ``None`` without any."""
    state = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY)
    return [int(n) for n in state["n_cats_per_key"]] if state else None


def _state(registry: Registry, key: str) -> dict[str, Any]:
    return registry["field_registries"].get(key, {}).get("state_registry", {})
