"""The model to beat: every gene a negative binomial of its own, without latent state."""

import numpy as np
from anndata import AnnData
from scipy.stats import nbinom

from benchmarks.refit_latent import Score


def fit_plain(train: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Mean per unit size factor and dispersion of every gene by maximum likelihood."""
    x, s = np.asarray(train.X, dtype=float), train.obs["size_factor"].to_numpy()[:, None]
    start = ((x / s).mean(0)).clip(min=0.5 / len(x))
    best = np.full(x.shape[1], -np.inf)
    rate, dispersion = start.copy(), np.ones_like(start)
    for alpha in np.exp(np.linspace(-10, 3, 80)):
        mean = start.copy()
        for _ in range(20):
            weight = 1 / (1 + alpha * s * mean)
            mean = ((weight * x).sum(0) / (weight * s).sum(0)).clip(min=0.5 / len(x))
        height = nbinom.logpmf(x, 1 / alpha, 1 / (1 + alpha * s * mean)).sum(0)
        better = height > best
        best[better], rate[better], dispersion[better] = height[better], mean[better], alpha
    return rate, dispersion


def score_plain(train: AnnData, held_out: AnnData) -> Score:
    """The same score for a negative binomial of which nothing is refitted."""
    rate, dispersion = fit_plain(train)
    new = np.asarray(held_out.X, dtype=float)
    mean = held_out.obs["size_factor"].to_numpy()[:, None] * rate
    total = nbinom.logpmf(new, 1 / dispersion, 1 / (1 + dispersion * mean)).sum()
    return Score(total / new.size, total / new.size, total / new.sum())
