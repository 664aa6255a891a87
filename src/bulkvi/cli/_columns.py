"""Columns of the sample sheet: missing values, and numbers that name groups."""

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def complete(adata: "AnnData", columns: set[str], *, drop: bool) -> "AnnData":
    """The samples for which all these columns are known, if the others are to be dropped; a warning names them."""
    unknown = adata.obs[[name for name in adata.obs if str(name) in columns]].isna().any(axis=1)
    if not drop or not unknown.any():
        return adata
    names = adata.obs_names[unknown].tolist()
    warnings.warn(
        f"{len(names)} samples were left out because a column of the design is missing for them: {names}.",
        UserWarning,
        stacklevel=1,
    )
    kept = adata[~unknown].copy()
    for name in kept.obs.select_dtypes("category"):
        kept.obs[name] = kept.obs[name].cat.remove_unused_categories()
    return kept


def as_groups(obs: "pd.DataFrame", factor: str, design: str) -> "pd.Series":
    """The column whose levels are compared: whole numbers as such, and as categories where several samples share each.

    It stays a number if the design says so, as ``slope(dose)`` does.
    """
    from anndata import AnnData
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    from bulkvi import tl

    column = obs[factor]
    if not is_numeric_dtype(column) or is_bool_dtype(column):
        return column
    known = column.dropna()
    if not known.empty and len(known) == len(column) and (known % 1 == 0).all() and (known.abs() < 2**53).all():
        column = column.astype("int64")
    kind, is_explicit = tl.design_variables(AnnData(obs=obs), design)[factor] if design else ("slope", True)
    if is_explicit or not 2 < known.nunique() <= len(known) / 2:
        return column
    if kind == "slope":  # the others are said with the design
        warnings.warn(
            f"Column {factor!r} holds numbers, and two of them are compared: they are taken for names of {known.nunique()} groups and "
            f"not for a slope. If they are measurements, write slope({in_backticks(factor)}) in the design.",
            UserWarning,
            stacklevel=1,
        )
    return column.astype("category")


def in_backticks(name: str) -> str:
    """A column's name as a formula needs it."""
    return name if name.isidentifier() else f"`{name}`"
