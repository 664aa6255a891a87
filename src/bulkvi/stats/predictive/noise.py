"""Noise of one sample: a lognormal multiple of each gene's dispersion, learned from the sample's own counts."""

import math

import numpy as np
from numba import njit
from scipy.special import logsumexp

from bulkvi.stats.nb.compiled_math import JIT
from bulkvi.stats.predictive.layer import spread_over

STEP = math.log(2)
LOG_SCALES = STEP * np.arange(-3, 8)
"""Natural log of the multiples of a gene's dispersion: from an eighth to 128."""
UNIT = 3
"""Place of the multiple 1."""
CENTRES = np.arange(-2.0, 4.01, 0.1)
SPREADS = np.array([0.0, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0])
CENTRE_SD = 1.0
"""Prior standard deviation of a sample's centre, natural log: samples of e times the usual noise are not rare. A few dozen
genes outweigh it."""
NOISE_GENES = 3_000
"""Genes that a sample's noise is learned from, at most: its centre then has a standard error of 3 %."""
RATE_NODES, RATE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
RATE_WEIGHTS = RATE_WEIGHTS / RATE_WEIGHTS.sum()
DISPERSION_NODES, DISPERSION_WEIGHTS = np.polynomial.hermite_e.hermegauss(3)
DISPERSION_WEIGHTS = DISPERSION_WEIGHTS / DISPERSION_WEIGHTS.sum()
NO_OUTLIERS = np.zeros(1)
OUTLIER_SHARES = np.array([0.0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2])
"""Shares of a sample's counts that may be outliers, equally probable: none, or up to one in thirty."""
OUTLIER_REACH = math.log(1000.0)
"""Outliers are anywhere within this factor of their mean, on a log scale."""
NARROW = 1e-3
"""Variance of a log rate up to which one node is exact to 1e-3 of the probability."""
LARGEST = 30.0
LEAST = 1e-300


def usual_noise(n_samples: int) -> np.ndarray:
    """Weights of the noise of samples that are as the genes' dispersions say, samples x scales."""
    weights = np.zeros((n_samples, len(LOG_SCALES)))
    weights[:, UNIT] = 1.0
    return weights


def _families() -> np.ndarray:
    """Weights of the scales for each centre and spread, centres x spreads x scales."""
    distance = LOG_SCALES - CENTRES[:, None]
    weights = np.exp(-0.5 * distance[:, None] ** 2 / np.maximum(SPREADS, 0.5 * STEP)[:, None] ** 2)
    # a point between two scales is shared by them
    weights[:, 0] = np.clip(1 - np.abs(distance) / STEP, 0, 1)
    return weights / weights.sum(-1, keepdims=True)


FAMILIES = _families()
PRIOR = -0.5 * (CENTRES / CENTRE_SD) ** 2


def prior_noise(n_samples: int) -> np.ndarray:
    """Weights of the noise of samples of which no count is known, samples x scales."""
    weights = np.einsum("c,csj->j", np.exp(PRIOR), FAMILIES)
    return np.tile(weights / weights.sum(), (n_samples, 1))


def learn_noise(
    counts: np.ndarray,
    log_mean: np.ndarray,
    variance: np.ndarray,
    log_dispersion: np.ndarray,
    log_dispersion_sd: np.ndarray,
    *,
    outlier_shares: np.ndarray = NO_OUTLIERS,
    heavy_tails: bool = True,
) -> np.ndarray:
    r"""Estimate the noise of samples from the genes' deviations from their predictions.

    .. math:: \log \alpha_{ng} \sim N(\log \alpha_g + \mu_n, \; \sigma_g^2 + \omega_n^2)

    :math:`\mu_n` is the noise level of the sample and :math:`\omega_n` makes it differ between genes, which gives the counts heavy
    tails; their posterior on a grid is averaged over.

    Parameters
    ----------
    counts, log_mean, variance
        Counts, and mean and variance of their log mean, samples x genes.
    log_dispersion, log_dispersion_sd
        Of each gene.
    outlier_shares
        Shares of the counts that may be outliers, which are no part of the noise; a uniform prior on these values is averaged over.
        An outlier is at any log count within `OUTLIER_REACH` of its mean.
    heavy_tails
        Whether :math:`\omega_n` may be above 0.

    Returns
    -------
    Weights of `LOG_SCALES`, samples x scales.
    """
    if not counts.shape[1]:
        return prior_noise(len(counts))
    weights = np.zeros((len(counts), len(LOG_SCALES)))
    chosen = FAMILIES if heavy_tails else FAMILIES[:, :1]
    families = chosen.reshape(-1, len(LOG_SCALES))
    for n in range(len(counts)):
        genes = spread_over(log_mean[n], NOISE_GENES)
        each = log_components(
            counts[n : n + 1, genes],
            log_mean[n : n + 1, genes],
            variance[n : n + 1, genes],
            log_dispersion[genes],
            log_dispersion_sd[genes],
        )[0]
        highest = each.max(1, keepdims=True)
        # underflow to 0 where a count is far from all multiples but one
        usual = np.maximum(np.exp(each - highest) @ families.T, LEAST)
        log_outlying = -np.log((counts[n, genes] + 0.5) * 2 * OUTLIER_REACH)[:, None] - highest
        log_likelihood = [
            np.log(usual).sum(0) if share == 0 else _mixed(np.log(usual), log_outlying, share)
            for share in outlier_shares
        ]
        log_posterior = logsumexp(log_likelihood, axis=0) + np.repeat(PRIOR, chosen.shape[1])
        posterior = np.exp(log_posterior - log_posterior.max())
        weights[n] = posterior @ families / posterior.sum()
    return weights


def _mixed(log_usual: np.ndarray, log_outlying: np.ndarray, share: float) -> np.ndarray:
    """Log likelihood of each family if a share of the counts are outliers."""
    return np.logaddexp(np.log1p(-share) + log_usual, math.log(share) + log_outlying).sum(0)


def log_components(
    counts: np.ndarray,
    log_mean: np.ndarray,
    variance: np.ndarray,
    log_dispersion: np.ndarray,
    log_dispersion_sd: np.ndarray,
    log_scales: np.ndarray = LOG_SCALES,
) -> np.ndarray:
    """Log probability of counts at each multiple of the dispersions (``log_scales``), samples x genes x scales.

    Gauss-Hermite quadrature over the normal posteriors of log rate and log dispersion.
    """
    out = np.empty((*counts.shape, len(log_scales)))
    _fill_components(
        np.ascontiguousarray(counts, dtype=float),
        np.ascontiguousarray(log_mean),
        np.ascontiguousarray(variance),
        np.ascontiguousarray(log_dispersion),
        np.ascontiguousarray(log_dispersion_sd),
        log_scales,
        (RATE_NODES, RATE_WEIGHTS),
        (DISPERSION_NODES, DISPERSION_WEIGHTS),
        out,
    )
    return out


@njit(**JIT)
def _fill_components(counts, log_mean, variance, log_dispersion, log_dispersion_sd, log_scales, rate, dispersion, out):
    terms = np.empty(rate[0].size * dispersion[0].size)
    for n in range(counts.shape[0]):
        for g in range(counts.shape[1]):
            y = counts[n, g]
            constant = -math.lgamma(y + 1)
            sd = math.sqrt(variance[n, g])
            wide = variance[n, g] > NARROW
            n_rates = rate[0].size if wide else 1
            for j in range(log_scales.size):
                at = 0
                for d in range(dispersion[0].size):
                    r = math.exp(-log_dispersion[g] - dispersion[0][d] * log_dispersion_sd[g] - log_scales[j])
                    gammas = math.lgamma(y + r) - math.lgamma(r) + constant
                    for q in range(n_rates):
                        log_m = log_mean[n, g] + (rate[0][q] * sd if wide else 0.0)
                        log_m = min(max(log_m, -LARGEST), LARGEST)
                        value = gammas - r * math.log1p(math.exp(log_m) / r)
                        if y > 0:
                            value += y * (log_m - math.log(r + math.exp(log_m)))
                        weight = dispersion[1][d] * (rate[1][q] if wide else 1.0)
                        terms[at] = value + math.log(weight)
                        at += 1
                highest = terms[0]
                for k in range(1, at):
                    highest = max(highest, terms[k])
                total = 0.0
                for k in range(at):
                    total += math.exp(terms[k] - highest)
                out[n, g, j] = highest + math.log(total)
