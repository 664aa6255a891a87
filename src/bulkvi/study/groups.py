"""Groups of samples and donors: their samples, and the columns of obs that change with them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bulkvi.study.design import make_design


class Groups(NamedTuple):
    """Positions of the samples of two groups in obs."""

    first: np.ndarray
    second: np.ndarray


def find_groups(obs: pd.DataFrame, groupby: str, group1: Any, group2: Any) -> Groups:
    """Find the samples of two levels of a column; raise KeyError or ValueError if there are none, or both are the same."""
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


def columns_nested_in_group(obs: pd.DataFrame, groupby: str, columns: list[str]) -> list[str]:
    """Return the columns of the model that change with a sample's group.

    If the model contains the grouping itself, only that: another column that is constant within some of its groups, such as the
    batch that two of three groups share, has its own effect, which is held fixed. Otherwise the columns that the grouping
    determines in all samples, such as cell and stage of a group that combines both.
    """
    if groupby in columns:
        return [groupby]
    decided = obs[columns].groupby(obs[groupby], observed=True).nunique(dropna=False).le(1).all()
    return list(decided.index[decided])


def counterfactual_obs(
    obs: pd.DataFrame, groups: Groups, groupby: str, columns: list[str], group: np.ndarray
) -> pd.DataFrame:
    """Return the rows of both groups, coded as if all samples belonged to the group with the positions ``group``.

    Columns that are nested in the group (`columns_nested_in_group`) have the group's value; every other column keeps each
    sample's value, so that it is the same mixture in both groups.
    """
    table = obs[columns].iloc[np.concatenate(groups)].copy()
    for column in columns_nested_in_group(obs, groupby, columns):
        value = obs[column].iloc[group[0]]
        table[column] = pd.Series([value] * len(table), index=table.index).astype(obs[column].dtype)
    return table


DONOR_KEY = "donor_key"
FEWEST_FREE = 3


def donor_codes(obs: pd.DataFrame, key: str) -> np.ndarray:
    """Number the donor of each sample in the order of first appearance; raise KeyError or ValueError if one is missing."""
    if key not in obs.columns:
        raise KeyError(f"{DONOR_KEY}={key!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    absent = obs[key].isna()
    if absent.any():
        raise ValueError(
            f"{DONOR_KEY}: adata.obs[{key!r}] is missing for {int(absent.sum())} samples (first: "
            f"{list(obs.index[absent][:5])}). Fill it in (a sample of an unknown donor may be a donor by itself), or leave "
            "these samples out."
        )
    return pd.factorize(obs[key])[0]


def check_donor_key(obs: pd.DataFrame, key: str, design: str | None, held: Sequence[str]) -> None:
    """Raise KeyError or ValueError unless the variance between donors can be estimated given the design.

    ``held`` are the columns besides the formula: batch and covariates.
    """
    code = donor_codes(obs, key)
    variables, columns = ((), np.ones((len(obs), 1))) if design is None else _coded(obs, design)
    if key in variables or key in held:
        raise ValueError(
            f"{DONOR_KEY}={key!r} is in the design as well. A donor has either a fixed effect there, or a random one "
            f"here: leave {key!r} out of one of them."
        )
    n_donors = int(code.max()) + 1
    if n_donors == 1:
        raise ValueError(
            f"{DONOR_KEY}: all samples are of one donor, {obs[key].iloc[0]!r}; there is no difference between donors to "
            f"learn. Leave {DONOR_KEY} out, and read the results as those of this donor."
        )
    if n_donors == len(obs):
        raise ValueError(
            f"{DONOR_KEY}: every sample has a donor of its own in adata.obs[{key!r}], so differences between donors are "
            f"differences between samples, and part of the dispersion already. Leave {DONOR_KEY} out."
        )
    of_donor = code[:, None] == np.arange(n_donors)
    known = np.linalg.matrix_rank(columns)
    free = int(np.linalg.matrix_rank(np.hstack([columns, of_donor])) - known)
    if free < FEWEST_FREE:
        raise ValueError(
            f"{DONOR_KEY}: {n_donors} donors leave {free} differences between donors that the design does not explain; "
            f"to learn a variance from them takes at least {FEWEST_FREE}. With so few donors whose samples are in several "
            f"groups, put them into the design instead ('~ {key} + ...'). If each donor is in one group only, such samples "
            "cannot tell groups from donors: more donors are needed."
        )


def _coded(obs: pd.DataFrame, design: str) -> tuple[tuple[str, ...], np.ndarray]:
    coded, matrix = make_design(design, obs)
    return coded.variables, matrix.to_numpy()


def gene_positions(argument: str, genes: Sequence[str], var_names: pd.Index) -> np.ndarray:
    """Return the positions of genes in ``var_names``; raise TypeError for a single name, KeyError for unknown ones."""
    if isinstance(genes, str):
        raise TypeError(f"{argument} must be a list of genes; it is the text {genes!r}. Write [{genes!r}].")
    genes = list(genes)
    positions = var_names.get_indexer(genes)
    if (positions < 0).any():
        unknown = [gene for gene, position in zip(genes, positions, strict=True) if position < 0]
        raise KeyError(
            f"{len(unknown)} genes are not in the model, for example {unknown[:5]}; its genes are {list(var_names[:3])}, ..."
        )
    return positions


def sample_positions(indices: Sequence[int], n_samples: int) -> np.ndarray:
    """Return the positions of samples that are given by number or as a mask."""
    given = np.asarray(indices)
    if given.ndim == 1 and given.dtype == bool and given.size == n_samples:
        return np.flatnonzero(given)
    whole = given.ndim == 1 and given.size > 0 and np.issubdtype(given.dtype, np.integer)
    if not whole or (given < -n_samples).any() or (given >= n_samples).any():
        raise ValueError(
            f"indices must be positions of samples, whole numbers from 0 to {n_samples - 1}, at least one, or a boolean for each "
            f"sample; given is {indices!r}."
        )
    return np.arange(n_samples)[given]
