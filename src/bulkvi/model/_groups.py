"""Two groups of samples: who is in them, and what else comes with belonging to them."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Groups(NamedTuple):
    """Positions of the samples of two groups in obs."""

    first: np.ndarray
    second: np.ndarray


def find_groups(obs: pd.DataFrame, groupby: str, group1: Any, group2: Any) -> Groups:
    """Find the samples of two levels of a column.

    Raises
    ------
    KeyError
        If the column does not exist.
    ValueError
        If a level has no samples, or both are the same.
    """
    if groupby not in obs.columns:
        raise KeyError(f"groupby={groupby!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    if group1 == group2:
        raise ValueError(
            f"group1 and group2 are both {group1!r}; give two levels of {groupby!r}: {_levels(obs[groupby])}."
        )
    positions = []
    for name, level in (("group1", group1), ("group2", group2)):
        members = np.flatnonzero((obs[groupby] == level).to_numpy())
        if members.size == 0:
            raise ValueError(
                f"{name}={level!r}: no sample has this level of {groupby!r}. Levels with samples: {_levels(obs[groupby])}."
            )
        positions.append(members)
    return Groups(*positions)


def _levels(column: pd.Series) -> list[Any]:
    return sorted(column.dropna().unique().tolist(), key=str)


def as_if_in_group(obs: pd.DataFrame, groups: Groups, columns: list[str], group: np.ndarray) -> pd.DataFrame:
    """The samples of both groups as they would be coded if all belonged to one of them.

    A column that is constant within each group (the grouping itself, or whatever is tied to it) takes the group's value;
    every other column keeps each sample's own, so that it is the same mixture in both groups.

    Parameters
    ----------
    obs
        All samples.
    groups
        The two groups.
    columns
        Columns the model reads.
    group
        Positions of the samples of the group to stand for.
    """
    table = obs[columns].iloc[np.concatenate(groups)].copy()
    for column in columns:
        if all(obs[column].iloc[members].nunique() == 1 for members in groups):
            value = obs[column].iloc[group[0]]
            constant = pd.Series([value] * len(table), index=table.index)
            table[column] = constant.astype(obs[column].dtype)
    return table
