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


def going_along(obs: pd.DataFrame, groupby: str, columns: list[str]) -> list[str]:
    """Columns that the model reads and that change with a sample's group.

    If the model reads the grouping itself, only that: what else is constant within some of its groups, such as the batch that
    two of three groups were each run in, has an effect of its own, which is held fixed. Of a grouping that the model does not
    read, the columns it decides in all samples, such as cell and stage of a group that is named by both.
    """
    if groupby in columns:
        return [groupby]
    decided = obs[columns].groupby(obs[groupby], observed=True).nunique(dropna=False).le(1).all()
    return list(decided.index[decided])


def as_if_in_group(
    obs: pd.DataFrame, groups: Groups, groupby: str, columns: list[str], group: np.ndarray
) -> pd.DataFrame:
    """The samples of both groups as they would be coded if all belonged to one of them.

    Columns that go along with the groups (`going_along`) take the group's value; every other column keeps each sample's own,
    so that it is the same mixture in both groups.

    Parameters
    ----------
    obs
        All samples.
    groups
        The two groups.
    groupby
        Column of ``obs`` that they are levels of.
    columns
        Columns the model reads.
    group
        Positions of the samples of the group to stand for.
    """
    table = obs[columns].iloc[np.concatenate(groups)].copy()
    for column in going_along(obs, groupby, columns):
        value = obs[column].iloc[group[0]]
        table[column] = pd.Series([value] * len(table), index=table.index).astype(obs[column].dtype)
    return table
