"""Linear negative-binomial factor model whose directions have a learned relevance, by variational EM with Fisher scoring."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import digamma
from torch import Tensor

from bulkvi.model._dispersion_steps import dispersion_steps

# A step moves the log mean of no sample further than this (natural log); the mode lies within a few of them. It is not the
# coefficients that are bounded: many factors at once would still move a gene by the sum of their steps, to where Fisher
# scoring diverges.
MAX_STEP = 2.0
MAX_LATENT_STEP = 1.0  # standard deviations of the prior
# Steps of a gene that alternate in sign, as those of Fisher scoring do at a count far above its mean, are halved.
SHORTER, LONGER = 0.5, 1.5
# Counts that are held in work arrays at once.
BLOCK_ELEMENTS = 2_000_000
# A direction is removed if the counts tell less of its state than this share of the prior variance. The strongest direction of
# independent noise, of n samples and G >> n genes, gives each sample an information of about 4 and so 4 / (1 + 4); those of
# real cohorts 0.96 and more.
LEAST_INFORMED = 0.8
# Dispersions settle before directions are compared with noise, whose strength is then .86 to .93 of the edge (after a round 1.01).
SETTLING_ROUNDS = 1
LEAST_SHARE = 1e-3
INTERCEPT_PRECISION = 1e-6
# Degrees of freedom of the prior of a gene's loadings: at the start, and their range (above it is a normal).
START_DOF = 10.0
DOF_RANGE = (0.5, 1_000.0)


class FactorModel(NamedTuple):
    """Parameters of ``log mean = log s + features @ coefficients + z @ loadings`` (natural log)."""

    coefficients: Tensor
    """Shape ``(n_features, n_genes)``."""
    loadings: Tensor
    """Shape ``(n_latent, n_genes)``, by falling relevance; 0 for directions that the counts do not support."""
    z: Tensor
    """Latent state, mean 0, second moment (with its variance) 1, shape ``(n_samples, n_latent)``; 0 if not supported."""
    log_dispersion: Tensor
    """Natural log of the dispersion, shape ``(n_genes,)``."""
    z_variance: Tensor
    """Posterior variance of each coordinate of the latent state, shape ``(n_samples, n_latent)``; 1 if not supported."""
    relevance: Tensor
    """Prior scale of the loadings of each direction, tau, shape ``(n_latent,)``; 0 for those that are not supported."""
    spread: Tensor
    """Factor of a gene to that scale, shape ``(n_genes,)``."""
    n_absorbed: float
    """Degrees of freedom that the coefficients and loadings of a gene take, mean over the genes."""


class _Settings(NamedTuple):
    n_features: int
    log_dispersion_trend: Tensor
    dispersion_prior_sd: float
    learn_dispersion: bool
    effect_precision: Tensor


class _Fit(NamedTuple):
    """State of the climb, for the k directions that are still supported."""

    theta: Tensor
    """Coefficients, then loadings; shape ``(n_features + k, n_genes)``."""
    log_dispersion: Tensor
    z: Tensor
    z_covariance: Tensor
    variance: Tensor  # prior variance of the loadings of each direction
    gene_precision: Tensor
    """Expected precision of a gene's loadings relative to that, shape ``(n_genes,)``."""
    dof: float
    step: Tensor
    """Last step of ``theta``."""
    damping: Tensor
    """Share of the next step that is taken, shape ``(n_genes,)``."""
    n_absorbed: float
    moved: float
    """Root mean square of the last step of the latent state; infinite if directions were removed with it."""


def fit_factor_model(
    counts: Tensor,
    exposure: Tensor,
    features: Tensor,
    start: FactorModel,
    *,
    log_dispersion_trend: Tensor,
    effect_prior_sd: float,
    dispersion_prior_sd: float,
    learn_dispersion: bool,
    n_rounds: int,
    tolerance: float = 0.0,
) -> FactorModel:
    r"""Fit a linear factor model with normal posteriors of latent state and coefficients, in at most ``n_rounds`` rounds.

    Arrays are float64, ``counts`` samples x genes, ``exposure`` samples x 1 or x genes, ``features`` samples x p with the
    intercept first. The loadings of gene g have the prior :math:`w_g \sim N(0, \mathrm{diag}(\tau^2) / \lambda_g)`,
    :math:`\lambda_g \sim \Gamma(\nu / 2, \nu / 2)`: a multivariate t, whose scales :math:`\tau_k` (the relevance of each
    direction) and degrees of freedom :math:`\nu` are learned from all genes. Effects are :math:`N(0, s^2)` with s
    ``effect_prior_sd``.

    Each round takes, gene by gene, one Fisher-scoring step (McCullagh & Nelder 1989, section 2.5) of the coefficients and two
    Newton steps of the log dispersion under the adjusted profile likelihood of Cox & Reid (1987); then one Fisher-scoring step of
    z, sample by sample, under its standard normal prior. With ``m = s exp(eta)``, weight ``w = m / (1 + a m)`` and score
    ``u = (x - m) / (1 + a m)`` a gene's step solves ``H step = P' u - sum(w S) theta - prior theta`` with
    ``H = sum w (p p' + S) + prior``, where S is the posterior covariance of a sample's state; the posterior covariance of
    its coefficients, inverse of H, enters the steps of the samples likewise. These are the terms of second order of the evidence
    lower bound, and they make a direction vanish that the counts do not support (Nakajima et al. 2013). The scales are then
    those that are best given the second moments of loadings and state over genes and samples: the state is whitened and rotated to
    the principal axes of the loadings, which is the optimum in closed form.

    Stops when the root mean square of a step of the latent state is below ``tolerance``.
    """
    n_samples, n_genes = counts.shape
    p, n_latent = features.shape[1], start.z.shape[1]
    effects = counts.new_full((p,), effect_prior_sd**-2)
    effects[0] = INTERCEPT_PRECISION
    settings = _Settings(p, log_dispersion_trend, dispersion_prior_sd, learn_dispersion, effects)
    variance = start.loadings.square().mean(1).clamp(1e-12, effect_prior_sd**2)
    # genes with large loadings have a wide prior from the first step on: the dispersion would take what a narrow one cuts off
    distance = (start.loadings.square() / variance[:, None]).sum(0)
    fit = _Fit(
        torch.cat([start.coefficients, start.loadings]),
        start.log_dispersion,
        start.z,
        counts.new_zeros(n_samples, n_latent, n_latent),
        variance,
        (START_DOF + n_latent) / (START_DOF + distance),
        START_DOF,
        counts.new_zeros(p + n_latent, n_genes),
        counts.new_ones(n_genes),
        min(p + n_latent, n_samples - 1),
        float("inf"),
    )
    for number in range(n_rounds):
        fit = _round(counts, exposure, features, fit, settings, settled=number >= SETTLING_ROUNDS)
        if fit.moved < tolerance:
            break
    fit = _signed(fit, p)
    missing = n_latent - fit.z.shape[1]
    return FactorModel(
        fit.theta[:p],
        torch.cat([fit.theta[p:], fit.theta.new_zeros(missing, n_genes)]),
        torch.cat([fit.z, fit.z.new_zeros(n_samples, missing)], 1),
        fit.log_dispersion,
        torch.cat([fit.z_covariance.diagonal(dim1=1, dim2=2), fit.z.new_ones(n_samples, missing)], 1),
        torch.cat([fit.variance.sqrt(), fit.variance.new_zeros(missing)]),
        fit.gene_precision.rsqrt(),
        fit.n_absorbed,
    )


def _round(
    counts: Tensor, exposure: Tensor, features: Tensor, fit: _Fit, settings: _Settings, *, settled: bool
) -> _Fit:
    """One step of all genes, then of all samples, then of the prior of the loadings; where ``settled``, noise is removed."""
    n_samples, n_genes = counts.shape
    p, k = settings.n_features, fit.z.shape[1]
    q = p + k
    predictors = torch.cat([features, fit.z], 1)
    uncertain = counts.new_zeros(n_samples, q, q)
    uncertain[:, p:, p:] = fit.z_covariance
    uncertain = uncertain.reshape(n_samples, -1)
    outer = (predictors[:, :, None] * predictors[:, None, :]).reshape(n_samples, -1) + uncertain
    precision = torch.cat([settings.effect_precision, 1 / fit.variance])
    theta, steps, log_dispersion = fit.theta.clone(), fit.step.clone(), fit.log_dispersion.clone()
    damping, distance, absorbed = fit.damping.clone(), torch.zeros_like(fit.damping), torch.zeros_like(fit.damping)
    z_information = torch.eye(k, dtype=counts.dtype).repeat(n_samples, 1, 1)
    z_score, second_moment, strength = -fit.z, counts.new_zeros(k, k), counts.new_zeros(k)
    for genes in torch.arange(n_genes).split(max(1, BLOCK_ELEMENTS // n_samples)):
        x, own, log_a = counts[:, genes], theta[:, genes], log_dispersion[genes]
        s = exposure if exposure.shape[1] == 1 else exposure[:, genes]
        prior = precision[:, None].expand(q, len(genes)).clone()
        prior[p:] *= fit.gene_precision[genes]
        weight, score = _working(x, s, predictors @ own, log_a)
        information = (weight.T @ outer).reshape(-1, q, q) + torch.diag_embed(prior.T)
        covariance = torch.linalg.inv(information)
        gradient = predictors.T @ score - prior * own - _times((weight.T @ uncertain).reshape(-1, q, q), own.T).T
        step = _times(covariance, gradient.T).T
        alternates = (step * steps[:, genes]).sum(0) < 0
        damping[genes] = (fit.damping[genes] * torch.where(alternates, SHORTER, LONGER)).clamp(max=1.0)
        steps[:, genes] = step
        longest = (predictors @ step).abs().amax(0)
        own = own + step * (MAX_STEP / longest.clamp(min=MAX_STEP)) * damping[genes]
        if settings.learn_dispersion:
            mean = s * torch.exp(predictors @ own)
            trend, sd = settings.log_dispersion_trend[genes], settings.dispersion_prior_sd
            log_a = dispersion_steps(x, mean, log_a, trend, sd, fit.n_absorbed)
        theta[:, genes], log_dispersion[genes] = own, log_a
        variances = covariance.diagonal(dim1=1, dim2=2).T
        absorbed[genes] = (1 - variances * prior).sum(0)
        strength += squared_estimates(own[p:], variances[p:], prior[p:]).sum(1)
        distance[genes] = ((own[p:].square() + variances[p:]) * precision[p:, None]).sum(0)
        weight, score = _working(x, s, predictors @ own, log_a)
        loadings = own[p:].T
        pairs = loadings[:, :, None] * loadings[:, None, :] + covariance[:, p:, p:]
        z_information += (weight @ pairs.reshape(len(genes), -1)).reshape(n_samples, k, k)
        across = (weight @ covariance[:, p:].reshape(len(genes), -1)).reshape(n_samples, k, q)
        z_score = z_score + score @ loadings - _times(across, predictors)
        second_moment += (pairs * fit.gene_precision[genes, None, None]).sum(0)
    fit = fit._replace(
        theta=theta,
        log_dispersion=log_dispersion,
        step=steps,
        damping=damping,
        n_absorbed=min(float(absorbed.mean()), n_samples - 1.0),
        gene_precision=(fit.dof + k) / (fit.dof + distance),
        dof=_learned_dof(fit.dof, k, distance),
        moved=0.0,
    )
    if not k:
        return fit
    z_covariance = torch.linalg.inv(z_information)
    z_step = _times(z_covariance, z_score)
    longest = z_step.abs().amax(1, keepdim=True)
    z = fit.z + z_step * (MAX_LATENT_STEP / longest.clamp(min=MAX_LATENT_STEP))
    # the location of the state belongs to the intercept
    fit.theta[0] += z.mean(0) @ fit.theta[p:]
    fit = fit._replace(z=z - z.mean(0), z_covariance=z_covariance, moved=float(z_step.square().mean().sqrt()))
    stands_out = strength > n_genes * (1 + math.sqrt(max(n_samples - p, 0) / n_genes)) ** 2
    if settled and not bool(stands_out.all()):
        fit, second_moment = _without(fit, p, stands_out), second_moment[stands_out][:, stands_out]
    fit = _rotated(fit, p, second_moment / n_genes)
    supported = fit.z.square().mean(0) > LEAST_INFORMED
    return fit if bool(supported.all()) else _without(fit, p, supported)


def squared_estimates(loadings: Tensor, variance: Tensor, prior_precision: Tensor) -> Tensor:
    """Squares of the loadings that the counts alone would give, in units of their variance; 1 on average where there are none."""
    # with information i of the counts the posterior variance is v = 1 / (i + prior) and the estimate loading / (v i)
    return loadings.square() / (variance * (1 - variance * prior_precision).clamp(min=LEAST_SHARE))


def _rotated(fit: _Fit, p: int, second_moment: Tensor) -> _Fit:
    """Whiten the state and rotate it to where a second moment of the loadings is diagonal; the decoded rates do not change."""
    root = torch.linalg.cholesky((fit.z.T @ fit.z + fit.z_covariance.sum(0)) / len(fit.z))
    values, vectors = torch.linalg.eigh(root.T @ second_moment @ root)
    values, vectors = values.flip(0).clamp(min=1e-300), vectors.flip(1)
    of_loadings = vectors.T @ root.T
    of_state = torch.linalg.solve_triangular(root.T, vectors, upper=True)
    theta, step = fit.theta.clone(), fit.step.clone()
    theta[p:], step[p:] = of_loadings @ fit.theta[p:], of_loadings @ fit.step[p:]
    covariance = of_state.T @ fit.z_covariance @ of_state
    return fit._replace(theta=theta, step=step, z=fit.z @ of_state, z_covariance=covariance, variance=values)


def _without(fit: _Fit, p: int, supported: Tensor) -> _Fit:
    """Remove directions; the next round starts from what is left."""
    rows = torch.cat([supported.new_ones(p), supported])
    return fit._replace(
        theta=fit.theta[rows],
        step=fit.step[rows],
        z=fit.z[:, supported],
        z_covariance=fit.z_covariance[:, supported][:, :, supported],
        variance=fit.variance[supported],
        moved=float("inf"),
    )


def _signed(fit: _Fit, p: int) -> _Fit:
    """Sign each direction so that its largest loading is positive."""
    if not fit.z.shape[1]:
        return fit
    loadings = fit.theta[p:]
    sign = torch.sign(loadings.gather(1, loadings.abs().argmax(1, keepdim=True)))
    theta = torch.cat([fit.theta[:p], loadings * sign])
    return fit._replace(theta=theta, z=fit.z * sign.T, z_covariance=fit.z_covariance * sign * sign.T)


def _learned_dof(dof: float, k: int, distance: Tensor) -> float:
    """Degrees of freedom of a multivariate t of k directions given the genes' expected distances from 0 (EM)."""
    if not k:
        return dof
    precision = (dof + k) / (dof + distance)
    log_precision = digamma((dof + k) / 2) - torch.log((dof + distance) / 2)
    known = 1 + float((log_precision - precision).mean())

    def slope(log_dof: float) -> float:
        half = np.exp(log_dof) / 2
        return np.log(half) - digamma(half) + known

    low, high = np.log(DOF_RANGE)
    if slope(low) <= 0 or slope(high) >= 0:
        return DOF_RANGE[0] if slope(low) <= 0 else DOF_RANGE[1]
    return float(np.exp(brentq(slope, low, high, xtol=1e-14)))


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[:, :, None])[:, :, 0]


def _working(x: Tensor, exposure: Tensor, eta: Tensor, log_dispersion: Tensor) -> tuple[Tensor, Tensor]:
    mean = exposure * torch.exp(eta.clamp(max=25))
    shrink = 1 / (1 + torch.exp(log_dispersion) * mean)
    return mean * shrink, (x - mean) * shrink
