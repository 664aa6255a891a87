"""Distribution of each count given the parameters of a decoder: likelihood, probability integral transform, zeros, draws."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import nbinom, poisson


class Counts(NamedTuple):
    """Poisson, negative binomial or zero-inflated negative binomial for each entry (sample, gene)."""

    mean: np.ndarray
    """Before zero inflation."""
    dispersion: np.ndarray | None = None
    """Variance = mean + dispersion x mean^2; a Poisson if None."""
    extra_zero: np.ndarray | None = None
    """Probability of a zero that the counts do not explain; none if None."""


def counts_of(px: Any) -> Counts:
    """Parameters of a distribution of scvi-tools or bulkvi over samples x genes."""
    if hasattr(px, "zi_logits"):
        extra = np.exp(-np.logaddexp(0, -px.zi_logits.double().numpy()))
        return Counts(px.mu.numpy(), _like(1 / px.theta.double().numpy(), px.mu), _like(extra, px.mu))
    if hasattr(px, "mu"):
        return Counts(px.mu.numpy(), _like(1 / px.theta.double().numpy(), px.mu))
    return Counts(px.rate.numpy())


def _like(values: np.ndarray, mean: Any) -> np.ndarray:
    return np.broadcast_to(values, tuple(mean.shape))


def probability(px: Counts, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a count below ``x`` and of a count up to ``x``."""
    if px.dispersion is None:
        below, up_to = poisson.cdf(x - 1, px.mean), poisson.cdf(x, px.mean)
    else:
        r, p = 1 / px.dispersion, 1 / (1 + px.dispersion * px.mean)
        below, up_to = nbinom.cdf(x - 1, r, p), nbinom.cdf(x, r, p)
    if px.extra_zero is not None:
        below = np.where(x > 0, px.extra_zero + (1 - px.extra_zero) * below, 0.0)
        up_to = px.extra_zero + (1 - px.extra_zero) * up_to
    return below, up_to


def log_probability(px: Counts, x: np.ndarray) -> np.ndarray:
    """Log probability of each count."""
    if px.dispersion is None:
        found = poisson.logpmf(x, px.mean)
    else:
        found = nbinom.logpmf(x, 1 / px.dispersion, 1 / (1 + px.dispersion * px.mean))
    if px.extra_zero is None:
        return found
    found = found + np.log1p(-px.extra_zero)
    return np.where(x == 0, np.logaddexp(found, np.log(px.extra_zero)), found)


def transformed(px: Counts, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Randomised probability integral transform of each count: uniform on (0, 1) if the model is true.

    A count is placed at random between the probabilities of less than it and of up to it (Czado, Gneiting and Held, Biometrics
    2009), so that the steps of a discrete distribution do not widen its intervals.
    """
    below, up_to = probability(px, x)
    return below + rng.random(x.shape) * (up_to - below)


def transformed_by_draws(draws: Iterable[np.ndarray], x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same from draws of the predictive distribution, each of the shape of ``x``.

    The rank of a count among the draws, ties broken at random, placed at random in its cell: if counts and draws come from one
    distribution, this is exactly uniform for any number of draws.
    """
    below, equal, n_draws = np.zeros(x.shape), np.zeros(x.shape), 0
    for drawn in draws:
        below += drawn < x
        equal += drawn == x
        n_draws += 1
    return (below + rng.random(x.shape) * (equal + 1)) / (n_draws + 1)


def share_inside(px: Counts, x: np.ndarray, level: float, rng: np.random.Generator) -> float:
    """Share of counts inside the central interval; ``level`` on average if the model is true."""
    return inside(transformed(px, x, rng), level)


def inside(place: np.ndarray, level: float) -> float:
    """Share of transformed counts inside the central interval."""
    return float(np.mean(np.abs(place - 0.5) <= level / 2))


def zeros(px: Counts) -> tuple[float, float]:
    """Expected share of zeros, and the part of it that zero inflation adds."""
    _, at_zero = probability(px, np.zeros_like(px.mean))
    _, of_counts = probability(px._replace(extra_zero=None), np.zeros_like(px.mean))
    return float(at_zero.mean()), float((at_zero - of_counts).mean())


def draw(px: Counts, rng: np.random.Generator) -> np.ndarray:
    """One replicate of the counts."""
    rate = px.mean
    if px.dispersion is not None:
        rate = px.mean * px.dispersion * rng.standard_gamma(1 / px.dispersion)
    drawn = rng.poisson(np.minimum(rate, 1e15)).astype(float)
    return drawn if px.extra_zero is None else np.where(rng.random(drawn.shape) < px.extra_zero, 0.0, drawn)
