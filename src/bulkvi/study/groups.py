"""Two groups of samples: who is in them, and what else comes with belonging to them."""

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


def columns_nested_in_group(obs: pd.DataFrame, groupby: str, columns: list[str]) -> list[str]:
    """Columns that the model reads and that change with a sample's group.

    If the model reads the grouping itself, only that: what else is constant within some of its groups, such as the batch that
    two of three groups were each run in, has an effect of its own, which is held fixed. Of a grouping that the model does not
    read, the columns it decides in all samples, such as cell and stage of a group that is named by both.
    """
    if groupby in columns:
        return [groupby]
    decided = obs[columns].groupby(obs[groupby], observed=True).nunique(dropna=False).le(1).all()
    return list(decided.index[decided])


def counterfactual_obs(
    obs: pd.DataFrame, groups: Groups, groupby: str, columns: list[str], group: np.ndarray
) -> pd.DataFrame:
    """The samples of both groups as they would be coded if all belonged to one of them.

    Columns that go along with the groups (`columns_nested_in_group`) take the group's value; every other column keeps each sample's own,
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
    for column in columns_nested_in_group(obs, groupby, columns):
        value = obs[column].iloc[group[0]]
        table[column] = pd.Series([value] * len(table), index=table.index).astype(obs[column].dtype)
    return table


DONOR_KEY = "donor_key"
FEWEST_FREE = 3


def donor_codes(obs: pd.DataFrame, key: str) -> np.ndarray:
    """Number of each sample's donor, in the order of first appearance.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a donor is missing.
    """
    if key not in obs.columns:
        raise KeyError(f"{DONOR_KEY}={key!r} is not a column of adata.obs; it has {list(obs.columns)}.")
    absent = obs[key].isna()
    if absent.any():
        raise ValueError(
            f"{DONOR_KEY}: adata.obs[{key!r}] is missing for {int(absent.sum())} samples (first: "
            f"{list(obs.index[absent][:5])}). Fill it in (a sample of an unknown donor may be a donor of its own), or leave "
            "these samples out."
        )
    return pd.factorize(obs[key])[0]


def check_donor_key(obs: pd.DataFrame, key: str, design: str | None, held: Sequence[str]) -> None:
    """Raise unless a variance between donors can be learned beside the design.

    Parameters
    ----------
    obs
        The samples.
    key
        Column with the donors.
    design
        Formula of the design.
    held
        Columns besides: batch and covariates.

    Raises
    ------
    KeyError
        If there is no such column.
    ValueError
        If a donor is missing, the design holds the donors, no donor has two samples, or too few donors are left to learn
        from.
    """
    code = donor_codes(obs, key)
    variables, columns = ((), np.ones((len(obs), 1))) if design is None else _coded(obs, design)
    if key in variables or key in held:
        raise ValueError(
            f"{DONOR_KEY}={key!r} is in the design as well. A donor has either an effect of its own there, or a random one "
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
            f"{DONOR_KEY}: every sample has a donor of its own in adata.obs[{key!r}], so what donors differ by is what "
            f"samples differ by, and the dispersion holds it already. Leave {DONOR_KEY} out."
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
    """Positions of genes in ``var_names``, in the order given.

    Raises
    ------
    TypeError
        If ``genes`` is one name: it would be read letter by letter.
    KeyError
        If a gene is not there.
    """
    if isinstance(genes, str):
        raise TypeError(f"{argument} must be a list of genes; it is the text {genes!r}. Write [{genes!r}].")
    genes = list(genes)
    positions = var_names.get_indexer(genes)
    if (positions < 0).any():
        unknown = [gene for gene, position in zip(genes, positions, strict=True) if position < 0]
        raise KeyError(
            f"{len(unknown)} genes are not in the model, for example {unknown[:5]}; it knows {list(var_names[:3])}, ..."
        )
    return positions
