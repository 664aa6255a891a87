"""How large and how variable real genes are: constants behind the simulator."""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

TrendName = Literal["yeast", "gse60450", "geuvadis"]


class Trend(NamedTuple):
    """Distribution of base means and dispersions over genes.

    The natural log of the base mean follows a mixture of two normal distributions, cut at the range seen. The natural
    log of the dispersion is normal around ``log(asymptote + extra_poisson / base_mean)``.
    """

    weight: tuple[float, float]
    """Shares of the two components (weakly expressed, well expressed)."""
    log_mean: tuple[float, float]
    """Their means, natural log of the count per unit size factor."""
    log_sd: tuple[float, float]
    """Their standard deviations, natural log."""
    log_range: tuple[float, float]
    """Smallest and largest log base mean seen."""
    asymptote: float
    """Typical dispersion of highly expressed genes."""
    extra_poisson: float
    """What dispersion gains per 1 / base mean."""
    scatter: float
    """Standard deviation of log dispersion around the trend."""

    def draw_base_mean(self, n_genes: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Base means of ``n_genes`` genes, counts per unit size factor."""
        upper = (rng.random(n_genes) < self.weight[1]).astype(int)
        log_mean = np.take(self.log_mean, upper) + np.take(self.log_sd, upper) * rng.standard_normal(n_genes)
        return np.exp(np.clip(log_mean, *self.log_range))

    def draw_dispersion(self, base_mean: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        """One dispersion per gene around the trend at its base mean."""
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
