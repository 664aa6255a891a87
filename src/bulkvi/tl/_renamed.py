"""Our table under other names."""

from collections.abc import Mapping

import pandas as pd


def renamed(de: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Copies of some columns, in that order, under other names.

    Raises
    ------
    TypeError
        If it is no table.
    KeyError
        If a column is missing.
    """
    if not isinstance(de, pd.DataFrame):
        raise TypeError(f"`de` must be a table, as model.differential_expression() gives it, not {type(de).__name__}.")
    missing = [column for column in columns if column not in de]
    if missing:
        raise KeyError(
            f"no columns {missing} in `de`; it has {list(de.columns)}. model.differential_expression() gives them."
        )
    return de[list(columns)].rename(columns=dict(columns))
