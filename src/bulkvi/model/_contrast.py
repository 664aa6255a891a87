"""What is compared: weights of the columns that the counts are regressed on."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from warnings import warn

import numpy as np
import pandas as pd

from bulkvi.model._features import Features, intercept_of
from bulkvi.model._groups import Groups, as_if_in_group, find_groups
from bulkvi.model._numbered import is_number
from bulkvi.model._registered import categorical_columns, covariate_columns, has_matrix

# Share of a column's largest value below which a difference of means is rounding.
ROUNDING = 1e-12
# Share of the largest term below which a sum of terms is zero.
NEAR_ZERO = 1e-8


class Contrast(NamedTuple):
    """A comparison."""

    weights: pd.Series
    """Weight of each column of the features; all zero if the design cannot tell the groups apart."""
    label: str
    """In words."""
    groups: Groups | None
    """The samples compared, if it is two groups that are."""
    groupby: str | None = None
    """The column they are levels of."""


def group_contrast(features: Features, groupby: str, group1: Any, group2: Any) -> Contrast:
    """Group1 over group2, what the grouping decides going along (`going_along`), all else at the mixture of both.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If a level has no samples, both are the same, or the samples do not tell the difference.
    """
    groups = find_groups(features.obs, groupby, group1, group2)
    if has_matrix(features.registry):
        raise ValueError(
            f"The design was given as a matrix, which does not say what belongs to the levels of {groupby!r}: give contrast=, the "
            f"weights of its columns {list(features.matrix().columns)}."
        )
    columns = covariate_columns(features.registry)
    _warn_of_slope(features, groupby, group1, group2)
    coded = [
        features.all_columns(as_if_in_group(features.obs, groups, groupby, columns, members)) for members in groups
    ]
    weights = coded[0].mean() - coded[1].mean()
    rounding = ROUNDING * np.maximum(coded[0].abs().max(), coded[1].abs().max())
    weights = weights.where(weights.abs() > rounding, 0.0)
    if not features.told_apart(weights):
        raise ValueError(
            f"These samples do not tell {groupby}: {group1} vs {group2}: {_in_words(weights)} needs levels, or crossings of levels, that "
            f"none of them has. What they tell: {list(features.matrix().columns)}."
        )
    return Contrast(weights[features.matrix().columns], f"{groupby}: {group1} vs {group2}", groups, groupby)


def _warn_of_slope(features: Features, groupby: str, group1: Any, group2: Any) -> None:
    """Warn if the groups are two points of a line, and not two groups of samples."""
    column = features.obs[groupby]
    slopes = set(covariate_columns(features.registry)) - set(categorical_columns(features.registry))
    if groupby in slopes and is_number(column) and 2 < column.nunique() <= len(column) / 2:
        warn(
            f"{groupby!r} is a slope in the design: {group1} vs {group2} is the change along a straight line through all of its values, "
            f"not a comparison of these samples. For groups write C({groupby}) in the design.",
            UserWarning,
            stacklevel=5,
        )


def numeric_contrast(matrix: pd.DataFrame, contrast: Mapping[str, float] | Sequence[float] | np.ndarray) -> Contrast:
    """Weights given by name of column, or one for every column.

    Raises
    ------
    KeyError
        If a name is not a column.
    ValueError
        If the weights are not finite numbers, too many or too few, all zero, or compare nothing.
    """
    names = list(matrix.columns)
    if isinstance(contrast, Mapping):
        unknown = [name for name in contrast if name not in names]
        if unknown:
            raise KeyError(f"contrast: the design has no columns {unknown}; it has {names}.")
        weights = pd.Series({name: _weight(contrast.get(name, 0.0)) for name in names})
    else:
        if isinstance(contrast, str | bytes):
            raise TypeError(
                f"contrast is the text {contrast!r}: give weights of the columns, such as {{{names[-1]!r}: 1}}, or groupby, group1 "
                "and group2."
            )
        values = np.asarray(contrast, dtype=object)
        values = np.array([_weight(value) for value in values]) if values.ndim == 1 else values
        if values.shape != (len(names),):
            raise ValueError(
                f"contrast has shape {values.shape}; give one weight for each of the {len(names)} columns {names}, or "
                "a dict of the columns that count."
            )
        weights = pd.Series(values, index=names)
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(f"contrast needs finite weights, not all of them zero; given are {weights.to_dict()}.")
    level = weights * intercept_of(matrix)
    if abs(level.sum()) > NEAR_ZERO * level.abs().max():
        raise ValueError(
            f"contrast {_in_words(weights)} compares nothing: it would change if all counts were doubled. Weights of the "
            f"intercept must be zero, and those of columns that add up to it, as in '~ 0 + group', must add up to zero. "
            f"Columns: {names}."
        )
    return Contrast(weights, _in_words(weights), None)


def _weight(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"contrast: the weight of a column must be a number; it is {value!r}.") from error


def _in_words(weights: pd.Series) -> str:
    used = weights[weights != 0]
    return " ".join(f"{weight:+g} * {name}" for name, weight in used.items())
