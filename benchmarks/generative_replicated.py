"""Posterior predictive checks: do data drawn from a model look like the data it was trained on?"""

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

N_REPLICATES = 200
LEVEL = 0.95


def gene_statistics(counts: np.ndarray, size_factor: np.ndarray) -> np.ndarray:
    """Mean and variance of counts / size factor and share of zeros of each gene, shape ``(3, n_genes)``."""
    scaled = counts / size_factor[:, None]
    return np.stack([scaled.mean(0), scaled.var(0, ddof=1), (counts == 0).mean(0)])


def check_replicates(counts: np.ndarray, size_factor: np.ndarray, draw: Callable[[], np.ndarray]) -> dict[str, float]:
    """Compare statistics of each gene with those of replicated data.

    Parameters
    ----------
    counts
        Observed, shape ``(n, n_genes)``.
    size_factor
        Shape ``(n,)``; the same for the data and all replicates.
    draw
        A new replicate of the counts at each call.

    Returns
    -------
    - ``mean_inside``, ``variance_inside``: share of genes whose statistic lies inside the central 95 % of the replicates'
    - ``zeros_inside``: the same for the share of zeros, of the genes in which data or replicates have any
    - ``variance_log2_ratio``: median over genes of log2 observed variance / median replicated variance
    - ``cv2_rank_correlation``: Spearman correlation over genes of variance / mean^2, observed and replicated
    - ``zeros_log2_ratio``: log2 of observed / mean replicated number of zeros

    The replicates come from a model that has seen the data: a good one has more than 95 % inside.
    """
    observed = gene_statistics(counts, size_factor)
    replicated = np.stack([gene_statistics(draw(), size_factor) for _ in range(N_REPLICATES)])
    low, middle, high = np.quantile(replicated, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], axis=0)
    inside = (low <= observed) & (observed <= high)
    with_zeros = (observed[2] > 0) | (replicated[:, 2] > 0).any(0)
    varies = (observed[1] > 0) & (middle[1] > 0)
    ratio = np.log2(observed[1, varies] / middle[1, varies])
    spread = [statistic[1, varies] / np.maximum(statistic[0, varies], 1e-12) ** 2 for statistic in (observed, middle)]
    n_zeros, n_replicated = observed[2].sum(), replicated[:, 2].sum(1).mean()
    return {
        "mean_inside": float(inside[0].mean()),
        "variance_inside": float(inside[1].mean()),
        "zeros_inside": float(inside[2, with_zeros].mean()) if with_zeros.any() else float("nan"),
        "variance_log2_ratio": float(np.median(ratio)),
        "cv2_rank_correlation": float(spearmanr(*spread).statistic),
        "zeros_log2_ratio": float(np.log2(n_zeros / n_replicated)) if n_zeros and n_replicated else float("nan"),
    }
