"""Labels to be checked, and the row of the design that a sample would have under each of them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.study.design import apply_design, make_design
from bulkvi.study.formula_names import backticked

MOST_NUMBERS = 12


class LabelRows(NamedTuple):
    """Labels, and what the design makes of them."""

    column: pd.Series
    """The labels, as categories without empty levels."""
    rows: np.ndarray
    """Row of the design for each sample under each label, labels x samples x columns."""
    groups: list[np.ndarray]
    """Codes of each categorical variable of the design, the labels among them."""


def label_rows(obs: pd.DataFrame, groupby: str, formula: str | None) -> LabelRows:
    """Check the labels, and code each sample under every one of them.

    Raises
    ------
    KeyError
        If a column does not exist.
    ValueError
        If a label is missing, no label has two samples, the labels are numbers that hardly repeat, or the design does
        not hold ``groupby`` or cannot be built.
    """
    column = _labels(obs, groupby)
    codes, levels = column.cat.codes.to_numpy(int), column.cat.categories
    if formula is None:
        rows = np.repeat(np.eye(len(levels))[:, None, :], len(obs), axis=1)
        return LabelRows(column, rows, [codes])
    table = obs.copy(deep=False)
    table[groupby] = column
    design, _ = make_design(formula, table)
    if groupby not in design.variables:
        raise ValueError(
            f"The design {formula!r} does not hold groupby={groupby!r}: write for example '{formula} + {backticked(groupby)}'."
        )
    coded = []
    for level in levels:
        table[groupby] = pd.Categorical([level] * len(obs), levels)
        coded.append(apply_design(design, table).to_numpy())
    others = [pd.factorize(obs[name])[0] for name in design.variables if name != groupby]
    groups = [other for other in others if other.max() < len(obs) / 2]
    return LabelRows(column, np.stack(coded), [codes, *groups])


def _labels(obs: pd.DataFrame, groupby: str) -> pd.Series:
    if groupby not in obs.columns:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    column = obs[groupby]
    if isinstance(column, pd.DataFrame):
        raise ValueError(f"groupby={groupby!r}: adata.obs has {column.shape[1]} columns of that name. Rename them.")
    if column.isna().any():
        raise ValueError(
            f"groupby={groupby!r}: the label is missing for {int(column.isna().sum())} samples (first: "
            f"{list(obs.index[column.isna()][:5])}). Fill it in or leave these samples out."
        )
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > MOST_NUMBERS:
        raise ValueError(
            f"groupby={groupby!r} holds {column.nunique()} different numbers. Labels are groups of samples, each with several of "
            "them: name a column of groups, or make one, for example with pandas.cut."
        )
    column = column.astype("category").cat.remove_unused_categories()
    sizes = column.value_counts()
    if len(sizes) < 2 or sizes.max() < 2:
        raise ValueError(
            f"groupby={groupby!r} has the labels {dict(sizes.iloc[:6])}: give a column with at least two labels, one of "
            "them with two samples or more."
        )
    return column
