"""Empirical-Bayes prior of dispersions and donor variances, learned together from some of the genes."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from bulkvi.stats.dispersion.prior import INFORMED, LOG_TREND_BOUNDS, TAIL, hat_basis
from bulkvi.stats.donors.lattice import DonorData
from bulkvi.stats.donors.posterior import DonorNodes, DonorPrior, Place, locate, place_nodes, posterior_weight

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


class Learned(NamedTuple):
    """The prior as a function of the mean."""

    knots: tuple[np.ndarray, ...]
    """Log means of the knots of both trends."""
    heights: tuple[np.ndarray, ...]
    """Heights of the trends there."""
    variance: np.ndarray
    """Prior variances, 2."""
    converged: bool
    """Whether trends and variances settled."""

    def at(self, log_mean: np.ndarray) -> DonorPrior:
        """The prior of genes with these log means."""
        trend = [np.interp(log_mean, knots, heights) for knots, heights in zip(self.knots, self.heights, strict=True)]
        return DonorPrior(np.stack(trend), self.variance)


def learn_prior(data: DonorData, log_mean: np.ndarray, log_total: np.ndarray) -> Learned:
    r"""Learn trends and variances of log dispersion and log donor variance from the posteriors of these genes.

    As `bulkvi.stats.dispersion.prior.dispersion_prior` does for the dispersion alone: with E, V a gene's posterior mean and
    variance, a trend takes the step that regresses :math:`(E - f) / \kappa` on the mean with weights
    :math:`\kappa = 1 - V / v`, and the variance is :math:`\sum (E - f)^2 / \sum \kappa`. Both run on one joint posterior, so
    that what donors explain is not counted as dispersion. Between two layings of the lattices the posteriors are weighted
    anew under the moving prior.

    Parameters
    ----------
    data
        Counts of the genes to learn from.
    log_mean
        Log of their mean rates.
    log_total
        Log dispersion of a fit that knows of no donors, where the search starts.
    """
    knots = tuple(np.unique(np.quantile(log_mean, np.linspace(0.005, 0.995, n))) for n in N_KNOTS)
    bases = tuple(hat_basis(log_mean, k) for k in knots)
    heights = [np.interp(k, *_running(log_mean, log_total)) + np.log(START_SHARE) for k in knots]
    variance = np.full(2, START_VARIANCE)
    learned = Learned(knots, tuple(heights), variance, converged=False)
    coef = data.start_coef()
    effect = np.zeros((data.start.size - 1, log_mean.size))
    n_free = np.array([data.counts.shape[0] - data.start.size + 1, data.start.size - 1])
    prior = learned.at(log_mean)
    root = np.zeros((2, 2, log_mean.size))
    root[[0, 1], [0, 1]] = np.sqrt(1 / (1 / variance + n_free / 4))[:, None]
    place = Place(prior.log_trend.copy(), root)
    rounds = 3
    for _ in range(ROUNDS):
        before = learned
        place = locate(data, learned.at(log_mean), place, coef, effect, rounds=rounds)
        nodes = place_nodes(data, learned.at(log_mean), place, coef, effect, tol=0.02)
        learned = _settle(nodes, learned, bases, log_mean)
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


def _settle(nodes: DonorNodes, learned: Learned, bases: tuple[np.ndarray, ...], log_mean: np.ndarray) -> Learned:
    """The prior that agrees with the posteriors under it, nodes staying where they are."""
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
    """Largest shift of a trend where the data say something of it."""
    return float((np.abs(shift) * np.clip(1 - spread / variance, 0, 1)).max())


def prior_step(
    mean: np.ndarray,
    spread: np.ndarray,
    heights: np.ndarray,
    variance: float,
    basis: np.ndarray,
    bounds: tuple[float, float],
) -> tuple[np.ndarray, float]:
    """Heights of a trend's knots, and the variance about it, after a step; see `learn_prior`.

    Parameters
    ----------
    mean, spread
        Posterior means and variances, genes.
    heights, variance
        Where the step starts.
    basis
        Genes x knots.
    bounds
        Lowest and highest height.
    """
    first = np.diff(np.eye(heights.size), axis=0)
    penalty = first.T @ first + 1e-9 * np.eye(heights.size)
    known = np.clip(1 - spread / variance, 1e-4, 1.0)
    deviation = mean - basis @ heights
    tame = known * (deviation**2 <= TAIL**2 * variance * np.clip(known, INFORMED, None))
    new_variance = (tame * deviation**2 / known).sum() / tame.sum() / CUT
    weighted = basis.T * tame
    step = np.linalg.solve(weighted @ basis + penalty, weighted @ (deviation / known) - penalty @ heights)
    new = np.clip(heights + np.clip(step, -0.5, 0.5), *bounds)
    change = np.clip(np.log(max(new_variance, 1e-9) / variance), -0.5, 0.5)
    return new, float(np.clip(variance * np.exp(change), MIN_VARIANCE, MAX_VARIANCE))


def _running(log_mean: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    up = np.argsort(log_mean, kind="stable")
    return log_mean[up], value[up]
