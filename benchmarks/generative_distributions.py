"""What a decoder says of each count: probabilities up to a count, and how many zeros come from zero inflation."""

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


def share_inside(px: Counts, x: np.ndarray, level: float, rng: np.random.Generator) -> float:
    """Share of counts inside the central interval; ``level`` on average if the model is true.

    A count is placed at random between the probabilities below it and up to it (randomised probability integral transform,
    Czado, Gneiting and Held, Biometrics 2009), so that the steps of a discrete distribution do not widen its intervals.
    """
    below, up_to = probability(px, x)
    place = below + rng.random(x.shape) * (up_to - below)
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
