"""Columns of obs as they are compared with a design: categorical, numeric, or without groups of samples."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.model._numbered import names_groups

MAX_LEVELS = 1000
MOSTLY_DISTINCT = 0.75
OWN_PREFIXES = ("_scvi", "_bulkvi")


class Columns(NamedTuple):
    """Columns of obs, as they are compared with each other."""

    categories: dict[str, np.ndarray]
    """Codes of the levels of each categorical column; -1 where missing."""
    numbers: dict[str, np.ndarray]
    """Values of each numeric column; NaN where missing."""
    left_out: dict[str, str]
    """Columns without groups of samples, and why."""


def sort_columns(obs: pd.DataFrame, in_design: Collection[str] = (), levels: Collection[str] = ()) -> Columns:
    """Categorical, numeric, and neither: identifiers and constants.

    Whole numbers that repeat (at most half as many as samples), or whose name is that of a batch or donor, are read as
    categories; columns of the design as the design reads them: ``levels`` names those that are categories there.
    """
    categories, numbers, left_out = {}, {}, {}
    for given in obs.columns:
        name, column = str(given), obs[given]
        if name.startswith(OWN_PREFIXES):
            continue
        if isinstance(column, pd.DataFrame):
            left_out[name] = "several columns of one name"
            continue
        try:
            codes, found = pd.factorize(column)
        except TypeError:
            left_out[name] = "things that have no levels, such as lists"
            continue
        n_known = int((codes >= 0).sum())
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if name in in_design:
            counted = name in levels
        else:
            repeats = pd.api.types.is_integer_dtype(column) and len(found) <= n_known / 2
            counted = numeric and (repeats or names_groups(name, column))
        if len(found) < 2:
            left_out[name] = "the same in every sample"
        elif numeric and not counted:
            numbers[name] = column.to_numpy(dtype=float, na_value=np.nan)
        elif len(found) == n_known and name not in in_design:
            left_out[name] = "another value in every sample (an identifier)"
        elif len(found) > MOSTLY_DISTINCT * n_known and name not in in_design:
            left_out[name] = "another value in nearly every sample (an identifier, or free text)"
        elif len(found) > MAX_LEVELS:
            left_out[name] = f"{len(found)} levels"
        else:
            categories[name] = codes
    return Columns(categories, numbers, left_out)
