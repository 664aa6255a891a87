"""Permutations of the labels of two groups that respect strata and donors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.stats.permutation import count_permutations, draw_permutations
from bulkvi.study.groups import Groups, columns_nested_in_group, donor_codes
from bulkvi.study.study import Study

MIN_PERMUTATIONS = 5


class Exchange(NamedTuple):
    """Samples of two groups whose labels are exchangeable, and the blocks within which they are."""

    obs: pd.DataFrame
    """All samples of the model."""
    groups: Groups
    """Positions in ``obs``."""
    columns: list[str]
    """Columns of ``obs`` that go with the label."""
    within: list[str]
    """Columns of ``obs`` within whose joint levels labels are exchanged."""
    stratum: np.ndarray
    """Joint level of each exchanged sample, and its donor where the labels differ within donors."""
    unit: np.ndarray
    """What each exchanged sample moves with: its donor, where that is in one group only, or itself; from 0."""

    n_donors: int = 0
    """Donors that are respected; 0 if there are none to."""

    @property
    def samples(self) -> np.ndarray:
        """Positions of the samples of both groups, ascending."""
        return np.sort(np.concatenate(self.groups))

    @property
    def in_first(self) -> np.ndarray:
        """Whether each of them is in the first group."""
        return np.isin(self.samples, self.groups.first)

    def n_distinct(self) -> int:
        """Number of distinct permutations."""
        _, first = np.unique(self.unit, return_index=True)
        return count_permutations(self.in_first[first], self.stratum[first])

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw distinct permutations; permutations x exchanged samples: whether in the first group."""
        _, first = np.unique(self.unit, return_index=True)
        return draw_permutations(self.in_first[first], self.stratum[first], n, rng)[:, self.unit]

    def permute(self, in_first: np.ndarray) -> pd.DataFrame:
        """Return all samples with permuted labels and all else kept."""
        source = np.arange(len(self.obs))
        source[self.samples] = np.where(in_first, self.groups.first[0], self.groups.second[0])
        permuted = self.obs.copy()
        for name in self.columns:
            permuted[name] = self.obs[name].array.take(source)
        return permuted


def find_exchange(study: Study, groupby: str, groups: Groups, within: str | Sequence[str] | None) -> Exchange:
    """Determine which labels are exchangeable.

    Between samples that are the same in ``within``, and with ``donor_key`` within donors that are in both groups; donors
    that are in one group only exchange their labels as a whole, among each other.
    """
    obs, design = study.obs, study.design
    _no_missing(obs, groupby, "groupby")
    covariates = [name for name in design.variables if name in obs.columns]
    moved = list(dict.fromkeys([groupby, *columns_nested_in_group(obs, groupby, covariates)]))
    if within is None:
        within = [name for name in design.categorical if name not in moved]
    within = [within] if isinstance(within, str) else list(within)
    both = obs.iloc[np.sort(np.concatenate(groups))]
    for name in within:
        if name not in obs.columns:
            raise KeyError(f"within={name!r} is not a column of adata.obs; it has {list(obs.columns)}.")
        _no_missing(both, name, "within")
    stratum = both.groupby(within, observed=True).ngroup().to_numpy() if within else np.zeros(len(both), dtype=int)
    unit = np.arange(len(both))
    n_donors = 0
    donor = study.donor_key
    if donor is not None and donor not in within:
        code = donor_codes(both, donor)
        n_donors = int(code.max()) + 1
        in_first = np.isin(np.sort(np.concatenate(groups)), groups.first)
        stratum, unit = _by_donor(code, in_first, stratum, both[within])
    exchange = Exchange(obs, groups, moved, within, stratum, unit, n_donors)
    if exchange.n_distinct() < MIN_PERMUTATIONS:
        raise ValueError(_too_few(exchange, groupby))
    return exchange


def _by_donor(
    donor: np.ndarray, in_first: np.ndarray, stratum: np.ndarray, within: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """Stratum and unit of each sample, given its donor."""
    share = np.bincount(donor, in_first) / np.bincount(donor)
    crossed = ((share > 0) & (share < 1))[donor]
    levels = {name: pd.factorize(column)[0] for name, column in within.items()}
    # a column that varies within donors cannot tell which of them may be exchanged
    steady = [
        name
        for name, code in levels.items()
        if len(np.unique(np.stack([donor, code])[:, ~crossed], axis=1).T) == np.unique(donor[~crossed]).size
    ]
    of_donor = pd.DataFrame({name: levels[name] for name in steady}, index=range(donor.size)).assign(_=0)
    own = of_donor.groupby(list(of_donor.columns)).ngroup().to_numpy()
    key = np.where(crossed[:, None], np.column_stack([donor + 1, stratum]), np.column_stack([np.zeros_like(own), own]))
    together = np.where(crossed, donor.max() + 1 + np.arange(donor.size), donor)
    return np.unique(key, axis=0, return_inverse=True)[1].reshape(-1), np.unique(together, return_inverse=True)[1]


def _no_missing(obs: pd.DataFrame, name: str, argument: str) -> None:
    absent = obs[name].isna()
    if absent.any():
        raise ValueError(
            f"{argument}={name!r} is missing for {int(absent.sum())} samples (first: {list(obs.index[absent][:5])}): which "
            "labels may be exchanged is then unknown. Fill it in, or set the model up without these samples."
        )


def _too_few(exchange: Exchange, groupby: str) -> str:
    n, free = exchange.n_distinct(), count_permutations(exchange.in_first, np.zeros(exchange.samples.size))
    sizes = f"{len(exchange.groups.first)} and {len(exchange.groups.second)} samples"
    if exchange.n_donors:
        return (
            f"{_some(n)} of {sizes} exist besides the real one when donors are respected ({exchange.n_donors} donors; labels are "
            "exchanged within donors that are in both groups, and donors in one group as a whole"
            f"{', within ' + ' and '.join(map(repr, exchange.within)) if exchange.within else ''}); at least {MIN_PERMUTATIONS} are "
            "needed to say anything. More donors would help."
        )
    if not exchange.within:
        return (
            f"{_some(n)} of {sizes} exist besides the real one; at least {MIN_PERMUTATIONS} are needed to say anything. More "
            "replicates would help: from 3 per group on there are enough."
        )
    where = " and ".join(map(repr, exchange.within))
    if n == 0:
        return (
            f"{_some(n)} exist within the levels of {where}: each holds samples of one group only, {where} is nested in "
            f"{groupby!r}. Samples of one such level (a donor, say) are not independent, so their labels cannot be "
            "exchanged with those of others one by one: name it as donor_key in setup_anndata, or sum their counts to one "
            "sample each. If they are independent, name a coarser within, or [] for none."
        )
    return (
        f"{_some(n)} of {sizes} exist within the levels of {where} besides the real one; at least {MIN_PERMUTATIONS} are needed to "
        f"say anything. More replicates would help, or a coarser within: without any (within=[]) there are {free}."
    )


def _some(n: int) -> str:
    return {0: "No distinct permutations", 1: "1 distinct permutation"}.get(n, f"{n} distinct permutations")
