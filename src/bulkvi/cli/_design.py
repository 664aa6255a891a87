"""Design, groups and columns of the command line, looked up in the sample sheet."""

import re
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def check_formula(design: str, obs: "pd.DataFrame") -> set[str]:
    """Return the columns of the sample sheet that a design reads; ValueError if it cannot be read or a column is missing."""
    from anndata import AnnData

    from bulkvi import tl

    if re.search(r"[~+*:]\s*($|[+*:)])", design):
        raise ValueError(
            f"The design {design!r} has an empty term. If there was a name in backticks, the shell took it for a command: put "
            "the design in single quotes, --design '~ `cell line` + treatment'."
        )
    try:
        return set(tl.design_variables(AnnData(obs=obs), design))
    except KeyError as error:
        column = str(getattr(error, "column", ""))
        names = [str(name) for name in obs.columns]
        near = get_close_matches(column, names, n=1)
        spaced = [name for name in names if not name.isidentifier() and name in design and f"`{name}`" not in design]
        hint = (
            f" Put names with spaces in backticks: `{spaced[0]}`."
            if spaced
            else f" Did you mean {near[0]!r}?"
            if near
            else ""
        )
        raise ValueError(
            f"The design needs a column {column!r} of the sample sheet, which has {names}.{hint}"
        ) from error


def find_groups(
    contrast: tuple[str, str, str], obs: "pd.DataFrame", in_design: set[str], design: str = ""
) -> tuple[str, Any, Any]:
    """Return the column of a contrast and its two levels as the sample sheet has them; ValueError if one is missing.

    A column of numbers that is a term of the design, each the number of several samples, becomes one of categories.
    """
    factor = contrast[0].strip("`")
    if factor not in obs.columns:
        raise ValueError(
            f"--contrast {factor}: the sample sheet has no such column; it has {list(obs.columns)}. Write --contrast COLUMN TEST "
            "REFERENCE."
        )
    if factor not in in_design:
        raise ValueError(
            f"--contrast {factor}: the design does not hold {factor!r}. Add it: '~ ... + {in_backticks(factor)}'."
        )
    obs[factor] = as_groups(obs, factor, design)
    levels = {str(level): level for level in obs[factor].dropna().unique().tolist()}
    groups = []
    for given in contrast[1:]:
        found = [level for text, level in levels.items() if given == text or _same_number(given, text)]
        if not found:
            sizes = obs[factor].value_counts()
            raise ValueError(
                f"--contrast {factor}: no sample has {given!r} there. It has "
                f"{', '.join(f'{level} ({n} samples)' for level, n in sizes.items())}."
            )
        groups.append(found[0])
    if groups[0] == groups[1]:
        raise ValueError(f"--contrast {factor}: both groups are {contrast[1]!r}; give two levels, the reference last.")
    return factor, groups[0], groups[1]


def _same_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.lower() == other.lower() in ("true", "false")


def drop_missing(adata: "AnnData", columns: set[str]) -> "AnnData":
    """Drop the samples for which one of the columns is missing; a warning names them."""
    unknown = adata.obs[[name for name in adata.obs if str(name) in columns]].isna().any(axis=1)
    if not unknown.any():
        return adata
    names = adata.obs_names[unknown].tolist()
    warnings.warn(
        f"{len(names)} samples were left out because a column of the design is missing for them: {names}.",
        UserWarning,
        stacklevel=1,
    )
    rest = adata[~unknown].copy()
    for name in rest.obs.select_dtypes("category"):
        rest.obs[name] = rest.obs[name].cat.remove_unused_categories()
    return rest


def as_groups(obs: "pd.DataFrame", factor: str, design: str) -> "pd.Series":
    """Convert the column whose levels are compared: whole numbers to int, and to categories if several samples share each.

    It stays a number if the design has it as ``slope(dose)``.
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
    if kind == "slope":  # the design has a note on the others
        warnings.warn(
            f"Column {factor!r} holds numbers, and two of them are compared: they are taken for names of {known.nunique()} groups and "
            f"not for a slope. If they are measurements, write slope({in_backticks(factor)}) in the design.",
            UserWarning,
            stacklevel=1,
        )
    return column.astype("category")


def in_backticks(name: str) -> str:
    """Write a column's name as in a formula."""
    return name if name.isidentifier() else f"`{name}`"
