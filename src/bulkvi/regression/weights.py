"""Weights of the design's columns whose effect is the slope of a numeric column."""

from typing import Final

import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError

from bulkvi.study.study_design import StudyDesign

STEPS: Final = (0.25, 0.5, 1.0)
"""Shares of a column's range by which its values are moved to find out whether its effect is a straight line."""
STRAIGHT: Final = 1e-6
"""Share of the largest slope below which two slopes are equal."""
DIGITS: Final = 9
"""Digits of a weight that differences of floating-point numbers leave."""


def slope_weights(design: StudyDesign, column: str) -> pd.Series:
    """Return the contrast of the change per unit of a column (:meth:`bulkvi.BulkVI.get_slope_weights`)."""
    values = numbers_of(design, column)
    everything = design.full_matrix
    reach = float(values.max() - values.min())
    slopes = []
    for step in (share * reach for share in STEPS):
        try:
            moved = design.code_full(replace_column(design.obs, column, values + step))
        except (ValueError, FormulaicError) as error:  # a level, or a value, that the design does not have
            raise ValueError(_not_straight(column, design)) from error
        slopes.append((moved - everything).to_numpy() / step)
    largest = np.abs(slopes).max()
    if not largest or np.abs(np.array(slopes) - slopes[0]).max() > STRAIGHT * largest:
        raise ValueError(_not_straight(column, design))
    weights = pd.Series(slopes[-1].mean(0), index=everything.columns)
    weights = weights.where(weights.abs() > STRAIGHT * largest, 0.0).map(lambda weight: float(f"{weight:.{DIGITS}g}"))
    if not design.is_estimable(weights):
        raise ValueError(
            f"These samples do not determine the slope of {column!r}. Columns of the design that they determine: "
            f"{list(design.matrix.columns)}."
        )
    return weights[design.matrix.columns]


def replace_column(obs: pd.DataFrame, column: str, values: pd.Series | float) -> pd.DataFrame:
    """Return the samples with other values of a column, whatever its name (``assign`` takes no column ``self``)."""
    obs = obs.copy()
    obs[column] = values
    return obs


def numbers_of(design: StudyDesign, column: str) -> pd.Series:
    """Return a column that the design contains as a number, float64; raise KeyError or ValueError if it does not."""
    obs = design.obs
    if column not in obs:
        raise KeyError(f"{column!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    in_design = design.variables
    if column not in in_design:
        raise ValueError(f"{column!r} is not in the design; it has {in_design}. Add it in setup_anndata.")
    numeric = pd.api.types.is_numeric_dtype(obs[column]) and not pd.api.types.is_bool_dtype(obs[column])
    if not numeric or column in design.categorical:
        raise ValueError(
            f"{column!r} has categories, {obs[column].unique().tolist()[:5]}, and no slope: compare two of them, or test all "
            "together (omnibus_test)."
        )
    return obs[column].astype(float)


def _not_straight(column: str, design: StudyDesign) -> str:
    return (
        f"The design holds {column!r} as categories or along a curve, so there is no single slope. Weigh columns of the design "
        f"in its place: {list(design.matrix.columns)}; or test whether {column!r} matters at all (omnibus_test)."
    )
