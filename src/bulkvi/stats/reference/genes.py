"""What a reference cohort says of each gene of a study."""

from typing import NamedTuple

import numpy as np


class ReferenceGenes(NamedTuple):
    """What a cohort says of each gene of a study, genes last, natural logs; NaN where the cohort lacks the gene."""

    level: np.ndarray
    """Log rate per unit of size factor."""
    loadings: np.ndarray
    """Posterior means of the loadings, per unit of a state with mean square 1 in the cohort, directions x genes."""
    loadings_sd: np.ndarray
    """Their posterior standard deviations."""
    log_dispersion: np.ndarray
    """Posterior mean of the log dispersion beside the directions."""
    log_dispersion_sd: np.ndarray
    """Its posterior standard deviation."""
    log_trend: np.ndarray
    """The prior's trend of the log dispersion at the gene, beside the directions."""
    log_dispersion_alone: np.ndarray
    """Posterior mean of the log dispersion beside the design of the cohort alone."""
    log_dispersion_alone_sd: np.ndarray
    """Its posterior standard deviation."""
    log_trend_alone: np.ndarray
    """The trend beside the design alone."""

    @property
    def known(self) -> np.ndarray:
        """Genes that the cohort has, boolean."""
        return np.isfinite(self.level)
