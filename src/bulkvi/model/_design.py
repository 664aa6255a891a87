"""Design formulas: from obs columns to a full-rank matrix, and back again for new samples."""

import warnings
from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from formulaic import ModelMatrix, ModelSpec
from formulaic.errors import DataMismatchWarning, FormulaicError

from bulkvi.stats.rank import aliased_columns

INTERCEPT = "Intercept"


class Design(NamedTuple):
    """A formula together with what is needed to code new samples the same way."""

    formula: str
    """Right-hand side, for example ``"~ cell + dex"``."""
    variables: tuple[str, ...]
    """Columns of obs that enter."""
    levels: dict[str, list[Any]]
    """Levels of the categorical variables, reference first."""
    encoder_state: dict[str, Any]
    """How formulaic coded each categorical factor."""
    transform_state: dict[str, Any]
    """What stateful transforms such as ``scale()`` remember of the training samples."""
    columns: tuple[str, ...]
    """Names of the columns of the matrix, intercept included."""


def make_design(formula: str, obs: pd.DataFrame) -> tuple[Design, pd.DataFrame]:
    """Code the samples of ``obs`` by a formula.

    Parameters
    ----------
    formula
        Right-hand side of a formula in the grammar of formulaic.
    obs
        One row for each sample.

    Returns
    -------
    The design, and its matrix (samples x columns, float64).

    Raises
    ------
    KeyError
        If a variable is not a column of ``obs``.
    ValueError
        If the formula cannot be read, a variable is of a kind that a design does not take, has missing values or a level
        without samples, a column is not finite, or the matrix is not of full rank.
    """
    variables = _variables(formula, obs)
    data = _usable(obs, variables)
    levels = {name: list(data[name].cat.categories) for name in variables if data[name].dtype == "category"}
    with np.errstate(all="ignore"):  # said in words below
        matrix = ModelSpec.from_spec(formula).get_model_matrix(data, na_action="ignore", output="pandas")
    design = Design(
        formula=formula,
        variables=variables,
        levels=levels,
        encoder_state=dict(matrix.model_spec.encoder_state),
        transform_state=dict(matrix.model_spec.transform_state),
        columns=tuple(matrix.columns),
    )
    matrix = pd.DataFrame(matrix, dtype=float)
    _check_finite(matrix, formula)
    alike = _alike(data[list(levels)]) if aliased_columns(matrix.to_numpy()) else None
    if alike:
        raise ValueError(
            f"The design {formula!r} is not of full rank: {alike}. No analysis of these samples can tell their effects apart. Add "
            "samples that cross them, or leave one out and say with the results that they may be the other's doing."
        )
    check_full_rank(matrix, f"The design {formula!r}")
    return design, matrix


def _alike(groups: pd.DataFrame) -> str | None:
    """The first two variables that divide the samples alike, in words."""
    for first, second in combinations(groups, 2):
        pairs = groups[[first, second]].drop_duplicates()
        if pairs[first].is_unique and pairs[second].is_unique:
            shown = ", ".join(f"{a} is {b}" for a, b in pairs.head(3).itertuples(index=False))
            return f"{first!r} and {second!r} divide the samples alike ({shown}{', ...' if len(pairs) > 3 else ''})"
    return None


def apply_design(design: Design, obs: pd.DataFrame) -> pd.DataFrame:
    """Matrix of new samples, coded as the training samples were.

    Raises
    ------
    KeyError
        If a variable is not a column of ``obs``.
    ValueError
        If a variable has missing values or a level the training samples did not have.
    """
    matrix = pd.DataFrame(_matrix_of(design, obs), dtype=float)[list(design.columns)]
    _check_finite(matrix, design.formula)
    return matrix


def columns_of_variable(design: Design, obs: pd.DataFrame, variable: str) -> list[str]:
    """Columns of the matrix that a variable enters, interactions included; ``obs`` may lack levels of it."""
    spec = _matrix_of(design, obs).model_spec
    return [spec.column_names[k] for k in spec.variable_indices.get(variable, [])]


def _matrix_of(design: Design, obs: pd.DataFrame) -> ModelMatrix:
    _require_columns(design.variables, obs)
    data = obs[list(design.variables)].copy()
    for name, levels in design.levels.items():
        unknown = sorted(set(data[name].astype(object)) - set(levels), key=str)
        if unknown:
            raise ValueError(
                f"Column {name!r} of obs has levels {unknown} that the design {design.formula!r} was not fitted with. "
                f"Known levels: {levels}."
            )
        data[name] = pd.Categorical(data[name], categories=levels)
    data = _usable(data, design.variables, allow_empty_levels=True)
    spec = ModelSpec.from_spec(
        design.formula, encoder_state=dict(design.encoder_state), transform_state=dict(design.transform_state)
    )
    try:
        # formulaic only warns, and codes an unknown level as if it were the reference
        with warnings.catch_warnings(action="error", category=DataMismatchWarning), np.errstate(all="ignore"):
            return spec.get_model_matrix(data, na_action="ignore", output="pandas")
    except DataMismatchWarning as error:
        raise ValueError(
            f"The samples have levels that the design {design.formula!r} was not fitted with: {error}"
        ) from error


def _check_finite(matrix: pd.DataFrame, formula: str) -> None:
    """Raise ValueError that names the first column with values that are not finite, and its samples."""
    wrong = ~np.isfinite(matrix.to_numpy())
    if not wrong.any():
        return
    column = int(wrong.any(0).argmax())
    found = matrix.iloc[wrong[:, column], column]
    raise ValueError(
        f"The design {formula!r}: {matrix.columns[column]!r} is not a finite number in {len(found)} samples, for example "
        f"{found.head(3).to_dict()}. A logarithm needs numbers > 0 (log(x + 1) takes 0). Correct these samples, or leave them out."
    )


def check_full_rank(matrix: pd.DataFrame, what: str) -> None:
    """Raise ValueError that names the aliased columns if ``matrix`` is not of full column rank."""
    aliased = aliased_columns(matrix.to_numpy())
    if not aliased:
        return
    names = matrix.columns
    described = "; ".join(
        f"{names[column]!r} follows from {', '.join(repr(names[k]) for k in others)}"
        if others
        else f"{names[column]!r} is zero in every sample"
        for column, others in aliased.items()
    )
    raise ValueError(
        f"{what} is not of full rank: {described}. Leave out one of the variables that say the same thing; an effect that "
        "is confounded with another cannot be estimated from these samples. Donors (subjects, animals) that are in one group "
        "each go into donor_key of setup_anndata, not into the design."
    )


def _variables(formula: str, obs: pd.DataFrame) -> tuple[str, ...]:
    """Columns of obs that a formula reads; found by building it, since its text hides those inside transforms."""
    if "~" in formula and formula.split("~", 1)[0].strip():
        raise ValueError(f"The design {formula!r} has a left-hand side; counts are implied. Write '~ ...'.")
    try:
        spec = ModelSpec.from_spec(formula)
    except (FormulaicError, SyntaxError, ValueError) as error:
        raise ValueError(f"The design {formula!r} is not a formula. Example: '~ batch + condition'.") from error
    try:
        with np.errstate(all="ignore"):
            matrix = spec.get_model_matrix(obs, na_action="ignore", output="pandas")
    except (TypeError, ValueError) as error:
        # which columns it reads is not known yet
        strange = [name for name in obs if str(name) in formula and _not_taken(obs[name])]
        reason = _not_taken(obs[strange[0]]) if strange else str(error)
        raise ValueError(f"The design {formula!r} cannot be built from adata.obs: {reason}") from error
    except FormulaicError as error:
        if "is not present" in str(error) or "is not defined" in str(error):
            raise KeyError(
                f"The design {formula!r} needs a column that adata.obs lacks: {error} It has {list(obs.columns)}."
            ) from error
        raise ValueError(f"The design {formula!r} cannot be built from adata.obs: {error}") from error
    return tuple(sorted(str(name) for name in matrix.model_spec.required_variables))


def _not_taken(column: pd.Series) -> str | None:
    """Why a design does not take a column, and what to give instead; None if it does."""
    kinds = "A design takes numbers, text, yes/no and categories."
    if pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype):
        return (
            f"column {column.name!r} holds dates ({column.dtype}). {kinds} For days as categories use C({column.name}); for "
            "a trend over time make a column of numbers, such as days since the first one."
        )
    if pd.api.types.is_timedelta64_dtype(column) or pd.api.types.is_complex_dtype(column):
        return f"column {column.name!r} is of dtype {column.dtype}. {kinds} Make a column of numbers from it."
    if column.dtype == object and not column.map(lambda value: isinstance(value, Hashable)).all():
        return f"column {column.name!r} holds things such as {column.iloc[0]!r}. {kinds}"
    return None


def _require_columns(required: Any, obs: pd.DataFrame) -> None:
    missing = sorted(str(name) for name in required if name not in obs.columns)
    if missing:
        raise KeyError(f"The design needs the columns {missing} of adata.obs; it has {list(obs.columns)}.")


def _usable(obs: pd.DataFrame, variables: tuple[str, ...], *, allow_empty_levels: bool = False) -> pd.DataFrame:
    """Design variables with text as categories; missing values and empty levels raise."""
    data = obs[list(variables)].copy()
    for name in variables:
        column = data[name]
        if column.isna().any():
            samples = list(obs.index[column.isna()][:5])
            raise ValueError(
                f"Column {name!r} of adata.obs is missing for {int(column.isna().sum())} samples (first: {samples}). "
                "Fill it in or leave these samples out: adata[adata.obs[name].notna()]."
            )
        dated = pd.api.types.is_datetime64_any_dtype(column) or isinstance(column.dtype, pd.PeriodDtype)
        if not dated and (reason := _not_taken(column)):  # dates got here as C(date), else the formula was not built
            raise ValueError(f"The design cannot be built from adata.obs: {reason}")
        is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if not (is_number or isinstance(column.dtype, pd.CategoricalDtype)):
            data[name] = column.astype("category")
        if isinstance(data[name].dtype, pd.CategoricalDtype) and not allow_empty_levels:
            counts = data[name].value_counts()
            empty = list(counts.index[counts == 0])
            if empty:
                raise ValueError(
                    f"Column {name!r} of adata.obs has levels without samples: {empty}. Remove them with "
                    f"adata.obs[{name!r}] = adata.obs[{name!r}].cat.remove_unused_categories()."
                )
            if len(counts) == 1:
                raise ValueError(
                    f"Column {name!r} of adata.obs has one level, {counts.index[0]!r}, in every sample: it explains nothing. "
                    "Leave it out of the design, or bring in samples of another level."
                )
    return data


def without_intercept(matrix: pd.DataFrame) -> pd.DataFrame:
    """The matrix without its intercept column, float32, as the network reads it."""
    return matrix.drop(columns=INTERCEPT, errors="ignore").astype(np.float32)


def design_from_state(state: Mapping[str, Any]) -> Design:
    """Design from its stored fields."""
    return Design(**{field: state[field] for field in Design._fields})
