"""Which labels may be exchanged between samples, and what the samples are like when they are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.model._groups import Groups
from bulkvi.model._registered import Registry, categorical_columns, covariate_columns
from bulkvi.stats.permutation import count_relabellings, draw_relabellings

FEWEST = 5


class Exchange(NamedTuple):
    """Samples of two groups whose labels are exchanged, and how."""

    obs: pd.DataFrame
    """All samples of the model."""
    groups: Groups
    """Positions in ``obs``."""
    columns: list[str]
    """Columns of ``obs`` that go with the label."""
    within: list[str]
    """Columns of ``obs`` within whose joint levels labels are exchanged."""
    stratum: np.ndarray
    """Joint level of each exchanged sample."""

    @property
    def samples(self) -> np.ndarray:
        """Positions of the samples of both groups, ascending."""
        return np.sort(np.concatenate(self.groups))

    @property
    def in_first(self) -> np.ndarray:
        """Whether each of them is in the first group."""
        return np.isin(self.samples, self.groups.first)

    def n_distinct(self) -> int:
        """How many relabellings exist."""
        return count_relabellings(self.in_first, self.stratum)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Relabellings x exchanged samples: whether in the first group."""
        return draw_relabellings(self.in_first, self.stratum, n, rng)

    def relabelled(self, in_first: np.ndarray) -> pd.DataFrame:
        """All samples, with the labels exchanged and all else kept."""
        source = np.arange(len(self.obs))
        source[self.samples] = np.where(in_first, self.groups.first[0], self.groups.second[0])
        return self.obs.assign(**{name: self.obs[name].array.take(source) for name in self.columns})


def find_exchange(
    registry: Registry, obs: pd.DataFrame, groupby: str, groups: Groups, within: str | Sequence[str] | None
) -> Exchange:
    """Decide which labels may be exchanged.

    Raises
    ------
    KeyError
        If a column of ``within`` does not exist.
    ValueError
        If labels are missing, or too few relabellings exist.
    """
    _no_missing(obs, groupby, "groupby")
    covariates = [name for name in covariate_columns(registry) if name in obs.columns]
    tied = [name for name in covariates if all(obs[name].iloc[members].nunique() == 1 for members in groups)]
    moved = list(dict.fromkeys([groupby, *tied]))
    if within is None:
        within = [name for name in categorical_columns(registry) if name not in moved]
    within = [within] if isinstance(within, str) else list(within)
    both = obs.iloc[np.sort(np.concatenate(groups))]
    for name in within:
        if name not in obs.columns:
            raise KeyError(f"within={name!r} is not a column of adata.obs; it has {list(obs.columns)}.")
        _no_missing(both, name, "within")
    stratum = both.groupby(within, observed=True).ngroup().to_numpy() if within else np.zeros(len(both), dtype=int)
    exchange = Exchange(obs, groups, moved, within, stratum)
    if exchange.n_distinct() < FEWEST:
        raise ValueError(_too_few(exchange, groupby))
    return exchange


def _no_missing(obs: pd.DataFrame, name: str, argument: str) -> None:
    absent = obs[name].isna()
    if absent.any():
        raise ValueError(
            f"{argument}={name!r} is missing for {int(absent.sum())} samples (first: {list(obs.index[absent][:5])}): which "
            "labels may be exchanged is then unknown. Fill it in, or set the model up without these samples."
        )


def _too_few(exchange: Exchange, groupby: str) -> str:
    n, free = exchange.n_distinct(), count_relabellings(exchange.in_first, np.zeros(exchange.samples.size))
    sizes = f"{len(exchange.groups.first)} and {len(exchange.groups.second)} samples"
    if not exchange.within:
        return (
            f"{_some(n)} of {sizes} exist besides the real one; at least {FEWEST} are needed to say anything. More "
            "replicates would help: from 3 per group on there are enough."
        )
    where = " and ".join(map(repr, exchange.within))
    if n == 0:
        return (
            f"{_some(n)} exist within the levels of {where}: each holds samples of one group only, {where} is nested in "
            f"{groupby!r}. Samples of one such level (a donor, say) are not independent, so their labels cannot be "
            "exchanged with those of others one by one: sum their counts to one sample each and set the model up again. If "
            "they are independent, name a coarser within, or [] for none."
        )
    return (
        f"{_some(n)} of {sizes} exist within the levels of {where} besides the real one; at least {FEWEST} are needed to "
        f"say anything. More replicates would help, or a coarser within: without any (within=[]) there are {free}."
    )


def _some(n: int) -> str:
    return {0: "No distinct relabellings", 1: "1 distinct relabelling"}.get(n, f"{n} distinct relabellings")
