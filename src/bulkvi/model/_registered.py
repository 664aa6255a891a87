"""What a registry says about the covariates, and how it codes a table of samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from bulkvi.model._covariates import BATCH
from bulkvi.model._design import INTERCEPT, apply_design, columns_of_variable, design_from_state
from bulkvi.model._design_matrix import is_matrix_formula
from bulkvi.names import DESIGN

Registry = dict[str, Any]


def _state(registry: Registry, key: str) -> dict[str, Any]:
    return registry["field_registries"].get(key, {}).get("state_registry", {})


def levels_of_categories(registry: Registry) -> list[int] | None:
    """Number of levels of each categorical covariate, or ``None`` without any."""
    state = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY)
    return [int(n) for n in state["n_cats_per_key"]] if state else None


def covariate_columns(registry: Registry) -> list[str]:
    """Columns of obs that the model explains the counts by: design, batch and covariates."""
    columns: list[str] = []
    if design := _state(registry, DESIGN):
        columns += design["variables"]
    arguments = registry["setup_args"]
    if arguments["batch_key"] is not None:
        columns.append(arguments["batch_key"])
    columns += arguments["categorical_covariate_keys"] or []
    columns += arguments["continuous_covariate_keys"] or []
    return list(dict.fromkeys(columns))


def categorical_columns(registry: Registry) -> list[str]:
    """Those of :func:`covariate_columns` that are categories."""
    arguments = registry["setup_args"]
    categories = {arguments["batch_key"], *(arguments["categorical_covariate_keys"] or [])}
    if design := _state(registry, DESIGN):
        categories |= set(design["levels"])
    return [name for name in covariate_columns(registry) if name in categories]


def registered_columns(registry: Registry) -> dict[str, list[str]]:
    """Names of the columns of each kind of covariate, in the order that ``CovariateCoding`` gives them."""
    arguments = registry["setup_args"]
    names = {"continuous": list(arguments["continuous_covariate_keys"] or [])}
    if design := _state(registry, DESIGN):
        names["design"] = [name for name in design["columns"] if name != INTERCEPT]
    for k, key in enumerate(arguments["categorical_covariate_keys"] or []):
        levels = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY)["mappings"][key]
        names[f"category_{k}"] = [f"{key}[T.{level}]" for level in levels[1:]]
    if (key := arguments["batch_key"]) is not None:
        levels = _state(registry, REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]
        names[BATCH] = [f"{key}[T.{level}]" for level in levels[1:]]
    return names


def columns_of(registry: Registry, obs: pd.DataFrame, variable: str) -> list[str]:
    """Columns of the features that a column of obs enters, through the design or beside it."""
    columns: list[str] = []
    if state := _state(registry, DESIGN):
        columns += columns_of_variable(design_from_state(state), obs, variable)
    arguments, named = registry["setup_args"], registered_columns(registry)
    if variable == arguments["batch_key"]:
        columns += named[BATCH]
    if variable in (arguments["continuous_covariate_keys"] or []):
        columns.append(variable)
    for k, key in enumerate(arguments["categorical_covariate_keys"] or []):
        if key == variable:
            columns += named[f"category_{k}"]
    return columns


def has_intercept(registry: Registry) -> bool:
    """Whether the formula has an intercept of its own; without a formula there is one."""
    design = _state(registry, DESIGN)
    return not design or INTERCEPT in design["columns"]


def has_matrix(registry: Registry) -> bool:
    """Whether the design was given as a matrix: all of it are slopes, by name."""
    design = _state(registry, DESIGN)
    return bool(design) and is_matrix_formula(design["formula"])


def code_samples(registry: Registry, obs: pd.DataFrame) -> dict[str, Tensor]:
    """Covariates of samples that need not exist, as a minibatch would hold them, but in double precision.

    Parameters
    ----------
    registry
        Registry of the model.
    obs
        One row for each sample, with the columns of :func:`covariate_columns`.

    Raises
    ------
    ValueError
        If a level is not known to the model.
    """
    return {key: torch.as_tensor(values) for key, values in _coded(registry, obs)}


def _coded(registry: Registry, obs: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    if state := _state(registry, DESIGN):
        matrix = apply_design(design_from_state(state), obs)
        yield DESIGN, matrix.drop(columns=INTERCEPT, errors="ignore").to_numpy()
    arguments = registry["setup_args"]
    batches = np.zeros((len(obs), 1))
    if (key := arguments["batch_key"]) is not None:
        levels = _state(registry, REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]
        batches = _codes(obs[key], levels)[:, None]
    yield REGISTRY_KEYS.BATCH_KEY, batches
    if keys := arguments["categorical_covariate_keys"]:
        mappings = _state(registry, REGISTRY_KEYS.CAT_COVS_KEY)["mappings"]
        yield REGISTRY_KEYS.CAT_COVS_KEY, np.column_stack([_codes(obs[key], mappings[key]) for key in keys])
    if keys := arguments["continuous_covariate_keys"]:
        yield REGISTRY_KEYS.CONT_COVS_KEY, obs[list(keys)].to_numpy(float)


def _codes(column: pd.Series, levels: np.ndarray) -> np.ndarray:
    codes = pd.Index(levels).get_indexer(column.astype(object))
    if (codes < 0).any():
        unknown = sorted(set(column[codes < 0]), key=str)
        raise ValueError(
            f"Column {column.name!r} has levels {unknown} that the model does not know; it knows {list(levels)}."
        )
    return codes
