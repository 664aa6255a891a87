"""The design and the contrast of the command line, looked up in the sample sheet."""

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from bulkvi.cli._columns import as_groups, in_backticks

if TYPE_CHECKING:
    import pandas as pd


def check_formula(design: str, obs: "pd.DataFrame") -> set[str]:
    """Columns of the sample sheet that a design reads.

    Raises
    ------
    ValueError
        If it cannot be read, has an empty term, holds anything but columns, numbers, operators and known transforms, or reads a
        column that is not there.
    """
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
    """The column of a contrast and its two levels as the sample sheet has them.

    A column of numbers that stands in the design by itself, each the number of several samples, becomes one of categories.

    Raises
    ------
    ValueError
        If the column, or a level, is not there, or the design does not hold the column.
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
