"""Posterior of the log rate behind a single count, given the gene's mean and dispersion."""

from typing import NamedTuple

import numpy as np

N_NODES = 15
"""Nodes of the Gauss-Hermite rule about the mode: mean and standard deviation are then exact to 1e-4."""
MAX_STEPS = 200
TOLERANCE = 1e-6
BLOCK_ENTRIES = 2**20


class LogRates(NamedTuple):
    """Posterior of log(rate / expected rate), natural log, samples x genes."""

    mean: np.ndarray
    sd: np.ndarray
    response: np.ndarray
    """How far a change of the log expected rate changes ``mean``: between -1 (the count decides) and 0 (the prior does)."""


def log_rate_posterior(counts: np.ndarray, log_mean: np.ndarray, dispersion: np.ndarray) -> LogRates:
    r"""Posterior of the log rate of each sample, relative to the rate expected of it.

    .. math:: x \sim \mathrm{Poisson}(m e^u), \qquad u \sim N(-\sigma^2 / 2, \sigma^2), \qquad \sigma^2 = \log(1 + \alpha)

    so that the count has mean m and variance :math:`m + \alpha m^2`, as under the negative binomial with dispersion
    :math:`\alpha`. The gamma distribution of the negative binomial would give the mean in closed form,
    :math:`\psi(x + 1/\alpha) - \log(m + 1/\alpha)`, but its tail towards low rates is so long that a zero of a gene with a dispersion
    of 20 is placed 30 doublings below the mean. The log density of u is concave; its mode is found by Newton's rule from the right,
    and mean and variance by adaptive Gauss-Hermite quadrature about it (Liu & Pierce 1994).

    Arrays are finite; ``counts`` >= 0 and ``log_mean`` (natural log) samples x genes, ``dispersion`` > 0 one per gene.
    """
    out = LogRates(*(np.empty(counts.shape) for _ in range(3)))
    size = max(1, BLOCK_ENTRIES // max(1, len(counts)))
    for begin in range(0, counts.shape[1], size):
        part = slice(begin, begin + size)
        for filled, values in zip(out, _block(counts[:, part], log_mean[:, part], dispersion[part]), strict=True):
            filled[:, part] = values
    return out


def _block(counts: np.ndarray, log_mean: np.ndarray, dispersion: np.ndarray) -> LogRates:
    variance = np.log1p(dispersion)
    centre = -variance / 2
    with np.errstate(divide="ignore"):
        mode = np.maximum(np.log(counts) - log_mean, centre)
    for _ in range(MAX_STEPS):
        expected = np.exp(log_mean + mode)
        information = expected + 1 / variance
        step = (counts - expected - (mode - centre) / variance) / information
        mode += step
        if np.abs(step).max(initial=0.0) < TOLERANCE:
            break
    expected = np.exp(log_mean + mode)
    sd = (expected + 1 / variance) ** -0.5
    total, first, second = (np.zeros(counts.shape) for _ in range(3))
    for place, weight in zip(*np.polynomial.hermite_e.hermegauss(N_NODES), strict=True):
        # log density at mode + sd * place less that at the mode, and less the normal curve of the rule
        away = sd * place
        log_density = counts * away - expected * np.expm1(away) - away * (away + 2 * (mode - centre)) / (2 * variance)
        density = weight * np.exp(log_density + place**2 / 2)
        total += density
        first += density * place
        second += density * place**2
    first /= total
    spread = sd * np.sqrt(np.maximum(second / total - first**2, 0))
    # at the mode u' = -m e^u / (m e^u + 1 / variance), for a change of log m
    return LogRates(mode + sd * first, spread, -expected * sd**2)
