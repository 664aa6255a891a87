"""What a reference cohort says about each gene of a study."""

from typing import NamedTuple

import numpy as np


class ReferenceGenes(NamedTuple):
    """Level, loadings and dispersions of each gene in a cohort; natural logs, genes last, NaN where the cohort lacks the gene."""

    level: np.ndarray
    """Log rate per unit size factor at the cohort's mean design row and mean state, genes."""
    loadings: np.ndarray
    """Posterior mean of the loadings, directions x genes, per unit of a state with mean square 1 in the cohort."""
    loadings_sd: np.ndarray
    """Posterior standard deviation of the loadings, directions x genes."""
    log_dispersion: np.ndarray
    """Posterior mean of the log dispersion given design and directions, genes."""
    log_dispersion_sd: np.ndarray
    """Its posterior standard deviation, genes."""
    log_trend: np.ndarray
    """Prior mean of the log dispersion given design and directions: the trend at the gene's mean, genes."""
    log_dispersion_alone: np.ndarray
    """Posterior mean of the log dispersion given the design alone, genes."""
    log_dispersion_alone_sd: np.ndarray
    """Its posterior standard deviation, genes."""
    log_trend_alone: np.ndarray
    """Prior mean of the log dispersion given the design alone, genes."""

    @property
    def known(self) -> np.ndarray:
        """Genes that the cohort has, boolean."""
        return np.isfinite(self.level)

    @property
    def n_directions(self) -> int:
        """Number of directions."""
        return len(self.loadings)

    def at(self, position: np.ndarray) -> "ReferenceGenes":
        """Select genes by their positions; at negative positions, genes that the cohort lacks, all values are NaN."""
        lacking = position < 0
        parts = []
        for values in self:
            part = np.full((*values.shape[:-1], len(position)), np.nan)
            part[..., ~lacking] = values[..., position[~lacking]]
            parts.append(part)
        return ReferenceGenes(*parts)
