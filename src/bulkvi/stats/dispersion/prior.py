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
USUAL_VARIANCE = 0.75
"""Of yeast, mouse and human cohorts it is 0.56 to 0.99."""
MIN_VARIANCE = 0.05
MAX_VARIANCE = 4.0
"""A standard deviation of 2: a wider prior, as where most genes have counts in one sample, is uninformative."""
PRIOR_GENES = 2.0
"""Genes that `USUAL_VARIANCE` is worth: those of a small panel with two replicates may say no more, and no variance is infinite."""
START_ROUGHNESS = 0.5
ROUGHNESS_BOUNDS = (1e-4, 10.0)
"""Variance of the trend a unit of the log mean. At the lower one it is flat: an sd of 0.03 over a mean 10,000 times as large."""
MIN_SD = 0.01
POINTS = np.linspace(-4.0, 4.0, 13)
TAIL = 4.0
INFORMED = 0.5
LARGEST_LOG = math.log(1e3)
"""Largest posterior mean of a log dispersion: of a gene with counts in one sample, any larger one is as likely."""
SOFT = 0.5
"""Width of a soft cut, relative to the squared deviation at which genes are cut."""
SHAPE_GENES = 3_000
"""Genes that skewness and tails are learned from: more do not change the skewness by 0.05."""
SKEWNESS = np.linspace(-0.6, 0.6, 9)
"""Even both ways, so that genes that say nothing leave the prior symmetric; at the ends one side is four times as wide."""
TAILS = np.array([0.0, 0.025, 0.05, 0.1, 0.2])
"""One over degrees of freedom, from normal sides to those of Student's t with 5."""
HALF_NORMAL = math.sqrt(2 / math.pi)
"""Mean of the absolute value of a standard normal variable."""


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

    @property
    def informed(self) -> np.ndarray:
        """Genes whose counts are more informative about their dispersion than the prior, boolean."""
        return self.sd**2 <= (1 - INFORMED) * self.variance

    def genes(self, part: slice) -> "DispersionPrior":
        """Select genes."""
        own = self.trend_variance
        return self._replace(
            log_trend=self.log_trend[part],
            mean=self.mean[part],
            sd=self.sd[part],
            trend_variance=own[part] if isinstance(own, np.ndarray) else own,
        )

    def log_density(self, log_dispersion: np.ndarray) -> np.ndarray:
        """Log prior density, up to a constant of the gene; nodes x genes."""
        mode, square = self.mode_and_square()
        deviation = log_dispersion - mode
        stretch = np.where(deviation > 0, 1 + self.skewness, 1 - self.skewness)
        distance = deviation**2 / (square * stretch**2)
        if self.inverse_df == 0:
            return -0.5 * distance
        return -0.5 * (1 / self.inverse_df + 1) * np.log1p(self.inverse_df * distance)

    def mode_and_square(self) -> tuple[np.ndarray, np.ndarray]:
        """Mode, and squared scale about it, genes: where mean and variance are ``log_trend`` and ``variance`` (of normal sides)."""
        square = self.variance / (1 + (3 - 4 * HALF_NORMAL**2) * self.skewness**2)
        mode = self.log_trend - 2 * HALF_NORMAL * math.sqrt(square) * self.skewness
        return mode, square + np.broadcast_to(self.trend_variance, mode.shape)


def profile_spline(profile: DispersionProfile) -> tuple[np.ndarray, np.ndarray]:
    """Values and `spline_bends` of the cubic spline through the profiles, genes x places: contiguous for each gene."""
    values = profile.log_likelihood
    return np.ascontiguousarray(values.T), np.ascontiguousarray(spline_bends(values).T)


def dispersion_prior(
    profile: DispersionProfile, log_mean: np.ndarray, *, tail: float = TAIL, tol: float = 5e-3, max_iter: int = 50
) -> DispersionPrior:
    r"""Estimate the prior of the dispersions from all genes, and the posterior of each gene's dispersion.

    The model is :math:`\log \alpha_g = f(x_g) + e_g` with the adjusted profile likelihood of each gene. f is
    piecewise linear in the log mean x over `N_KNOTS` quantiles, flat where there are no data, and a priori a random walk
    of variance :math:`\omega` a unit of x; :math:`e_g` has mean 0, variance :math:`\tau^2` and the shape of `learn_shape`.
    With :math:`E_g, V_g` the posterior mean and variance under the current f and :math:`\tau^2` (normal sides) and
    :math:`\kappa_g = 1 - V_g / \tau^2` the information of the gene's data, between 0 and 1, the likelihood with f integrated out is
    stationary where (Dempster, Laird & Rubin 1977)

    .. math:: \sum_g B_g (E_g - f_g) = \tfrac{\tau^2}{\omega} P h, \qquad
        \tau^2 = \frac{\sum_g (E_g - f_g)^2 + d_0 \tau_0^2}{\sum_g \kappa_g - q + d_0}, \qquad
        \omega = \frac{h^\top P h}{q - 1},

    h the heights at the knots, P the precision of a walk of unit variance and q the effective number of parameters of f. Few
    genes, or genes without a trend, thus get a flat one, and many the curve that they follow. f takes Newton's step; the
    variance iterates its equation, which converges faster than EM to the same value (Morris 1983), and skips ahead where
    its steps shrink by a steady ratio. A gene with few counts, or without overdispersion, has a small weight, and none has to be
    left out. What genes say of :math:`\tau^2` is worth :math:`d = \sum_g \kappa_g^2 - q + d_0` degrees of freedom: a variance
    estimated from so many makes the tails those of Student's t, and the variance of f is added to that of each gene's prior.

    Genes more than ``tail``
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
    walk = first.T @ (first / np.diff(knots)[:, None])
    level_only = 1e-9 * np.eye(knots.size)
    roughness = START_ROUGHNESS

    log_mode, information = _mode(profile)
    variance = USUAL_VARIANCE
    known = information / (information + 1 / variance)
    counted = profile.largest > MIN_LARGEST
    level = (known * log_mode).sum() / np.clip(known.sum(), 1e-9, None)
    heights = np.full(knots.size, level)
    inlying = known * counted
    precision = (basis.T * inlying) @ basis + variance / roughness * walk + level_only
    heights = np.clip(
        level + np.linalg.solve(precision, basis.T @ (inlying * (log_mode - level))), *LOG_TREND_BOUNDS
    )
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
        mean, sd = posterior_moments(profile, spline, DispersionPrior(trend, variance, mean, sd, False))
        known = np.clip(1 - sd * sd / variance, 1e-4, 1.0)
        deviation = mean - trend
        reach = tail**2 * variance * np.clip(known, INFORMED, None)
        inside = deviation**2 <= reach if sharp else np.clip(0.5 + (1 - deviation**2 / reach) / SOFT, 0.0, 1.0)
        inlying = known * counted * inside
        weighted = basis.T * inlying
        data = weighted @ basis
        precision = data + variance / roughness * walk + level_only
        n_parameters = float(np.trace(np.linalg.solve(precision, data)))
        change = 0.0
        if sharp:
            squares = float((counted * inside * deviation**2).sum()) / cut_variance + PRIOR_GENES * USUAL_VARIANCE
            new_variance = squares / (max(float(inlying.sum()) - n_parameters, 0.0) + PRIOR_GENES)
            change = float(np.log(min(max(new_variance, MIN_VARIANCE), MAX_VARIANCE) / variance))
        step = np.linalg.solve(precision, weighted @ (deviation / known) - variance / roughness * walk @ heights)
        heights = np.clip(heights + step, *LOG_TREND_BOUNDS)
        if n_parameters > 1:
            learned = float(heights @ walk @ heights) / max(n_parameters - 1, 1e-9)
            roughness = min(max(learned, ROUGHNESS_BOUNDS[0]), ROUGHNESS_BOUNDS[1])
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
    mean, sd = posterior_moments(profile, spline, DispersionPrior(trend, variance, mean, sd, converged))
    trend_variance = variance * np.einsum("gk,gk->g", basis @ np.linalg.inv(precision), basis)
    n_free = max(float((inlying * known).sum()) - n_parameters, 0.0) + PRIOR_GENES
    prior = DispersionPrior(trend, variance, mean, sd, converged, trend_variance)
    skewness, tail = learn_shape(profile, spline, prior)
    prior = prior._replace(skewness=skewness, inverse_df=tail + 1 / n_free)
    for _ in range(2):
        mean, sd = posterior_moments(profile, spline, prior)
        prior = prior._replace(mean=mean, sd=sd)
    return prior._replace(mean=np.clip(mean, None, LARGEST_LOG))


def learn_shape(
    profile: DispersionProfile, spline: tuple[np.ndarray, np.ndarray], prior: DispersionPrior
) -> tuple[float, float]:
    """Posterior means of the skewness, and with it of one over the degrees of freedom, a priori any of `SKEWNESS` and `TAILS`.

    Trend and variance stay those of ``prior``. Genes far above the trend are often more than genes far below: a symmetric prior
    pulls them too far down, and their p-values are too small. Many genes choose a shape, few leave it open.
    """
    genes = np.argsort(prior.log_trend, kind="stable")[:: -(-prior.mean.size // SHAPE_GENES)]
    genes = genes[profile.largest[genes] > MIN_LARGEST]
    if not genes.size:
        return 0.0, 0.0
    profile, prior = profile.genes(genes), prior.genes(genes)
    values, bends = (np.ascontiguousarray(table[genes]) for table in spline)

    def average(shapes: list[DispersionPrior], value: np.ndarray) -> float:
        """Posterior mean of ``value``, a priori the same for all shapes."""
        log_evidence = np.zeros((len(shapes), genes.size))
        for evidence, shape in zip(log_evidence, shapes, strict=True):
            posterior_moments(profile, (values, bends), shape, evidence)
        total = log_evidence.sum(1)
        weight = np.exp(total - total.max())
        return float(weight @ value / weight.sum())

    skewness = average([prior._replace(skewness=float(value)) for value in SKEWNESS], SKEWNESS)
    prior = prior._replace(skewness=skewness)
    return skewness, average([prior._replace(inverse_df=float(value)) for value in TAILS], TAILS)


def posterior_moments(
    profile: DispersionProfile,
    spline: tuple[np.ndarray, np.ndarray],
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
