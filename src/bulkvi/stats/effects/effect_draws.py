"""Draws from the posterior of the effects of all genes, the prior that they share included."""

import numpy as np
from scipy.stats import norm

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.independent_genes import posterior_of_independent
from bulkvi.stats.effects.noise_inflation import explanations
from bulkvi.stats.effects.shrinkage import ShrinkagePrior, marginal_likelihoods, mixture_weights, scale_grid

USUAL_INDEPENDENT = 30.0
"""Independent genes that all genes are worth: 8 to 92 in nine cohorts of yeasts, fly, mouse, rat and human, their geometric mean."""
USUAL_LOG_SD = 0.8
"""Standard deviation of its log between these cohorts."""


def draw_log_factor(width: float, log_mean: float, log_sd: float, rng: np.random.Generator) -> tuple[float, bool]:
    r"""Draw the log of the factor f on the variances of all effects of a contrast, given the width F of its statistics.

    :math:`\log f \sim N(m, s^2)` is expected. As in `null_inflation`, either small effects have no part in the width, with the odds
    :math:`N(\log F; m, s^2) : \Phi((\log F - m) / s) / \log 10`, or f has the expected distribution below F. In the first case F is
    still an estimate from genes that share their noise, some more than others, and no better known than f is expected to vary: both
    count the same, and :math:`\log f \sim N((\log F + m) / 2, s^2 / 2)`. The second result is whether it is this case.
    """
    z = (np.log(width) - log_mean) / log_sd
    shared, mixed = explanations(float(np.log(width)), log_mean, log_sd)
    if rng.random() * (shared + mixed) < shared or mixed == 0:
        return float(log_mean + log_sd * (z / 2 + np.sqrt(0.5) * rng.standard_normal())), True
    return float(log_mean + log_sd * norm.ppf(rng.random() * norm.cdf(z))), False


def draw_independent(eigenvalues: np.ndarray, n_genes: int, rng: np.random.Generator) -> float:
    """Draw the number of independent genes that spread the variance over directions as these eigenvalues.

    Its likelihood is that of `independent_genes`. A priori its log is normal, with mean and standard deviation of real cohorts: a few
    directions cannot tell tens of independent genes from thousands, and real samples never have thousands.
    """
    nu, probability = posterior_of_independent(eigenvalues, n_genes)
    weight = probability * np.exp(-0.5 * ((np.log(nu) - np.log(USUAL_INDEPENDENT)) / USUAL_LOG_SD) ** 2)
    return float(rng.choice(nu, p=weight / weight.sum()))


def draw_prior(effect: EffectLikelihood, rng: np.random.Generator, smallest: float = 0.0) -> ShrinkagePrior:
    """Draw the prior of the effects: the mixture weights of highest likelihood for genes drawn with replacement.

    The weighted likelihood bootstrap of Newton & Raftery (1994), with whole weights. ``smallest`` is the smallest scale besides 0.
    """
    scale = scale_grid(effect)
    scale = scale[(scale == 0) | (scale >= min(smallest, scale[-1]))]
    likelihood = marginal_likelihoods(effect, scale)
    n_genes = likelihood.shape[1]
    weight, converged = mixture_weights(likelihood[:, rng.integers(n_genes, size=n_genes)], tol=1e-4)
    return ShrinkagePrior(scale, weight, converged)


def draw_effects_given_prior(effect: EffectLikelihood, prior: ShrinkagePrior, rng: np.random.Generator) -> np.ndarray:
    r"""Draw the effect of every gene from its posterior, natural log; exactly 0 where the point mass is drawn.

    The likelihood of a gene is one normal curve :math:`N(b, s^2)`, of the mean and variance over its nodes. Scale j has the
    posterior weight :math:`\pi_j N(b; 0, s^2 + \sigma_j^2)`, and given it the effect is normal (`shrink`).
    """
    estimate, variance = effect.mean(), effect.sd() ** 2
    square = prior.scale[:, None] ** 2
    total = variance + square
    with np.errstate(divide="ignore"):
        log_weight = np.log(prior.weight)[:, None] - 0.5 * (np.log(total) + estimate**2 / total)
    cumulated = np.exp(log_weight - log_weight.max(0)).cumsum(0)
    chosen = (cumulated < rng.random(estimate.size) * cumulated[-1]).sum(0)
    shrunken = prior.scale[chosen] ** 2 / (variance + prior.scale[chosen] ** 2)
    return shrunken * estimate + np.sqrt(shrunken * variance) * rng.standard_normal(estimate.size)
