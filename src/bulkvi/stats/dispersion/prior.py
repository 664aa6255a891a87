"""Empirical-Bayes prior of the gene-wise dispersions: a smooth trend over the mean, and a variance about it."""

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from bulkvi.stats.dispersion import kernels
from bulkvi.stats.dispersion.profile import MIN_LARGEST, DispersionProfile, spline_bends
from bulkvi.stats.nb.block import Array, convert, full, is_torch, namespace

N_KNOTS = 10
LOG_TREND_BOUNDS = (math.log(1e-4), math.log(20.0))
START_VARIANCE = 0.5
MIN_VARIANCE = 0.05
MAX_VARIANCE = 4.0
"""A standard deviation of 2: wider, as where most genes have counts in one sample, the prior says nothing."""
MIN_SD = 0.01
POINTS = np.linspace(-4.0, 4.0, 13)
TAIL = 4.0
INFORMED = 0.5
LARGEST_LOG = math.log(1e3)
"""Largest posterior mean of a log dispersion: of a gene with counts in one sample, any larger one is as likely."""
SOFT = 0.5
"""Width of a soft cut, relative to the squared deviation at which genes are cut."""


class DispersionPrior(NamedTuple):
    """``log dispersion ~ N(trend, variance)`` and each gene's posterior under it; natural logs."""

    log_trend: Array
    """Prior mean, genes."""
    variance: float
    """Prior variance."""
    mean: Array
    """Posterior mean of the log dispersion, genes."""
    sd: Array
    """Posterior standard deviation of the log dispersion, genes."""
    converged: bool
    """Whether the trend and the variance settled."""

    @property
    def informed(self) -> Array:
        """Genes whose own counts tell more about their dispersion than the prior does, boolean."""
        return self.sd**2 <= (1 - INFORMED) * self.variance

    def genes(self, part: slice) -> "DispersionPrior":
        """The prior of some of the genes.

        Parameters
        ----------
        part
            Positions of the genes.

        Returns
        -------
        Trend and posterior of those.
        """
        return self._replace(log_trend=self.log_trend[part], mean=self.mean[part], sd=self.sd[part])


class Spline(NamedTuple):
    """Cubic spline through the profiles, genes first: what one gene needs stands together in memory."""

    values: Array
    """Log likelihoods, genes x places."""
    bends: Array
    """Their `spline_bends`, genes x places."""


def profile_spline(profile: DispersionProfile) -> Spline:
    """Spline through the profiles of all genes.

    Parameters
    ----------
    profile
        Likelihood of the dispersions.

    Returns
    -------
    Values and second differences, genes first.

    Examples
    --------
    >>> parabola = -(np.arange(9.0)[:, None] ** 2)
    >>> profile_spline(DispersionProfile(parabola, None, None, 1.0, 1.0, None, None)).bends[0, :3].round(6).tolist()
    [-2.0, -2.0, -2.0]
    """
    values = profile.log_likelihood
    both = (values.T, spline_bends(values).T)
    return Spline(*(part.contiguous() if is_torch(part) else np.ascontiguousarray(part) for part in both))


def dispersion_prior(
    profile: DispersionProfile, log_mean: Array, *, tail: float = TAIL, tol: float = 5e-3, max_iter: int = 50
) -> DispersionPrior:
    r"""Learn where the dispersions lie from all genes, and with it the posterior of each gene's.

    The model is :math:`\log \alpha_g \sim N(f(x_g), \tau^2)`, the gene's data entering through its adjusted profile
    likelihood. f is piecewise linear in the log mean x over `N_KNOTS` quantiles, flat where nothing is known.
    With :math:`E_g, V_g` the posterior mean and variance under the current f and :math:`\tau^2`, the marginal
    likelihood is stationary where (Dempster, Laird & Rubin 1977)

    .. math:: \sum_g B_g (E_g - f_g) = 0, \qquad \tau^2 = \frac{\sum_g (E_g - f_g)^2}{\sum_g \kappa_g},
        \qquad \kappa_g = 1 - V_g / \tau^2 .

    f takes Newton's step, a regression of :math:`(E_g - f_g) / \kappa_g` with weights :math:`\kappa_g`; the variance
    iterates its equation, which moves faster than EM and ends at the same place (Morris 1983), and skips ahead where
    its steps shrink by a steady ratio. :math:`\kappa_g`, between 0 and 1, is what the gene's own data say: a gene with
    few counts, or no overdispersion in sight, counts for little, and none has to be left out. Genes more than ``tail``
    standard deviations :math:`\tau \sqrt{\max(\kappa_g, 1/2)}` off the trend have no say (the variance is set right for
    it), so that a few wild genes do not widen the prior of all others. The cut must not shrink with :math:`\kappa_g` to
    the end: among genes with few counts most deviations are a little negative and a few far positive, and without those
    few the trend slides to zero. A gene at the edge of the cut may move the prior so that it is out in one round and in
    again in the next, without end. After ``max_iter`` rounds the variance therefore keeps its geometric mean over the
    second half of them, and the edge of the cut is softened, so that such a gene counts in part and the trend settles.

    Parameters
    ----------
    profile
        Likelihood of the dispersions, from `dispersion_profile`.
    log_mean
        Log of the mean rate (count over exposure) of each gene; natural log, shape ``(n_genes,)``.
    tail
        Standard deviations off the trend beyond which a gene is left out of the prior.
    tol
        Largest change of log variance (and of the trend, in units of 5 ``tol``, where data say something) to stop at.
    max_iter
        Most rounds with a sharp cut, and most rounds with a soft one after that; `DispersionPrior.converged` is whether
        they were enough.

    Returns
    -------
    The prior and the posterior moments of the log dispersions.

    Examples
    --------
    500 genes with largest counts of 100, around a dispersion of 0.1:

    >>> rng = np.random.default_rng(0)
    >>> place = np.arange(16.0)[:, None]
    >>> top = rng.normal(7.2, 1.1, 500)  # place 7.2 is where 1 + 100 alpha = exp(7.2 / 3) = 11
    >>> curve = -0.5 * (place - top) ** 2
    >>> profile = DispersionProfile(curve, np.zeros(500), np.full(500, 100.0), 3.0, 1.0, None, None)
    >>> prior = dispersion_prior(profile, rng.normal(3, 1, 500))
    >>> prior.converged, float(np.exp(prior.log_trend).mean().round(1))
    (True, 0.1)
    """
    xp = namespace(log_mean)
    spline = profile_spline(profile)
    x = log_mean.cpu().numpy() if is_torch(log_mean) else log_mean
    knots = np.unique(np.quantile(x, np.linspace(0.005, 0.995, N_KNOTS)))
    basis = convert(hat_basis(x, knots), like=log_mean)
    first = np.diff(np.eye(knots.size), axis=0)
    penalty = convert(first.T @ first + 1e-9 * np.eye(knots.size), like=log_mean)

    def regress(target: Array, weight: Array, at: Array) -> Array:
        """Heights of the knots after Newton's step from ``at``, neighbours drawn together by the penalty."""
        weighted = basis.T * weight
        step = xp.linalg.solve(weighted @ basis + penalty, weighted @ target - penalty @ at)
        return xp.clip(at + step, *LOG_TREND_BOUNDS)

    log_mode, information = _mode(profile)
    variance = START_VARIANCE
    known = information / (information + 1 / variance)
    counted = profile.largest > MIN_LARGEST
    level = (known * log_mode).sum() / xp.clip(known.sum(), 1e-9, None)
    heights = regress(log_mode - level, known * counted, 0 * penalty[0] + level)
    trend = basis @ heights
    mean = known * log_mode + (1 - known) * trend
    sd = xp.sqrt(variance * (1 - known))
    cut_variance = 1 - 2 * tail * norm.pdf(tail) / (1 - 2 * norm.sf(tail))  # of a standard normal within +- tail
    last_change, converged = 0.0, False
    log_variances: list[float] = []
    for round_ in range(2 * max_iter):
        sharp = round_ < max_iter
        if round_ == max_iter:
            variance = math.exp(sum(log_variances[max_iter // 2 :]) / len(log_variances[max_iter // 2 :]))
        mean, sd = posterior_moments(profile, spline, trend, variance, mean, sd)
        known = xp.clip(1 - sd * sd / variance, 1e-4, 1.0)
        deviation = mean - trend
        reach = tail**2 * variance * xp.clip(known, INFORMED, None)
        inside = deviation**2 <= reach if sharp else xp.clip(0.5 + (1 - deviation**2 / reach) / SOFT, 0.0, 1.0)
        tame = known * counted * inside
        change = 0.0
        if sharp:
            total = float(tame.sum())  # 0 where no gene says anything, as a single one
            new_variance = float((tame * deviation**2 / known).sum() / total) / cut_variance if total else variance
            change = float(np.log(min(max(new_variance, MIN_VARIANCE), MAX_VARIANCE) / variance))
        heights = regress(deviation / known, tame, heights)
        shift = basis @ heights - trend
        trend = trend + shift
        ratio = change / last_change if last_change else 0.0
        skip = 0.2 < ratio < 0.85  # Aitken: straight to the end of a geometric series
        if sharp:
            variance *= float(np.exp(np.clip(change / (1 - ratio) if skip else change, -1, 1)))
            variance = min(max(variance, MIN_VARIANCE), MAX_VARIANCE)
            log_variances.append(math.log(variance))
        last_change = 0.0 if skip else change
        converged = max(abs(change), float((xp.abs(shift) * known).max()) / 5) < tol
        if converged:
            break
    mean, sd = posterior_moments(profile, spline, trend, variance, mean, sd)
    return DispersionPrior(trend, variance, xp.clip(mean, None, LARGEST_LOG), sd, converged)


def posterior_moments(
    profile: DispersionProfile, spline: Spline, prior_mean: Array, prior_variance: float, centre: Array, scale: Array
) -> tuple[Array, Array]:
    """Posterior mean and sd of the log dispersions by the trapezoid rule at ``centre + POINTS * scale``.

    The rule is next to exact once centre and scale are near the result, as after a round or two of feeding it back.

    Parameters
    ----------
    profile
        Likelihood of the dispersions.
    spline
        `profile_spline` of it.
    prior_mean, prior_variance
        Prior mean of the log dispersions, genes, and their prior variance.
    centre, scale
        Where the rule looks: its middle and its unit, natural log, genes.

    Returns
    -------
    Posterior mean and standard deviation of the log dispersions, genes.

    Examples
    --------
    A profile that says nothing leaves the prior:

    >>> flat = DispersionProfile(np.zeros((12, 1)), np.zeros(1), np.array([100.0]), 3.0, 1.0, None, None)
    >>> at = np.array([-1.0])
    >>> np.round(posterior_moments(flat, profile_spline(flat), at, 0.25, at, np.array([0.5])), 2).tolist()
    [[-1.0], [0.5]]
    """
    mean, sd = full(tuple(centre.shape), 0.0, like=centre), full(tuple(centre.shape), 0.0, like=centre)
    _kernels(centre).posterior_moments(
        *spline,
        profile.first,
        profile.largest,
        profile.root_df / profile.spacing,
        prior_mean,
        prior_variance,
        centre,
        namespace(scale).clip(scale, MIN_SD, None),
        convert(POINTS, like=centre),
        mean,
        sd,
    )
    return mean, sd


def hat_basis(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Piecewise linear basis: hat functions at the knots, constant beyond them.

    Parameters
    ----------
    x
        Points.
    knots
        Knots, ascending.

    Returns
    -------
    Points x knots, rows that add up to one.

    Examples
    --------
    >>> hat_basis(np.array([0.0, 1.5, 9.0]), np.array([1.0, 2.0, 4.0])).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    place = np.interp(x, knots, np.arange(knots.size))
    return np.clip(1 - np.abs(place[:, None] - np.arange(knots.size)), 0, None)


def _mode(profile: DispersionProfile) -> tuple[Array, Array]:
    """Log dispersion of the highest place of the lattice, and the information there: ``df (a y / (1 + a y))^2 / 2``."""
    xp = namespace(profile.largest)
    z = (profile.first + xp.argmax(profile.log_likelihood, 0)) * (profile.spacing / profile.root_df)
    log_mode = xp.log(xp.clip(xp.expm1(z), 1e-8, None) / profile.largest)
    return log_mode, (profile.root_df * xp.expm1(-z)) ** 2


def _kernels(array: Array) -> ModuleType:
    if is_torch(array):
        from bulkvi.stats.dispersion import torch_twin

        return torch_twin
    return kernels
