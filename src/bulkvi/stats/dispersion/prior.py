"""Empirical-Bayes prior of the gene-wise dispersions: a smooth trend over the mean, a variance about it, and a shape."""

import math
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from bulkvi.stats.dispersion.posterior import INFORMED, DispersionPrior, Spline, posterior_moments, profile_spline
from bulkvi.stats.dispersion.profile import MIN_LARGEST, DispersionProfile

N_KNOTS = 10
LOG_TREND_BOUNDS = (math.log(1e-4), math.log(20.0))
START_VARIANCE = 0.5
"""Rather small: outlying genes that are inside the cut at first can widen the prior so that they stay inside."""
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
MOMENT_ROUNDS = 4
"""Rounds of `posterior_moments` from the highest place of a profile until they repeat themselves."""
TAIL = 4.0
LARGEST_LOG = math.log(1e3)
"""Largest posterior mean of a log dispersion: of a gene with counts in one sample, any larger one is as likely."""
SOFT = 0.5
"""Width of a soft cut, relative to the squared deviation at which genes are cut."""
SHAPE_GENES = 2_500
"""Genes that skewness and tails are learned from: more do not change the skewness by 0.05."""
SKEWNESS = np.linspace(-0.6, 0.6, 7)
"""Even both ways, so that genes that say nothing leave the prior symmetric; at the ends one side is four times as wide."""
TAILS = np.array([0.0, 0.05, 0.1, 0.2])
"""One over degrees of freedom, from normal sides to those of Student's t with 5."""

USUAL_TRUST = 0.5
"""Share of a reference's deviations that is found again, presumed: about what it is between parts of one cohort."""
TRUST_SD = 0.5
TRUST_BOUNDS = (0.0, 1.2)


class KnownDeviation(NamedTuple):
    """What a reference cohort says of each gene's log dispersion beyond the cohort's trend; natural log, genes."""

    mean: np.ndarray
    """Posterior means; NaN for genes that the cohort lacks."""
    sd: np.ndarray
    """Posterior standard deviations."""

    def filled(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of every gene; a gene that is not known is one of those that are, drawn at random."""
        known = np.isfinite(self.mean)
        usual = float(np.var(self.mean[known]) + np.mean(self.sd[known] ** 2)) if known.any() else 0.0
        return np.where(known, self.mean, 0.0), np.where(known, self.sd**2, usual)


def dispersion_prior(
    profile: DispersionProfile,
    log_mean: np.ndarray,
    *,
    reference: KnownDeviation | None = None,
    shaped: bool = False,
    tail: float = TAIL,
    tol: float = 5e-3,
    max_iter: int = 50,
) -> DispersionPrior:
    r"""Estimate the prior of the dispersions from all genes, and the posterior of each gene's dispersion.

    The model is :math:`\log \alpha_g = f(x_g) + e_g` with the adjusted profile likelihood of each gene. f is
    piecewise linear in the log mean x over `N_KNOTS` quantiles, flat where there are no data, and a priori a random walk
    of variance :math:`\omega` a unit of x; :math:`e_g` has mean 0, variance :math:`\tau^2` and normal sides; if ``shaped``, the
    shape of `learn_shape` in the end. With :math:`E_g, V_g` the posterior mean and variance under the current f and :math:`\tau^2` and
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
    estimated from so many makes the tails of the shaped prior those of Student's t. The variance of f is added to that of each gene.

    With a ``reference``, :math:`f(x_g) + \rho r_g` takes the place of :math:`f(x_g)`, with :math:`r_g \sim N(\bar r_g, v_g)`
    the deviation of the gene from the trend of a cohort. The trust :math:`\rho \sim N(0.5, 0.5^2)` is learned with the heights:
    it is about 0 if the genes of the reference are others, and :math:`\tau^2` is then that of no reference. The variance of a gene
    about the prior mean is :math:`\tau^2 + \rho^2 v_g`.

    Genes more than ``tail`` standard deviations :math:`\tau \sqrt{\max(\kappa_g, 1/2)}` off the trend have no weight (the variance is corrected for
    it), so that a few outlying genes do not widen the prior of all others. The cut does not shrink with :math:`\kappa_g`
    below 1/2: among genes with few counts most deviations are a little negative and a few far positive, and without those
    few the trend falls to zero. A gene at the edge of the cut may move the prior so that it is outside in one round and
    inside in the next, without end. After ``max_iter`` rounds the variance therefore keeps its geometric mean over the
    second half of them, and the edge of the cut is softened, so that such a gene has a partial weight and the trend converges.
    """
    spline = profile_spline(profile)
    knots = np.unique(np.quantile(log_mean, np.linspace(0.005, 0.995, N_KNOTS)).round(6))
    basis = hat_basis(log_mean, knots)
    first = np.diff(np.eye(knots.size), axis=0)
    walk = first.T @ (first / np.diff(knots)[:, None])
    roughness = START_ROUGHNESS
    known_mean, known_variance = (np.zeros(0), 0.0) if reference is None else reference.filled()
    n_knots, presumed = knots.size, np.zeros(knots.size)
    walk_only = walk
    if reference is not None:
        basis, presumed = np.column_stack([basis, known_mean]), np.append(presumed, USUAL_TRUST)
        walk_only = np.zeros((n_knots + 1, n_knots + 1))
        walk_only[:n_knots, :n_knots] = walk
    lowest = np.append(np.full(n_knots, LOG_TREND_BOUNDS[0]), np.full(basis.shape[1] - n_knots, TRUST_BOUNDS[0]))
    highest = np.append(np.full(n_knots, LOG_TREND_BOUNDS[1]), np.full(basis.shape[1] - n_knots, TRUST_BOUNDS[1]))

    def weak(variance: float) -> np.ndarray:
        """Precision of all but the walk, times the variance: next to none of the level, that of the trust."""
        return np.diag(np.append(np.full(n_knots, 1e-9), np.full(basis.shape[1] - n_knots, variance / TRUST_SD**2)))

    log_mode, information = _mode(profile)
    variance = START_VARIANCE
    known = information / (information + 1 / variance)
    counted = profile.largest > MIN_LARGEST
    level = (known * log_mode).sum() / np.clip(known.sum(), 1e-9, None)
    inlying = known * counted
    precision = (basis.T * inlying) @ basis + variance / roughness * walk_only + weak(variance)
    start = np.where(np.arange(basis.shape[1]) < n_knots, level, presumed)
    step = np.linalg.solve(precision, basis.T @ (inlying * (log_mode - basis @ start)))
    heights = np.clip(start + step, lowest, highest)
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
        extra = heights[-1] ** 2 * known_variance if reference is not None else 0.0
        mean, sd = posterior_moments(profile, spline, DispersionPrior(trend, variance, mean, sd, converged, extra))
        whole = variance + extra
        own = variance / whole
        known = np.clip(1 - sd * sd / whole, 1e-4, 1.0)
        deviation = mean - trend
        reach = tail**2 * whole * np.clip(known, INFORMED, None)
        inside = deviation**2 <= reach if sharp else np.clip(0.5 + (1 - deviation**2 / reach) / SOFT, 0.0, 1.0)
        inlying = known * counted * inside * own
        weighted = basis.T * inlying
        data = weighted @ basis
        precision = data + variance / roughness * walk_only + weak(variance)
        n_parameters = float(np.trace(np.linalg.solve(precision, data)))
        change = 0.0
        if sharp:
            squares = (
                float((counted * inside * (own * deviation) ** 2).sum()) / cut_variance + PRIOR_GENES * USUAL_VARIANCE
            )
            new_variance = squares / (max(float(inlying.sum()) - n_parameters, 0.0) + PRIOR_GENES)
            change = float(np.log(min(max(new_variance, MIN_VARIANCE), MAX_VARIANCE) / variance))
        pull = variance / roughness * walk_only @ heights + weak(variance) @ (heights - presumed) * (
            reference is not None
        )
        step = np.linalg.solve(precision, weighted @ (deviation / known) - pull)
        heights = np.clip(heights + step, lowest, highest)
        if n_parameters > 1:
            learned = float(heights @ walk_only @ heights) / max(n_parameters - 1, 1e-9)
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
    trust = 0.0 if reference is None else float(heights[-1])
    extra = trust**2 * known_variance
    mean, sd = posterior_moments(profile, spline, DispersionPrior(trend, variance, mean, sd, converged, extra))
    trend_variance = variance * np.einsum("gk,gk->g", basis @ np.linalg.inv(precision), basis) + extra
    deviated = trust * known_mean if reference is not None else 0.0
    prior = DispersionPrior(trend, variance, mean, sd, converged, trend_variance, deviation=deviated, trust=trust)
    if shaped:
        skewness, inverse_df = learn_shape(profile, spline, prior, log_mean)
        n_free = max(float((inlying * known).sum()) - n_parameters, 0.0) + PRIOR_GENES
        prior = prior._replace(skewness=skewness, inverse_df=inverse_df + 1 / n_free)
        mean, sd = posterior_moments(profile, spline, prior)
        prior = prior._replace(mean=mean, sd=sd)
    return prior._replace(mean=np.clip(mean, None, LARGEST_LOG))


def prior_of_genes(profile: DispersionProfile, prior: DispersionPrior) -> DispersionPrior:
    """Compute the posteriors of genes that did not enter the estimate of their prior, whose ``mean`` and ``sd`` are not used."""
    log_mode, information = _mode(profile)
    known = information / (information + 1 / prior.variance)
    mean = known * log_mode + (1 - known) * prior.log_trend
    prior = prior._replace(mean=mean, sd=np.sqrt(prior.variance * (1 - known)))
    spline = profile_spline(profile)
    for _ in range(MOMENT_ROUNDS):
        mean, sd = posterior_moments(profile, spline, prior)
        prior = prior._replace(mean=mean, sd=sd)
    return prior._replace(mean=np.clip(mean, None, LARGEST_LOG))


def learn_shape(
    profile: DispersionProfile, spline: Spline, prior: DispersionPrior, log_mean: np.ndarray
) -> tuple[float, float]:
    """Posterior means of the skewness, and with it of one over the degrees of freedom, a priori any of `SKEWNESS` and `TAILS`.

    Trend and variance stay those of ``prior``. Genes far above the trend are often more than genes far below: a symmetric prior
    pulls them too far down, and their p-values are too small. Many genes choose a shape, few leave it open.
    """
    genes = np.lexsort((prior.mean, log_mean))[:: -(-log_mean.size // SHAPE_GENES)]
    genes = genes[profile.largest[genes] > MIN_LARGEST]
    if not genes.size:
        return 0.0, 0.0
    profile, prior = profile.genes(genes), prior.genes(genes)
    values, bends = (np.ascontiguousarray(table[genes]) for table in spline)

    def evidence(shapes: list[DispersionPrior]) -> np.ndarray:
        """Log marginal likelihood of all genes under each shape."""
        log_evidence = np.zeros((len(shapes), genes.size))
        for row, shape in zip(log_evidence, shapes, strict=True):
            posterior_moments(profile, (values, bends), shape, row)
        return log_evidence.sum(1)

    fine = np.linspace(SKEWNESS[0], SKEWNESS[-1], 121)
    by_skewness = evidence([prior._replace(skewness=float(value)) for value in SKEWNESS])
    skewness = _posterior_mean(fine, CubicSpline(SKEWNESS, by_skewness)(fine))
    prior = prior._replace(skewness=skewness)
    return skewness, _posterior_mean(TAILS, evidence([prior._replace(inverse_df=float(value)) for value in TAILS]))


def _posterior_mean(value: np.ndarray, log_evidence: np.ndarray) -> float:
    """Posterior mean of what a priori is each of the values with the same probability."""
    weight = np.exp(log_evidence - log_evidence.max())
    return float(weight @ value / weight.sum())


def hat_basis(x: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Piecewise linear basis, points x knots: hat functions at the knots, constant beyond them; rows sum to one."""
    place = np.interp(x, knots, np.arange(knots.size))
    return np.clip(1 - np.abs(place[:, None] - np.arange(knots.size)), 0, None)


def _mode(profile: DispersionProfile) -> tuple[np.ndarray, np.ndarray]:
    """Log dispersion of the highest place of the lattice, and the information there: ``df (a y / (1 + a y))^2 / 2``."""
    z = (profile.first + np.argmax(profile.log_likelihood, 0)) * (profile.spacing / profile.root_df)
    log_mode = np.log(np.clip(np.expm1(z), 1e-8, None) / profile.largest)
    return log_mode, (profile.root_df * np.expm1(-z)) ** 2
