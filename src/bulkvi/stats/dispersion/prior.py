"""Empirical-Bayes prior of the gene-wise dispersions: a smooth trend over the mean, and a variance about it."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.stats import norm

from bulkvi.stats.dispersion.profile import MIN_LARGEST, DispersionProfile, spline_bends
from bulkvi.stats.nb.compiled_math import JIT, fast_exp, fast_log1p
from bulkvi.stats.nb.kernels import TILE

N_KNOTS = 10
LOG_TREND_BOUNDS = (math.log(1e-4), math.log(20.0))
START_VARIANCE = 0.5
MIN_VARIANCE = 0.05
MAX_VARIANCE = 4.0
"""A standard deviation of 2: a wider prior, as where most genes have counts in one sample, is uninformative."""
MIN_SD = 0.01
MOMENT_ROUNDS = 4
"""Rounds of `posterior_moments` from the highest place of a profile until they repeat themselves."""
POINTS = np.linspace(-4.0, 4.0, 13)
TAIL = 4.0
INFORMED = 0.5
LARGEST_LOG = math.log(1e3)
"""Largest posterior mean of a log dispersion: of a gene with counts in one sample, any larger one is as likely."""
SOFT = 0.5
"""Width of a soft cut, relative to the squared deviation at which genes are cut."""


class DispersionPrior(NamedTuple):
    """``log dispersion ~ N(trend, variance)`` and each gene's posterior under it; natural logs."""

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

    @property
    def informed(self) -> np.ndarray:
        """Genes whose counts are more informative about their dispersion than the prior, boolean."""
        return self.sd**2 <= (1 - INFORMED) * self.variance

    def genes(self, part: slice) -> "DispersionPrior":
        """Select genes."""
        return self._replace(log_trend=self.log_trend[part], mean=self.mean[part], sd=self.sd[part])


def profile_spline(profile: DispersionProfile) -> tuple[np.ndarray, np.ndarray]:
    """Values and `spline_bends` of the cubic spline through the profiles, genes x places: contiguous for each gene."""
    values = profile.log_likelihood
    return np.ascontiguousarray(values.T), np.ascontiguousarray(spline_bends(values).T)


def dispersion_prior(
    profile: DispersionProfile, log_mean: np.ndarray, *, tail: float = TAIL, tol: float = 5e-3, max_iter: int = 50
) -> DispersionPrior:
    r"""Estimate the prior of the dispersions from all genes, and the posterior of each gene's dispersion.

    The model is :math:`\log \alpha_g \sim N(f(x_g), \tau^2)`, with the adjusted profile likelihood of each gene. f is
    piecewise linear in the log mean x over `N_KNOTS` quantiles, flat where there are no data.
    With :math:`E_g, V_g` the posterior mean and variance under the current f and :math:`\tau^2`, the marginal
    likelihood is stationary where (Dempster, Laird & Rubin 1977)

    .. math:: \sum_g B_g (E_g - f_g) = 0, \qquad \tau^2 = \frac{\sum_g (E_g - f_g)^2}{\sum_g \kappa_g},
        \qquad \kappa_g = 1 - V_g / \tau^2 .

    f takes Newton's step, a regression of :math:`(E_g - f_g) / \kappa_g` with weights :math:`\kappa_g`; the variance
    iterates its equation, which converges faster than EM to the same value (Morris 1983), and skips ahead where
    its steps shrink by a steady ratio. :math:`\kappa_g`, between 0 and 1, is the information of the gene's data: a gene with
    few counts, or without overdispersion, has a small weight, and none has to be left out. Genes more than ``tail``
    standard deviations :math:`\tau \sqrt{\max(\kappa_g, 1/2)}` off the trend have no weight (the variance is corrected for
    it), so that a few outlying genes do not widen the prior of all others. The cut does not shrink with :math:`\kappa_g`
    below 1/2: among genes with few counts most deviations are a little negative and a few far positive, and without those
    few the trend falls to zero. A gene at the edge of the cut may move the prior so that it is outside in one round and
    inside in the next, without end. After ``max_iter`` rounds the variance therefore keeps its geometric mean over the
    second half of them, and the edge of the cut is softened, so that such a gene has a partial weight and the trend converges.
    """
    spline = profile_spline(profile)
    knots = np.unique(np.quantile(log_mean, np.linspace(0.005, 0.995, N_KNOTS)))
    basis = hat_basis(log_mean, knots)
    first = np.diff(np.eye(knots.size), axis=0)
    penalty = first.T @ first + 1e-9 * np.eye(knots.size)

    def regress(target: np.ndarray, weight: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Heights of the knots after Newton's step from ``at``, differences of neighbours penalised."""
        weighted = basis.T * weight
        step = np.linalg.solve(weighted @ basis + penalty, weighted @ target - penalty @ at)
        return np.clip(at + step, *LOG_TREND_BOUNDS)

    log_mode, information = _mode(profile)
    variance = START_VARIANCE
    known = information / (information + 1 / variance)
    counted = profile.largest > MIN_LARGEST
    level = (known * log_mode).sum() / np.clip(known.sum(), 1e-9, None)
    heights = regress(log_mode - level, known * counted, 0 * penalty[0] + level)
    trend = basis @ heights
    mean = known * log_mode + (1 - known) * trend
    sd = np.sqrt(variance * (1 - known))
    cut_variance = 1 - 2 * tail * norm.pdf(tail) / (1 - 2 * norm.sf(tail))  # of a standard normal within +- tail
    last_change, converged = 0.0, False
    log_variances: list[float] = []
    for iteration in range(2 * max_iter):
        sharp = iteration < max_iter
        if iteration == max_iter:
            variance = math.exp(sum(log_variances[max_iter // 2 :]) / len(log_variances[max_iter // 2 :]))
        mean, sd = posterior_moments(profile, spline, trend, variance, mean, sd)
        known = np.clip(1 - sd * sd / variance, 1e-4, 1.0)
        deviation = mean - trend
        reach = tail**2 * variance * np.clip(known, INFORMED, None)
        inside = deviation**2 <= reach if sharp else np.clip(0.5 + (1 - deviation**2 / reach) / SOFT, 0.0, 1.0)
        inlying = known * counted * inside
        change = 0.0
        if sharp:
            total = float(inlying.sum())  # 0 where no gene is informative, as a single one
            new_variance = float((inlying * deviation**2 / known).sum() / total) / cut_variance if total else variance
            change = float(np.log(min(max(new_variance, MIN_VARIANCE), MAX_VARIANCE) / variance))
        heights = regress(deviation / known, inlying, heights)
        shift = basis @ heights - trend
        trend = trend + shift
        ratio = change / last_change if last_change else 0.0
        skip = 0.2 < ratio < 0.85  # Aitken: straight to the end of a geometric series
        if sharp:
            variance *= float(np.exp(np.clip(change / (1 - ratio) if skip else change, -1, 1)))
            variance = min(max(variance, MIN_VARIANCE), MAX_VARIANCE)
            log_variances.append(math.log(variance))
        last_change = 0.0 if skip else change
        converged = max(abs(change), float((np.abs(shift) * known).max()) / 5) < tol
        if converged:
            break
    mean, sd = posterior_moments(profile, spline, trend, variance, mean, sd)
    return DispersionPrior(trend, variance, np.clip(mean, None, LARGEST_LOG), sd, converged)


def prior_of_genes(profile: DispersionProfile, log_trend: np.ndarray, prior: DispersionPrior) -> DispersionPrior:
    """The prior of other genes, with their posteriors: ``log_trend`` is the estimated trend at their means."""
    log_mode, information = _mode(profile)
    known = information / (information + 1 / prior.variance)
    mean = known * log_mode + (1 - known) * log_trend
    sd = np.sqrt(prior.variance * (1 - known))
    spline = profile_spline(profile)
    for _ in range(MOMENT_ROUNDS):
        mean, sd = posterior_moments(profile, spline, log_trend, prior.variance, mean, sd)
    return prior._replace(log_trend=log_trend, mean=np.clip(mean, None, LARGEST_LOG), sd=sd)


def posterior_moments(
    profile: DispersionProfile,
    spline: tuple[np.ndarray, np.ndarray],
    prior_mean: np.ndarray,
    prior_variance: float,
    centre: np.ndarray,
    scale: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and sd of the log dispersions by the trapezoid rule at ``centre + POINTS * scale``.

    The rule is nearly exact once centre and scale are near the result, as after a round or two of iteration.
    """
    mean, sd = np.zeros(centre.shape), np.zeros(centre.shape)
    _fill_moments(
        *spline,
        profile.first,
        profile.largest,
        profile.root_df / profile.spacing,
        prior_mean,
        prior_variance,
        centre,
        np.clip(scale, MIN_SD, None),
        POINTS,
        mean,
        sd,
    )
    return mean, sd


def hat_basis(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Piecewise linear basis, points x knots: hat functions at the knots, constant beyond them; rows sum to one."""
    place = np.interp(x, knots, np.arange(knots.size))
    return np.clip(1 - np.abs(place[:, None] - np.arange(knots.size)), 0, None)


def _mode(profile: DispersionProfile) -> tuple[np.ndarray, np.ndarray]:
    """Log dispersion of the highest place of the lattice, and the information there: ``df (a y / (1 + a y))^2 / 2``."""
    z = (profile.first + np.argmax(profile.log_likelihood, 0)) * (profile.spacing / profile.root_df)
    log_mode = np.log(np.clip(np.expm1(z), 1e-8, None) / profile.largest)
    return log_mode, (profile.root_df * np.expm1(-z)) ** 2


@njit(**JIT)
def _fill_moments(table, bends, first, largest, per_log, prior_mean, prior_variance, centre, scale, points, mean, sd):
    """Compute `posterior_moments` into ``mean`` and ``sd``; ``table`` and ``bends`` are genes x places."""
    width = table.shape[1]
    place, node = np.empty(TILE), np.empty(TILE)
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
                deviation = node[v] - prior_mean[begin + v]
                log_weight[k, v] = value - 0.5 * deviation * deviation / prior_variance
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
