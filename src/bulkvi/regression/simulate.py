"""Draws of a future study from the posterior of a fitted one: the truth behind the counts, and counts given it."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.contrast import Contrast, LatentColumns
from bulkvi.regression.effect_table import estimate_contrast
from bulkvi.regression.hidden import HiddenVariation, effect_given_latent, latent_names
from bulkvi.regression.regression import GeneRegression
from bulkvi.stats.effects.effect import EffectLikelihood, absolute_z, log_p_value
from bulkvi.stats.effects.effect_draws import draw_effects_given_prior, draw_independent, draw_log_factor, draw_prior
from bulkvi.stats.effects.noise_inflation import (
    LARGEST_VARIANCE,
    SMALLEST_EFFECT,
    ExpectedInflation,
    null_variance,
    standardise,
    standardised_residuals,
)
from bulkvi.stats.hidden.hidden_factors import MAX_FACTORS

LARGEST_RISE = 10.0
"""Factor on the largest count of a gene in the pilot, up to which rates are drawn: beyond it the pilot is no guide."""
LARGEST_SHARE = 0.9
"""Of a gene's biological variance in hidden factors: some is its own."""
LARGEST_MEAN = 1e9
"""Largest expected count: above, a Poisson draw is out of the range of 32-bit integers."""


class Pilot(NamedTuple):
    """What a fitted study tells of another one of the same system; natural logs."""

    regression: GeneRegression
    design_weights: pd.Series
    """Weights of the columns of the design in the contrast."""
    weights: pd.Series
    """Those of all columns of the regression: latent columns adjust the contrast."""
    effect: EffectLikelihood
    """Likelihood of the effects, about the shift that most genes share."""
    width: float
    """Variance of the statistics of genes without effect, if small effects have no part in it."""
    expected: ExpectedInflation | None
    """What is expected of it given latent columns; None without them."""
    centre: np.ndarray
    """What was subtracted from the columns of the design, as means of measurements."""
    direction: np.ndarray
    """Directions of each gene's residuals, directions x genes, each of length 1."""
    eigenvalues: np.ndarray
    """Of the residuals of all genes, one per direction."""


class Truth(NamedTuple):
    """Parameters of all genes in a future study; natural logs."""

    effect: np.ndarray
    """Effect of the contrast, genes; exactly 0 for unchanged ones."""
    coef: np.ndarray
    """Coefficients of the columns of the design, columns x genes."""
    loading: np.ndarray
    """Loadings of hidden directions, directions x genes; the states of samples are standard normal."""
    dispersion: np.ndarray
    """Dispersions that are left, genes."""
    largest_log_rate: np.ndarray
    """Limit of each gene's rates."""


def pilot_of(hidden: HiddenVariation, compared: Contrast, number: LatentColumns, *, subtract: bool) -> Pilot:
    """Collect what the regressions tell of a contrast, by the steps of ``differential_expression``."""
    weighted = effect_given_latent(hidden, compared.weights, "direct", number, common=not subtract)
    regression = weighted.regression
    estimated = estimate_contrast(
        regression,
        weighted.weights,
        weighted.covariance,
        weighted.sides,
        subtract=subtract,
        expected=weighted.expected,
        located=weighted.located,
        alone=weighted.alone,
    )
    shift = estimated.shift.shift
    effect = estimated.contrasted.effect.shifted(shift if subtract else 0.0)
    statistic = absolute_z(log_p_value(effect.shifted(0.0 if subtract else shift)))[regression.informative]
    width = null_variance(statistic, 1 / LARGEST_VARIANCE)
    expected = weighted.expected if weighted.n_latent else None
    matrix = hidden.study.design.matrix
    names = list(matrix.columns)
    centre = matrix.iloc[0].to_numpy() - regression.features[names].iloc[0].to_numpy()
    direction, eigenvalues = _residual_directions(regression)
    given = (regression, compared.weights, weighted.weights, effect.centred())
    return Pilot(*given, width, expected, centre, direction, eigenvalues)


def _residual_directions(regression: GeneRegression) -> tuple[np.ndarray, np.ndarray]:
    """Residuals of every gene in an orthonormal basis of their space, scaled to length 1; and the eigenvalues over genes."""
    features, fit = regression.features.to_numpy(), regression.fit
    offset = regression.offset if regression.offset.ndim == 2 else regression.offset[:, None]
    log_rate = np.einsum("kg,kpg->pg", fit.nodes.weight, fit.nodes.coef)
    mean = np.exp(np.minimum(offset + features @ log_rate, np.log(LARGEST_MEAN)))
    residuals = standardise(regression.counts, mean, np.exp(fit.prior.mean), features)
    basis = np.linalg.qr(features, mode="complete")[0][:, features.shape[1] :]
    along = basis.T @ residuals
    value, _, _, _, rank = standardised_residuals(regression.counts, features, regression.offset, fit)
    eigenvalues = np.linalg.eigvalsh(value @ value.T)[rank:]
    if not eigenvalues.sum() > 0:  # no gene has counts enough, or none varies: nothing is known about shared noise
        eigenvalues = np.ones(len(along))
    length = np.sqrt((along**2).sum(0))
    return along / np.where(length > 0, length, 1.0), eigenvalues


def draw_truth(pilot: Pilot, rng: np.random.Generator, genes: np.ndarray | None = None) -> Truth:
    r"""Draw the parameters of all genes from their posterior.

    The factor on the variances of the effects, the prior of the effects given it, and each gene's effect given both; a node of each
    gene's dispersion, its place between the nodes, and the coefficients there, given the effect. Of a gene's biological variance,
    :math:`\log(1 + \alpha)` on the log scale, a share :math:`\lambda` is shared with other genes, through K hidden factors. Two genes
    then have the mean squared correlation :math:`\lambda^2 / K`, as :math:`\nu` independent genes have :math:`1 / \nu`, so that

    .. math:: \lambda = \sqrt{K / \nu} .

    :math:`\nu` is drawn from its posterior (`draw_independent`); K, of which a few samples say nothing, is any number that an analysis
    adjusts for (`MAX_FACTORS`).

    Shared noise misleads dispersions too, all of them at once. The factor f on the variances of the effects is that of one direction, the
    contrast, over that of the m directions of the residuals, which dispersions are learned from: of :math:`\log f` their share is
    :math:`1 / (m + 1)`, and the variance of the log of their factor given f is :math:`\operatorname{Var}(\log f) / (m + 1)`.

    ``genes`` are positions of genes to draw, of which some may be drawn several times; all once by default.
    """
    regression, nodes = pilot.regression, pilot.regression.fit.nodes
    genes = np.arange(regression.counts.shape[1]) if genes is None else genes
    independent = draw_independent(pilot.eigenvalues, regression.counts.shape[1], rng)
    # the log variance of nu independent statistics, of mean variance 1, has the variance 2 / nu
    about = (-1 / independent, np.sqrt(2 / independent))
    if pilot.expected is not None:
        about = (pilot.expected.log_mean, pilot.expected.spread)
    log_factor, noise_alone = draw_log_factor(pilot.width, *about, rng)
    effect = pilot.effect.widened(np.exp(log_factor))
    # where small effects have no part in the width of the statistics, effects are as `null_variance` takes them: not small
    informative = regression.informative | ~regression.informative.any()
    smallest = SMALLEST_EFFECT * float(np.median(effect.sd()[informative])) if noise_alone else 0.0
    prior = draw_prior(effect, rng, smallest)
    beta = draw_effects_given_prior(EffectLikelihood(*(part[:, genes] for part in effect)), prior, rng)
    cumulated = nodes.weight[:, genes].cumsum(0)
    node = (cumulated < rng.random(genes.size) * cumulated[-1]).sum(0)
    spacing = (nodes.log_dispersion[1] - nodes.log_dispersion[0])[genes]
    log_dispersion = nodes.log_dispersion[node, genes] + (rng.random(genes.size) - 0.5) * spacing
    part = 1 / (pilot.eigenvalues.size + 1)
    log_dispersion += part * log_factor + about[1] * np.sqrt(part) * rng.standard_normal()
    coef = _draw_coefficients(pilot, genes, node, beta, rng)
    latent = latent_names(regression.features, pilot.design_weights)
    columns = regression.features.columns
    kept = columns.get_indexer(pilot.design_weights.index)
    loading = coef[columns.get_indexer(latent)]
    alpha = np.exp(np.minimum(log_dispersion, np.log(LARGEST_MEAN)))
    if pilot.eigenvalues.size > 1:
        n_directions = int(rng.integers(1, MAX_FACTORS + 1))
        share = min(np.sqrt(n_directions / independent), LARGEST_SHARE)
        directions = _draw_directions(pilot.direction, n_directions, rng)[:, genes]
        loading = np.vstack([loading, np.sqrt(share * np.log1p(alpha)) * directions])
        alpha = np.expm1((1 - share) * np.log1p(alpha))
    exposure = np.exp(regression.offset if regression.offset.ndim == 2 else regression.offset[:, None])
    largest = np.log(LARGEST_RISE * ((regression.counts + 1) / exposure).max(0))[genes]
    return Truth(beta, coef[kept], loading, alpha, largest)


def _draw_directions(direction: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Directions of every gene's loadings on some hidden factors, factors x genes, each of length 1.

    The pilot's residuals are those on as many of the factors as they have dimensions, or on a random rotation; the rest is unknown.
    """
    m, n_genes = direction.shape
    if number <= m:
        drawn = np.linalg.qr(rng.standard_normal((m, number)))[0].T @ direction
    else:
        drawn = np.vstack([np.sqrt(m) * direction, rng.standard_normal((number - m, n_genes))])
    length = np.sqrt((drawn**2).sum(0))
    return drawn / np.where(length > 0, length, 1.0)


def _draw_coefficients(
    pilot: Pilot, genes: np.ndarray, node: np.ndarray, beta: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the coefficients of every gene at a node given the effect of the contrast, columns x genes.

    Those of genes with too few counts are the most probable ones: their normal approximation has no lower end.
    """
    regression, nodes = pilot.regression, pilot.regression.fit.nodes
    p = nodes.coef.shape[1]
    coef, rows = nodes.coef[node, :, genes].T, nodes.covariance[node, :, genes].T
    covariance = np.empty((beta.size, p, p))
    for j in range(p):
        for k in range(j + 1):
            covariance[:, j, k] = covariance[:, k, j] = rows[j * (j + 1) // 2 + k]
    values, vectors = np.linalg.eigh(covariance)
    noise = rng.standard_normal((beta.size, p)) * np.sqrt(np.clip(values, 0.0, None))
    noise *= regression.informative[genes, None]
    coef = coef + np.einsum("gjk,gk->jg", vectors, noise)
    psi = pilot.weights.reindex(regression.features.columns, fill_value=0.0).to_numpy()
    coef = coef + _towards(covariance, psi) * (beta - psi @ coef)
    # hidden states of new samples do not depend on the group: the effect is all in the design
    design = pilot.design_weights.reindex(regression.features.columns, fill_value=0.0).to_numpy()
    fixed = np.isin(regression.features.columns, pilot.design_weights.index)
    within = covariance * np.outer(fixed, fixed)
    return coef + _towards(within, design) * (beta - design @ coef)


def _towards(covariance: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """Change of the coefficients, columns x genes, that goes with a change of the contrast by one."""
    with_contrast = covariance @ psi
    return (with_contrast / (with_contrast @ psi)[:, None]).T


def draw_counts(
    truth: Truth, features: np.ndarray, log_depth: np.ndarray, states: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw counts of new samples, samples x genes.

    Parameters
    ----------
    truth
        Parameters of all genes.
    features
        Samples x columns of the design, measurements about the pilot's mean.
    log_depth
        Natural log of the size factor of each sample.
    states
        Hidden states, samples x directions.
    rng
        Source of the draws.
    """
    log_rate = features @ truth.coef + states @ truth.loading - 0.5 * (truth.loading**2).sum(0)
    log_mean = np.minimum(log_rate, truth.largest_log_rate) + log_depth[:, None]
    alpha = np.clip(truth.dispersion, 1e-8, None)
    mean = np.exp(log_mean) * alpha * rng.standard_gamma(1 / alpha, size=log_mean.shape)
    return rng.poisson(np.minimum(mean, LARGEST_MEAN))
