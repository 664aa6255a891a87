"""From counts and donors to the regressions that every contrast uses; the prior is learned from some of the genes."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from bulkvi.stats.dispersion.posterior import INFORMED, DispersionPrior
from bulkvi.stats.dispersion.prior import LOG_TREND_BOUNDS, TAIL, dispersion_prior, hat_basis
from bulkvi.stats.dispersion.profile import dispersion_profile
from bulkvi.stats.donors.donors import DonorData, Donors, check_donors, donor_blocks
from bulkvi.stats.donors.posterior import DonorNodes, DonorPrior, Place, locate, place_nodes, posterior_weight
from bulkvi.stats.genes import FittedGenes, NodeFit
from bulkvi.stats.nb.regression import block_genes, blocks, check_regression, make_layout

LEARN_GENES = 1500
N_KNOTS = (10, 5)
BOUNDS = (LOG_TREND_BOUNDS, (np.log(1e-4), np.log(4.0)))
MIN_VARIANCE = 0.05
MAX_VARIANCE = 16.0
START_VARIANCE = 0.5
START_SHARE = 0.5
ROUNDS = 8
INNER = 30
TOL = 0.02
CUT = 1 - 2 * TAIL * norm.pdf(TAIL) / (1 - 2 * norm.sf(TAIL))


class DonorFit(NamedTuple):
    """All genes of a data set, fitted with dispersions and donor variances integrated out."""

    genes: FittedGenes
    """Regressions that contrasts are computed from; the dispersions are those within donors."""
    donors: Donors
    """Donors' effects and the variances of the nodes."""
    prior: DonorPrior
    """Prior of dispersions and donor variances."""
    mean: np.ndarray
    """Posterior mean of the log donor variance, genes."""
    sd: np.ndarray
    """Its posterior standard deviation, genes."""


def fit_donor_genes(
    counts: np.ndarray,
    features: np.ndarray,
    donor: np.ndarray,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
) -> DonorFit:
    r"""Fit all genes with a random intercept for each donor: `fit_genes` for samples that share donors.

    .. math:: y_{ng} \sim \mathrm{NB}(m_{ng}, \alpha_g), \quad \log m_{ng} = o_n + x_n^\top \theta_g + u_{d(n) g}, \quad
        u_{dg} \sim N(0, \tau_g^2), \quad \theta_g \sim N(0, D^{-1})

    with :math:`\log \alpha_g \sim N(f(x_g), v)` and :math:`\log \tau_g^2 \sim N(h(x_g), w)`, x the log mean;
    trends and variances are estimated from up to 1,500 genes. Each gene's posterior of both is then integrated over on a
    lattice around its mode, so that the effect of a group that donors are nested in has the uncertainty of few donors.
    ``donor`` holds the donor of each sample; the other arguments are those of `fit_genes`.
    """
    check_regression(counts, features, offset, ridge, weights)
    n, p = features.shape
    n_donors = check_donors(donor, n)
    if n <= p:
        raise ValueError(
            f"{n} samples and {p} features leave no residual degrees of freedom to learn the dispersion from: "
            "add replicates or drop features."
        )
    n_genes = counts.shape[1]
    rate = counts / np.exp(offset[:, None] if offset.ndim == 1 else offset)
    base_mean = rate.mean(0) if weights is None else (rate * weights).sum(0) / weights.sum(0)
    log_mean = np.log(np.clip(base_mean, 1e-3, None))
    chosen = np.argsort(log_mean, kind="stable")[np.linspace(0, n_genes - 1, min(n_genes, LEARN_GENES)).astype(int)]
    y = np.ascontiguousarray(counts[:, chosen])
    o, w = offset if offset.ndim == 1 else offset[:, chosen], None if weights is None else weights[:, chosen]
    _, data = next(donor_blocks(y, features, donor, o, ridge, w, genes=chosen.size))
    layout, order = make_layout(features, ridge)
    _, block = next(blocks(y, o, w, layout, order, chosen.size))
    total = dispersion_prior(dispersion_profile(block, n - p), log_mean[chosen])
    learned = learn_prior(data, log_mean[chosen], total.log_trend)
    prior = learned.at(log_mean)
    start = _start_place(prior, np.array([n - n_donors, n_donors]))
    parts, effects = [], []
    for part, data in donor_blocks(counts, features, donor, offset, ridge, weights, block_genes(n) // 8):
        block_prior = prior.genes(part)
        coef, effect = data.start_coef(), np.zeros((n_donors, block_prior.log_trend.shape[1]))
        place = locate(data, block_prior, start.genes(part), coef, effect)
        parts.append(place_nodes(data, block_prior, place, coef, effect))
        effects.append(effect)
    at = np.concatenate([nodes.at for nodes in parts], -1)
    moments = [nodes.moments() for nodes in parts]
    mean = np.concatenate([m for m, _ in moments], -1)
    sd = np.sqrt(np.concatenate([np.einsum("iig->ig", c) for _, c in moments], -1))
    nodes = NodeFit(
        at[0],
        np.concatenate([part.weight for part in parts], -1),
        np.concatenate([part.fit.coef for part in parts], -1),
        np.concatenate([part.fit.covariance for part in parts], -1),
        np.concatenate([part.fit.converged for part in parts], -1),
        np.zeros(n_genes),  # donors' nodes have no evidence to compare readings by: `regress_genes` compares before
    )
    dispersions = DispersionPrior(prior.log_trend[0], float(prior.variance[0]), mean[0], sd[0], learned.converged)
    fit = FittedGenes(base_mean, _without_prior(mean[0], sd[0], dispersions), dispersions, nodes)
    code = np.unique(donor, return_inverse=True)[1].reshape(-1)
    return DonorFit(fit, Donors(code, np.concatenate(effects, -1), at[1]), prior, mean[1], sd[1])


def _without_prior(mean: np.ndarray, sd: np.ndarray, prior: DispersionPrior) -> np.ndarray:
    """Dispersions of highest likelihood: the posterior's normal curve divided by the prior's; 0 where the data have no information."""
    information = 1 / sd**2 - 1 / prior.variance
    top = mean + (mean - prior.log_trend) / prior.variance / np.clip(information, 1e-6, None)
    return np.where(information > 0.05 / prior.variance, np.exp(np.clip(top, -16.0, 5.0)), 0.0)


class PriorTrend(NamedTuple):
    """The prior as a function of the mean."""

    knots: tuple[np.ndarray, ...]
    """Log means of the knots of both trends."""
    heights: tuple[np.ndarray, ...]
    """Heights of the trends there."""
    variance: np.ndarray
    """Prior variances, 2."""
    converged: bool
    """Whether trends and variances converged."""

    def at(self, log_mean: np.ndarray) -> DonorPrior:
        """The prior of genes with these log means."""
        trend = [np.interp(log_mean, knots, heights) for knots, heights in zip(self.knots, self.heights, strict=True)]
        return DonorPrior(np.stack(trend), self.variance)


def learn_prior(data: DonorData, log_mean: np.ndarray, log_total: np.ndarray) -> PriorTrend:
    r"""Estimate trends and variances of log dispersion and log donor variance from these genes.

    As `bulkvi.stats.dispersion.prior.dispersion_prior` does for the dispersion alone: with E, V a gene's posterior mean and
    variance, a trend takes the step that regresses :math:`(E - f) / \kappa` on the mean with weights
    :math:`\kappa = 1 - V / v`, and the variance is :math:`\sum (E - f)^2 / \sum \kappa`. Both use one joint posterior, so
    that variation between donors is not counted as dispersion. Between two placements of the nodes the posteriors are
    reweighted under the moving prior. The search starts at ``log_total``, log dispersions of a fit without donors.
    """
    knots = tuple(np.unique(np.quantile(log_mean, np.linspace(0.005, 0.995, n))) for n in N_KNOTS)
    bases = tuple(hat_basis(log_mean, k) for k in knots)
    heights = [np.interp(k, *_running(log_mean, log_total)) + np.log(START_SHARE) for k in knots]
    variance = np.full(2, START_VARIANCE)
    learned = PriorTrend(knots, tuple(heights), variance, converged=False)
    coef = data.start_coef()
    effect = np.zeros((data.start.size - 1, log_mean.size))
    n_free = np.array([data.counts.shape[0] - data.start.size + 1, data.start.size - 1])
    prior = learned.at(log_mean)
    place = _start_place(prior, n_free)
    rounds = 3
    for _ in range(ROUNDS):
        before = learned
        place = locate(data, learned.at(log_mean), place, coef, effect, rounds=rounds)
        nodes = place_nodes(data, learned.at(log_mean), place, coef, effect, tol=0.02)
        learned = _fixed_point(nodes, learned, bases, log_mean)
        change = np.abs(np.log(learned.variance / before.variance)).max()
        _, spread = nodes.moments()
        moved = max(
            _moved(bases[k] @ (learned.heights[k] - before.heights[k]), spread[k, k], before.variance[k])
            for k in (0, 1)
        )
        rounds = 1
        if change < 2 * TOL and moved < 2 * TOL:
            return learned._replace(converged=True)
    return learned


def _fixed_point(
    nodes: DonorNodes, learned: PriorTrend, bases: tuple[np.ndarray, ...], log_mean: np.ndarray
) -> PriorTrend:
    """Iterate the prior and the posteriors under it to agreement, at fixed nodes."""
    for _ in range(INNER):
        prior = learned.at(log_mean)
        weight = posterior_weight(nodes.fit.log_likelihood, prior, nodes.at)
        mean, covariance = nodes._replace(weight=weight).moments()
        heights, variance = [], np.empty(2)
        moved = 0.0
        for k in (0, 1):
            old = learned.heights[k]
            new, variance[k] = prior_step(mean[k], covariance[k, k], old, learned.variance[k], bases[k], BOUNDS[k])
            heights.append(new)
            moved = max(moved, _moved(bases[k] @ (new - old), covariance[k, k], learned.variance[k]))
        change = np.abs(np.log(variance / learned.variance)).max()
        learned = learned._replace(heights=tuple(heights), variance=variance)
        if change < TOL / 2 and moved < TOL / 2:
            break
    return learned


def _moved(shift: np.ndarray, spread: np.ndarray, variance: float) -> float:
    """Largest shift of a trend, weighted by the information of the data there."""
    return float((np.abs(shift) * np.clip(1 - spread / variance, 0, 1)).max())


def prior_step(
    mean: np.ndarray,
    spread: np.ndarray,
    heights: np.ndarray,
    variance: float,
    basis: np.ndarray,
    bounds: tuple[float, float],
) -> tuple[np.ndarray, float]:
    """Heights of a trend's knots, and the variance about it, after a step; ``mean`` and ``spread`` (variance) are posterior."""
    first = np.diff(np.eye(heights.size), axis=0)
    penalty = first.T @ first + 1e-9 * np.eye(heights.size)
    known = np.clip(1 - spread / variance, 1e-4, 1.0)
    deviation = mean - basis @ heights
    inlying = known * (deviation**2 <= TAIL**2 * variance * np.clip(known, INFORMED, None))
    new_variance = (inlying * deviation**2 / known).sum() / inlying.sum() / CUT
    weighted = basis.T * inlying
    step = np.linalg.solve(weighted @ basis + penalty, weighted @ (deviation / known) - penalty @ heights)
    new = np.clip(heights + np.clip(step, -0.5, 0.5), *bounds)
    change = np.clip(np.log(max(new_variance, 1e-9) / variance), -0.5, 0.5)
    return new, float(np.clip(variance * np.exp(change), MIN_VARIANCE, MAX_VARIANCE))


def _start_place(prior: DonorPrior, n_free: np.ndarray) -> Place:
    """Start at the prior means, with the information of ``n_free`` (2) degrees of freedom."""
    root = np.zeros((2, 2, prior.log_trend.shape[1]))
    root[[0, 1], [0, 1]] = np.sqrt(1 / (1 / prior.variance + n_free / 4))[:, None]
    return Place(prior.log_trend.copy(), root)


def _running(log_mean: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    up = np.argsort(log_mean, kind="stable")
    return log_mean[up], value[up]
