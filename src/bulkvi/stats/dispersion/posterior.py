"""The posterior of each gene's dispersion under a prior, by the trapezoid rule on its profile."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from bulkvi.stats.dispersion.profile import DispersionProfile, spline_bends
from bulkvi.stats.nb.compiled_math import JIT, fast_exp, fast_log1p
from bulkvi.stats.nb.kernels import TILE

MIN_SD = 0.01
POINTS = np.linspace(-4.0, 4.0, 13)
INFORMED = 0.5
HALF_NORMAL = math.sqrt(2 / math.pi)
"""Mean of the absolute value of a standard normal variable."""
Spline = tuple[np.ndarray, np.ndarray]
"""Values and bends of splines, genes x places."""


class DispersionPrior(NamedTuple):
    """Prior of the log dispersions, mean ``log_trend`` and variance ``variance``, and each gene's posterior; natural logs."""

    log_trend: np.ndarray
    """Prior mean, genes."""
    variance: float
    """Prior variance."""
    mean: np.ndarray
    """Posterior mean of the log dispersion, genes."""
    sd: np.ndarray
    """Posterior standard deviation of the log dispersion, genes."""
    converged: bool
    """Whether the trend and the variance converged."""
    trend_variance: np.ndarray | float = 0.0
    """Variance of the trend itself, genes."""
    skewness: float = 0.0
    """Sides of the prior are stretched by ``1 + skewness`` (large dispersions) and ``1 - skewness``."""
    inverse_df: float = 0.0
    """One over the degrees of freedom of its sides, those of Student's t; 0 for normal sides."""
    deviation: np.ndarray | float = 0.0
    """Part of ``log_trend`` that a reference cohort says of the gene beyond the trend, genes."""
    trust: float = 0.0
    """Share of the reference's deviations from its trend that is found again; 0 without a reference."""

    @property
    def informed(self) -> np.ndarray:
        """Genes whose counts are more informative about their dispersion than the prior, boolean."""
        return self.sd**2 <= (1 - INFORMED) * self.variance

    def genes(self, part: slice | np.ndarray) -> "DispersionPrior":
        """Select genes."""
        own, deviation = self.trend_variance, self.deviation
        return self._replace(
            log_trend=self.log_trend[part],
            mean=self.mean[part],
            sd=self.sd[part],
            trend_variance=own[part] if isinstance(own, np.ndarray) else own,
            deviation=deviation[part] if isinstance(deviation, np.ndarray) else deviation,
        )

    def log_density(self, log_dispersion: np.ndarray) -> np.ndarray:
        """Log prior density, nodes x genes."""
        mode, square = self.mode_and_square()
        deviation = log_dispersion - mode
        stretch = np.where(deviation > 0, 1 + self.skewness, 1 - self.skewness)
        distance = deviation**2 / (square * stretch**2)
        if self.inverse_df == 0:
            return -0.5 * (distance + np.log(2 * math.pi * square))
        df = 1 / self.inverse_df
        constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * (math.log(df * math.pi) + np.log(square))
        return constant - 0.5 * (df + 1) * np.log1p(distance / df)

    def mode_and_square(self) -> tuple[np.ndarray, np.ndarray]:
        """Mode, and squared scale about it, genes: where mean and variance are ``log_trend`` and ``variance`` (of normal sides)."""
        square = self.variance / (1 + (3 - 4 * HALF_NORMAL**2) * self.skewness**2)
        mode = self.log_trend - 2 * HALF_NORMAL * math.sqrt(square) * self.skewness
        return mode, square + np.broadcast_to(self.trend_variance, mode.shape)


def join_priors(parts: list[DispersionPrior]) -> DispersionPrior:
    """Concatenate the priors of different genes, of one variance and shape."""
    log_trend, mean, sd, trend_variance, deviation = (
        np.concatenate([np.broadcast_to(getattr(part, name), part.mean.shape) for part in parts])
        for name in ("log_trend", "mean", "sd", "trend_variance", "deviation")
    )
    return parts[0]._replace(log_trend=log_trend, mean=mean, sd=sd, trend_variance=trend_variance, deviation=deviation)


def profile_spline(profile: DispersionProfile) -> Spline:
    """Values and `spline_bends` of the cubic spline through the profiles, genes x places: contiguous for each gene."""
    values = profile.log_likelihood
    return np.ascontiguousarray(values.T), np.ascontiguousarray(spline_bends(values).T)


def posterior_moments(
    profile: DispersionProfile,
    spline: Spline,
    prior: DispersionPrior,
    log_evidence: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and sd of the log dispersions by the trapezoid rule at ``prior.mean + POINTS * prior.sd``.

    The rule is nearly exact once these are near the result, as after a round or two of iteration. ``log_evidence``, if given,
    is filled with the log marginal likelihood of each gene, up to a constant.
    """
    mode, square = prior.mode_and_square()
    mean, sd = np.zeros(mode.shape), np.zeros(mode.shape)
    _fill_moments(
        *spline,
        profile.first,
        profile.largest,
        profile.root_df / profile.spacing,
        mode,
        square,
        prior.skewness,
        prior.inverse_df,
        prior.mean,
        np.clip(prior.sd, MIN_SD, None),
        POINTS,
        mean,
        sd,
        np.zeros(0) if log_evidence is None else log_evidence,
    )
    if log_evidence is not None:
        log_evidence -= 0.5 * np.log(square)
        if prior.inverse_df:
            df = 1 / prior.inverse_df
            log_evidence += math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df / 2)
    return mean, sd


@njit(**JIT)
def _fill_moments(
    table,
    bends,
    first,
    largest,
    per_log,
    prior_mode,
    prior_square,
    skewness,
    inverse_df,
    centre,
    scale,
    points,
    mean,
    sd,
    log_evidence,
):
    """Compute `posterior_moments` into the last three arguments; ``table`` and ``bends`` are genes x places."""
    above, below = 1.0 / (1.0 + skewness) ** 2, 1.0 / (1.0 - skewness) ** 2
    half_power = 0.5 * (1.0 / inverse_df + 1.0) if inverse_df > 0.0 else 0.0
    width = table.shape[1]
    place, node, square = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    log_weight = np.empty((points.size, TILE))
    highest = np.empty(TILE)
    fraction, beyond = np.empty(TILE), np.empty(TILE)
    low, high, bend_low, bend_high = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    total, one, two = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    for begin in range(0, centre.size, TILE):
        size = min(TILE, centre.size - begin)
        for v in range(TILE):
            highest[v] = -math.inf
            total[v] = 0.0
            one[v] = 0.0
            two[v] = 0.0
        for k in range(points.size):
            for v in range(size):
                node[v] = centre[begin + v] + points[k] * scale[begin + v]
            for v in range(size):
                place[v] = per_log * fast_log1p(fast_exp(node[v]) * largest[begin + v]) - first[begin + v]
            for v in range(size):
                inside = min(max(place[v], 0.0), width - 1.0)
                left = min(int(inside), width - 2)
                fraction[v] = inside - left
                beyond[v] = place[v] - inside
                low[v] = table[begin + v, left]
                high[v] = table[begin + v, left + 1]
                bend_low[v] = bends[begin + v, left]
                bend_high[v] = bends[begin + v, left + 1]
            for v in range(size):
                u = fraction[v]
                w = 1.0 - u
                value = w * low[v] + u * high[v] + ((w * w * w - w) * bend_low[v] + (u * u * u - u) * bend_high[v]) / 6
                at_end = -(2 * bend_low[v] + bend_high[v]) if u < 0.5 else bend_low[v] + 2 * bend_high[v]
                value += (high[v] - low[v] + at_end / 6) * beyond[v]
                deviation = node[v] - prior_mode[begin + v]
                square[v] = deviation * deviation * (above if deviation > 0.0 else below) / prior_square[begin + v]
                log_weight[k, v] = value
            if inverse_df > 0.0:
                for v in range(size):
                    log_weight[k, v] -= half_power * fast_log1p(inverse_df * square[v])
            else:
                for v in range(size):
                    log_weight[k, v] -= 0.5 * square[v]
            for v in range(size):
                highest[v] = max(highest[v], log_weight[k, v])
        for k in range(points.size):
            for v in range(size):
                weight = fast_exp(log_weight[k, v] - highest[v])
                total[v] += weight
                one[v] += weight * points[k]
                two[v] += weight * points[k] * points[k]
        for v in range(size):
            average = one[v] / total[v]
            mean[begin + v] = centre[begin + v] + scale[begin + v] * average
            sd[begin + v] = scale[begin + v] * math.sqrt(max(two[v] / total[v] - average * average, 0.0))
            if log_evidence.size > 0:
                log_evidence[begin + v] = highest[v] + math.log(total[v] * scale[begin + v])
