"""The random parts of a simulated cohort."""

from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

EffectDistribution = Literal["normal", "t3"]


def draw_effects(
    n_genes: int, de_share: float, up_share: float, distribution: EffectDistribution, sd: float, rng: Generator
) -> NDArray[np.float64]:
    """Log2 fold change per gene, with exact numbers of changed genes and of rising ones among them.

    Every gene gets a size, whether it is used or not, so that the changed genes of a smaller share are among those of a
    larger one with the same sizes.
    """
    changed = rng.permutation(n_genes)[: round(de_share * n_genes)]
    if distribution == "normal":
        size = np.abs(rng.standard_normal(n_genes))
    else:
        size = np.abs(rng.standard_t(3, n_genes)) / np.sqrt(3)  # a t with 3 degrees of freedom has variance 3
    log_fc = np.zeros(n_genes)
    log_fc[changed] = -sd * size[changed]
    up = changed[: round(up_share * changed.size)]
    log_fc[up] = sd * size[up]
    return log_fc


def draw_loadings(n_genes: int, n_columns: int, share: float, sd: float, rng: Generator) -> NDArray[np.float64]:
    """Normal loadings, genes x columns, on an exact share of the genes and 0 on the others."""
    spared = rng.permutation(n_genes)[round(share * n_genes) :]
    loading = sd * rng.standard_normal((n_genes, n_columns))
    loading[spared] = 0.0
    return loading


def draw_levels(
    group: NDArray[np.int64], share: NDArray[np.float64], correlation: float, argument: str, rng: Generator
) -> NDArray[np.int64]:
    r"""Level of each sample such that the level number has a given correlation with the group.

    With :math:`t_j` the level number and :math:`u_n` the group, both standardised, the share of level j in a group is
    :math:`p_j (1 + r\, t_j u)`: the overall shares stay :math:`p_j` and :math:`E[t u] = r`. Whole numbers come from
    these shares by largest remainder, and chance decides only which samples of a group get which level.

    Raises
    ------
    ValueError
        A share would be negative: the correlation is out of reach. The message names ``argument``.
    """
    number = np.arange(share.size)
    centred = number - share @ number
    spread = np.sqrt(share @ centred**2)
    score = centred / spread if spread > 0 else np.zeros(share.size)
    side = _standardise(group)
    highest = 1 / max(float((-np.sign(correlation) * np.outer(score, np.unique(side))).max()), 1.0)
    if abs(correlation) > highest + 1e-9:
        raise ValueError(
            f"`{argument}` = {correlation} cannot be reached with these shares of levels and samples per group; "
            f"the largest possible size is {highest:.3f}."
        )
    level = np.empty(group.size, dtype=np.int64)
    for u in np.unique(side):
        members = np.flatnonzero(side == u)
        expected = np.clip(share * (1 + correlation * score * u), 0, None) * members.size
        counts = np.floor(expected + 1e-9).astype(np.int64)
        largest_remainder_first = np.argsort(-np.round(expected - counts, 9), kind="stable")
        counts[largest_remainder_first[: members.size - counts.sum()]] += 1
        level[rng.permutation(members)] = np.repeat(number, counts)
    return level


def draw_continuous(group: NDArray[np.int64], correlation: float, rng: Generator) -> NDArray[np.float64]:
    """A factor of mean 0 and standard deviation 1 whose sample correlation with the group is exact."""
    noise = rng.standard_normal(group.size)
    for u in np.unique(group):
        noise[group == u] -= noise[group == u].mean()
    return correlation * _standardise(group) + np.sqrt(1 - correlation**2) * _standardise(noise)


def _standardise(x: NDArray) -> NDArray[np.float64]:
    return (x - x.mean()) / x.std()
