"""Random parts of a simulated cohort: means and dispersions of genes, effects, batches and hidden factors."""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

EffectDistribution = Literal["normal", "t3"]
TrendName = Literal["yeast", "gse60450", "geuvadis"]


class Trend(NamedTuple):
    """Distribution of base means and dispersions over genes.

    The natural log of the base mean has a mixture of two normal distributions, clipped to the observed range. The natural
    log of the dispersion is normal with mean ``log(asymptote + extra_poisson / base_mean)``.
    """

    weight: tuple[float, float]
    """Shares of the two components (weakly expressed, well expressed)."""
    log_mean: tuple[float, float]
    """Their means, natural log of the count per unit size factor."""
    log_sd: tuple[float, float]
    """Their standard deviations, natural log."""
    log_range: tuple[float, float]
    """Smallest and largest observed log base mean."""
    asymptote: float
    """Typical dispersion of highly expressed genes."""
    extra_poisson: float
    """Slope of the dispersion on 1 / base mean."""
    scatter: float
    """Standard deviation of log dispersion around the trend."""

    def draw_base_mean(self, n_genes: int, rng: Generator) -> NDArray[np.float64]:
        """Draw base means, counts per unit size factor, shape ``(n_genes,)``."""
        upper = (rng.random(n_genes) < self.weight[1]).astype(int)
        log_mean = np.take(self.log_mean, upper) + np.take(self.log_sd, upper) * rng.standard_normal(n_genes)
        return np.exp(np.clip(log_mean, *self.log_range))

    def draw_dispersion(self, base_mean: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
        """Draw one dispersion per gene around the trend at its base mean."""
        scatter = np.exp(self.scatter * rng.standard_normal(base_mean.size))
        return (self.asymptote + self.extra_poisson / base_mean) * scatter


# Printed by benchmarks/fit_simulation_trend.py, which says how they are estimated.
TRENDS: Final[dict[TrendName, Trend]] = {
    # Wild-type yeast of Schurch et al. 2016 (ENA PRJEB5348): the 22 clean replicates among the odd-numbered 24.
    "yeast": Trend((0.143, 0.857), (1.62, 6.23), (1.40, 1.28), (-0.96, 12.42), 0.0161, 0.189, 1.004),
    # Mouse mammary cells, GEO GSE60450: 12 samples, dispersion within the six groups of two.
    "gse60450": Trend((0.266, 0.734), (1.54, 6.08), (1.11, 1.53), (-0.47, 13.87), 0.0078, 0.305, 0.958),
    # 85 human lymphoblastoid lines (E-GEUV-1), dispersion within sex; the source had dropped weakly expressed genes.
    "geuvadis": Trend((0.093, 0.907), (4.64, 6.41), (0.33, 1.00), (4.02, 11.65), 0.0340, 7.837, 0.879),
}


def draw_effects(
    n_genes: int, de_share: float, up_share: float, distribution: EffectDistribution, sd: float, rng: Generator
) -> NDArray[np.float64]:
    """Draw a log2 fold change per gene, with exact numbers of changed and of upregulated genes.

    A size is drawn for every gene, so that the changed genes of a smaller share are a subset of those of a larger share,
    with the same sizes.
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
    """Draw normal loadings, genes x columns, for an exact share of the genes; 0 for the others."""
    unaffected = rng.permutation(n_genes)[round(share * n_genes) :]
    loading = sd * rng.standard_normal((n_genes, n_columns))
    loading[unaffected] = 0.0
    return loading


def draw_levels(
    group: NDArray[np.int64], share: NDArray[np.float64], correlation: float, argument: str, rng: Generator
) -> NDArray[np.int64]:
    r"""Draw the level of each sample such that the level number has a given correlation with the group.

    With :math:`t_j` the level number and :math:`u_n` the group, both standardised, the share of level j in a group is
    :math:`p_j (1 + r\, t_j u)`: the overall shares stay :math:`p_j` and :math:`E[t u] = r`. The largest remainder method
    rounds them to whole samples; only the order of the samples in a group is random. A correlation that needs a negative
    share raises a ValueError about ``argument``.
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
    """Draw a factor with mean 0, standard deviation 1 and an exact sample correlation with the group."""
    noise = rng.standard_normal(group.size)
    for u in np.unique(group):
        noise[group == u] -= noise[group == u].mean()
    return correlation * _standardise(group) + np.sqrt(1 - correlation**2) * _standardise(noise)


def _standardise(x: NDArray) -> NDArray[np.float64]:
    return (x - x.mean()) / x.std()
