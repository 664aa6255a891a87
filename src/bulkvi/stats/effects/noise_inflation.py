"""Noise that genes share: how much wider, or narrower, the statistics of a contrast are than each gene's replicates predict.

Estimated from the residuals (`noise_inflation`), or from the statistics where most genes do not change (`null_inflation`).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_ndtr, logsumexp
from scipy.stats import norm

from bulkvi.stats.donors.donors import Donors
from bulkvi.stats.effects.effect import EffectLikelihood, absolute_z, log_p_value
from bulkvi.stats.effects.independent_genes import (
    SMALLEST_NULL_SHARE,
    ExpectedInflation,
    independent_genes,
    variance_of_next_direction,
)
from bulkvi.stats.effects.shrinkage import mixture_weights
from bulkvi.stats.genes import FittedGenes

MIN_MEAN = 5.0
LARGEST_RESIDUAL = 4.0
MAX_GENES = 4_000
N_DIRECTIONS = 20_000
FEW_DIRECTIONS = 2
"""Residual directions whose own spread leaves the variance of another one open: two replicates a group."""
NEGLIGIBLE_SD = 0.05
EDGES = np.array([0.0, 0.6, 0.9, 0.97, 1.0])
SMALLEST_EFFECT = 2.0
SCALE_RATIO = np.sqrt(2)
LARGEST_VARIANCE = 10.0
STEP = 0.15
QUANTILES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
MIN_SHARED = 0.5
"""Probability of shared noise from which it is the better explanation of a width: even odds."""
MIN_TAIL = 0.05
"""Share of contrasts with a larger width from which a width is within reach of shared noise: the usual level of a test."""


class NoiseInflation(NamedTuple):
    """Factors on the variances of all effects of a contrast, with their probabilities; mean close to one."""

    factor: np.ndarray
    """Factors, ascending; a single 1 where genes vary independently."""
    weight: np.ndarray
    """Their probabilities."""
    independent: float = np.inf
    """Number of independent genes that would spread the widths of contrasts as much as the genes do."""
    least_null: float = 0.0
    """Smallest share of genes without effect under which the factors are right."""
    next_direction: ExpectedInflation | None = None
    """Variance of one more direction, where there are at most `FEW_DIRECTIONS` (`variance_of_next_direction`)."""


def noise_inflation(
    counts: np.ndarray, features: np.ndarray, offset: np.ndarray, fit: FittedGenes, donors: Donors | None = None
) -> NoiseInflation:
    r"""Estimate from the residuals how strongly genes share noise, without use of any contrast.

    Where genes vary together, every direction in the space of the samples has a different variance: of two ways to split
    equal samples in halves, one may show twice the differences of the other, in all genes at once, and the replicates of
    a single gene do not show it. With :math:`r_g` the standardised residuals of a gene and
    :math:`\lambda` the eigenvalues of :math:`\sum_g r_g r_g^\top` divided by their mean, a direction u independent of
    them has the variance :math:`\sum_i \lambda_i u_i^2` in place of 1 (u uniform on the sphere). Its quantiles are
    returned. This is an empirical null (Efron 2007, *Correlation and large-scale simultaneous significance testing*)
    whose width is estimated from residuals, so that real effects, however many, do not widen it.
    """
    n, p = features.shape
    unknown = NoiseInflation(np.ones(1), np.ones(1), independent_genes(np.ones(1), counts.shape[1]))
    if n - p < 2:
        return unknown
    residuals, _, _, _, rank = standardised_residuals(counts, features, offset, fit, donors)
    if residuals.shape[1] < n:
        return unknown
    eigenvalues = np.linalg.eigvalsh(residuals @ residuals.T)[rank:]
    independent = independent_genes(eigenvalues, residuals.shape[1])
    # the direction of the contrast itself has no residuals
    eigenvalues = np.append(eigenvalues / eigenvalues.mean(), 1.0)
    # the same directions for every data set: an integral, not a draw
    squares = np.random.default_rng(0).standard_gamma(0.5, size=(N_DIRECTIONS, eigenvalues.size))
    factors = np.sort(squares @ eigenvalues / squares.sum(1))
    if factors.std() < NEGLIGIBLE_SD:
        return NoiseInflation(np.ones(1), np.ones(1), independent)
    cuts = (EDGES * N_DIRECTIONS).astype(int)
    means = [factors[low:high].mean() for low, high in zip(cuts[:-1], cuts[1:], strict=True)]
    few = eigenvalues.size - 1 <= FEW_DIRECTIONS
    expected = variance_of_next_direction(eigenvalues[:-1], residuals.shape[1]) if few else None
    return NoiseInflation(np.array(means), np.diff(EDGES), independent, next_direction=expected)


class Residuals(NamedTuple):
    """Standardised residuals of the genes that are informative; samples x genes."""

    value: np.ndarray
    """Residuals, projected off the features."""
    mean: np.ndarray
    """Fitted mean counts."""
    dispersion: np.ndarray
    """Posterior mean dispersions, genes."""
    donors: Donors | None
    """Random intercepts of these genes; their effects are in ``mean``."""
    rank: int
    """Dimensions of the samples that the residuals were projected off."""


def standardised_residuals(
    counts: np.ndarray, features: np.ndarray, offset: np.ndarray, fit: FittedGenes, donors: Donors | None = None
) -> Residuals:
    """Compute Pearson residuals of genes with mean counts above `MIN_MEAN`, at most `MAX_GENES` of them, every k-th by mean."""
    middle = fit.nodes.coef.shape[0] // 2
    log_rate = fit.nodes.coef[middle]
    base_mean, log_dispersion = fit.base_mean, fit.nodes.log_dispersion[middle]
    genes = np.flatnonzero(base_mean > MIN_MEAN)
    genes = genes[np.argsort(base_mean[genes], kind="stable")][:: max(1, -(-genes.size // MAX_GENES))]
    log_exposure = offset[:, None] if offset.ndim == 1 else offset[:, genes]
    selected = None if donors is None else donors.genes(genes)
    donor_effect = 0.0 if selected is None else selected.sample_effect()
    mean = np.exp(log_exposure + features @ log_rate[:, genes] + donor_effect)
    dispersion = np.exp(log_dispersion[genes])
    value = standardise(counts[:, genes], mean, dispersion, features, selected)
    return Residuals(value, mean, dispersion, selected, _basis(features, selected).shape[1])


def standardise(
    counts: np.ndarray,
    mean: np.ndarray,
    dispersion: np.ndarray,
    features: np.ndarray,
    donors: Donors | None = None,
) -> np.ndarray:
    """Standardise counts y to ``(y - m) / sqrt(m + a m^2)``, clipped at `LARGEST_RESIDUAL` and projected off the features.

    With donors, ``(y - m) / m`` plus the donor's effect, whitened (`Donors.whiten`) and projected off the features and
    their means by donor.
    """
    if donors is None:
        residuals = (counts - mean) / np.sqrt(mean + dispersion * mean**2)
    else:
        residuals = donors.whiten((counts - mean) / mean + donors.sample_effect(), 1 / mean + dispersion)
    residuals = np.clip(residuals, -LARGEST_RESIDUAL, LARGEST_RESIDUAL)
    basis = _basis(features, donors)
    return residuals - basis @ (basis.T @ residuals)


def _basis(features: np.ndarray, donors: Donors | None) -> np.ndarray:
    """Orthonormal basis of what residuals are projected off."""
    if donors is None:
        return np.linalg.qr(features)[0]
    left, size, _ = np.linalg.svd(donors.directions(features), full_matrices=False)
    return left[:, size > 1e-9 * size[0]]


def null_variance(statistic: np.ndarray, least: float = 1.0) -> float:
    r"""Estimate the variance of the z-statistics of genes without effect, between ``least`` and `LARGEST_VARIANCE`.

    Most genes are assumed to have no effect, the others one of at least twice the noise:

    .. math:: z_g \sim \pi_0 N(0, f) + \sum_j \pi_j N(0, f (1 + \tau_j^2)), \quad \tau_j \ge 2,

    with :math:`\pi_0 \ge 1/2`, and f of highest profile likelihood. An empirical null (Efron 2004, *Large-scale simultaneous
    hypothesis testing*): noise that genes share makes all statistics of a contrast wider at once, which the replicates of
    a single gene do not show. It is valid only where most genes are known not to change: many small effects look the same.
    Below ``least`` statistics are narrower than expected and have no influence, nor have those that are not finite.
    """
    z = np.asarray(statistic, dtype=float)
    z = z[np.isfinite(z)]
    if z.size == 0:
        return 1.0
    # wide effects and a wide null are exchangeable: more than one maximum
    steps = np.arange(np.log(least), np.log(LARGEST_VARIANCE) + STEP, STEP)
    some = np.sort(np.abs(z))[:: -(-z.size // MAX_GENES)]
    best = steps[np.argmax([_log_likelihood(some, np.exp(step)) for step in steps])]
    found = minimize_scalar(
        lambda log_variance: -_log_likelihood(z, np.exp(log_variance)),
        bounds=(best - STEP, best + STEP),
        method="bounded",
        options={"xatol": 0.01},
    )
    return float(np.clip(np.exp(found.x), least, LARGEST_VARIANCE))


def null_inflation(statistic: np.ndarray, expected: ExpectedInflation) -> NoiseInflation:
    r"""Combine the expected factor on the variances of all effects of a contrast with its statistics.

    The statistics bound the factor f from above: `null_variance`, F, is its value if small effects do not contribute to the
    width. With :math:`\log f \sim N(m, s^2)` expected (`latent_number`), either they do not, and f is F; or they do, F is f
    times an unknown excess (log-uniform up to `LARGEST_VARIANCE`), and f has the expected distribution below F. With even
    prior odds, the first has the posterior odds

    .. math:: N(\log F; m, s^2) : \Phi\left(\frac{\log F - m}{s}\right) / \log 10

    so that a width in the range of shared noise is attributed to it, and a larger one to many small effects.
    """
    log_sd = expected.spread
    observed = np.log(null_variance(statistic))
    below = norm.cdf((observed - expected.log_mean) / log_sd)
    shared, mixed = explanations(observed, expected.log_mean, log_sd)
    first = shared / (shared + mixed) if shared + mixed > 0 else 1.0
    quantiles = (
        expected.log_mean + log_sd * norm.ppf(QUANTILES * below) if below > 0 else np.full(QUANTILES.size, observed)
    )
    factor = np.maximum(1.0, np.exp(np.append(np.minimum(quantiles, observed), observed)))
    weight = np.append(np.full(QUANTILES.size, (1 - first) / QUANTILES.size), first)
    # the log variance of nu independent statistics has the variance 2 / nu
    return NoiseInflation(factor, weight, 2 / log_sd**2, expected.least_null)


def explanations(log_width: float, log_mean: float, log_sd: float) -> tuple[float, float]:
    """Densities of a log width of the statistics if shared noise alone is behind it, and if small effects are too (`null_inflation`)."""
    z = (log_width - log_mean) / log_sd
    return float(norm.pdf(z) / log_sd), float(norm.cdf(z) / np.log(LARGEST_VARIANCE))


def is_shared(inflation: NoiseInflation, expected: ExpectedInflation) -> bool:
    """Whether shared noise explains the width of the statistics, by the result of `null_inflation`.

    It does if it is more probable than small effects, or if the width is no more than one of twenty contrasts is expected to have:
    where little is known about the noise, no width is evidence of effects.
    """
    within_reach = norm.sf((np.log(inflation.factor[-1]) - expected.log_mean) / expected.spread) >= MIN_TAIL
    return bool(within_reach or inflation.weight[-1] >= MIN_SHARED)


class SplitInflation(NamedTuple):
    """The factor on the variances, above and below a limit."""

    above: float
    """Probability that it is above."""
    median_below: float
    """Median of the factors below; at least 1."""


def split_inflation(limit: float, inflation: NoiseInflation, expected: ExpectedInflation) -> SplitInflation:
    """Split the distribution of the factor at a limit, if small effects are the rest of the width in ``inflation``."""
    below, total = norm.cdf((np.log([limit, inflation.factor[-1]]) - expected.log_mean) / expected.spread)
    below = min(below, total)
    if not below > 0:
        return SplitInflation(float(total > 0), 1.0)
    median = np.exp(expected.log_mean + expected.spread * norm.ppf(below / 2))
    return SplitInflation(float(1 - below / total), max(1.0, float(median)))


def expected_alone(inflation: NoiseInflation) -> ExpectedInflation | None:
    """Expected factor of a contrast of the design alone, whatever its effects; None where genes vary independently."""
    if inflation.factor.size == 1 or inflation.next_direction is not None:
        return inflation.next_direction
    log_factor = np.log(inflation.factor)
    mean = float(inflation.weight @ log_factor)
    return ExpectedInflation(mean, float(np.sqrt(inflation.weight @ (log_factor - mean) ** 2)), 0.0)


def widen_log_p(log_p: np.ndarray, inflation: NoiseInflation) -> np.ndarray:
    """Adjust p-values for statistics whose variance without effect is not 1: the mean of ``2 Phi(-|z| / sqrt(factor))``."""
    widened = np.log(2) + log_ndtr(-absolute_z(log_p) / np.sqrt(inflation.factor)[:, None])
    return logsumexp(widened, axis=0, b=inflation.weight[:, None])


def inflated_log_p(effect: EffectLikelihood, delta: float, inflation: NoiseInflation) -> np.ndarray:
    """Log p-values of effects no larger than ``delta`` with all variances multiplied: the mean over the factors."""
    each = [log_p_value(effect.widened(factor), delta) for factor in inflation.factor]
    return logsumexp(each, axis=0, b=inflation.weight[:, None])


def _log_likelihood(z: np.ndarray, variance: float) -> float:
    largest = 2 * max(float(np.abs(z).max()), 3.0) / np.sqrt(variance)
    steps = int(np.ceil(np.log(largest / SMALLEST_EFFECT) / np.log(SCALE_RATIO)))
    scale = SMALLEST_EFFECT * SCALE_RATIO ** np.arange(max(steps, 0) + 1)
    variances = variance * (1 + np.append(0.0, scale) ** 2)[:, None]
    log_density = -0.5 * (np.log(variances) + z**2 / variances)
    highest = log_density.max(0)
    density = np.exp(log_density - highest)
    weight, _ = mixture_weights(density, 1.0, tol=1e-4)
    if weight[0] < SMALLEST_NULL_SHARE:
        others = weight[1:] / weight[1:].sum()
        weight = np.append(SMALLEST_NULL_SHARE, (1 - SMALLEST_NULL_SHARE) * others)
    return float((np.log(weight @ density) + highest).sum())
