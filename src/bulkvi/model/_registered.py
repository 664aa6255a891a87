"""The study that a registry describes."""

from typing import Any

from anndata import AnnData
from scvi import REGISTRY_KEYS

from bulkvi.model._fields import REGISTERED, SOURCE, log_offset_means
from bulkvi.names import DESIGN
from bulkvi.study.design import design_from_state
from bulkvi.study.size_factors import source_from, source_of
from bulkvi.study.study import Study
from bulkvi.study.study_design import Factor, StudyDesign

Registry = dict[str, Any]


def study_of(registry: Registry, adata: AnnData, record: dict[str, Any]) -> Study:
    """Describe registered samples to the regressions; ``record`` is their fingerprint."""
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
    """Column of obs with the size factors."""
    return registry["field_registries"][REGISTRY_KEYS.SIZE_FACTOR_KEY]["data_registry"]["attr_key"]


def has_recorded_source(registry: Registry) -> bool:
    """Whether the size factors were registered by a version that records where they come from."""
    return SOURCE in _state(registry, REGISTRY_KEYS.SIZE_FACTOR_KEY)


def recorded(registry: Registry) -> dict[str, Any]:
    """The fingerprint in a registry; empty in a model saved before there was one."""
    return _state(registry, REGISTERED)


def levels_of_categories(registry: Registry) -> list[int] | None:
    """Number of levels of each categorical covariate, or ``None`` without any."""
    state = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY)
    return [int(n) for n in state["n_cats_per_key"]] if state else None


def _state(registry: Registry, key: str) -> dict[str, Any]:
    return registry["field_registries"].get(key, {}).get("state_registry", {})
