"""Mode of the linear negative-binomial factor model, by Fisher scoring in turn over genes and samples."""

from typing import NamedTuple

import torch
from torch import Tensor

# A step moves the log mean of no sample further than this (natural log); the mode lies within a few of them. It is not the
# coefficients that are bounded: many factors at once would still move a gene by the sum of their steps, to where Fisher
# scoring diverges.
MAX_STEP = 2.0
# Nor does it move the latent state, whose scale is that of a standard normal, further than this.
MAX_LATENT_STEP = 1.0
LOG_DISPERSION_RANGE = (-12.0, 3.0)
# Elements of the samples x genes work arrays that are held at once.
BLOCK_ELEMENTS = 2_000_000


class FactorModel(NamedTuple):
    """Parameters of ``log mean = log s + features @ coefficients + z @ loadings`` (natural log)."""

    coefficients: Tensor
    """Shape ``(n_features, n_genes)``."""
    loadings: Tensor
    """Shape ``(n_latent, n_genes)``."""
    z: Tensor
    """Latent state, mean 0 and variance 1 over the samples, shape ``(n_samples, n_latent)``."""
    log_dispersion: Tensor
    """Natural log of the dispersion, shape ``(n_genes,)``."""
    z_variance: Tensor
    """Laplace variance of each coordinate of the latent state, shape ``(n_samples, n_latent)``."""


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
) -> FactorModel:
    """Maximise the posterior of all parameters of a linear factor model, from ``start`` for ``n_rounds`` rounds.

    Each round takes, gene by gene, two Fisher-scoring steps (McCullagh & Nelder 1989, section 2.5) of the coefficients and
    loadings given ``z`` and two Newton steps of the log dispersion under the adjusted profile likelihood of Cox & Reid (1987);
    then one Fisher-scoring step of ``z``, sample by sample, under its standard normal prior. Arrays are float64, ``counts``
    samples x genes, ``exposure`` samples x 1 or x genes, ``features`` samples x p with the intercept first. With ``m = s exp(eta)``, weight ``w = m / (1 + a m)`` and score ``u = (x - m) / (1 + a m)`` a step solves
    ``(P' W P + prior) step = P' u - prior * value``.
    """
    n_samples, n_genes = counts.shape
    n_latent = start.z.shape[1]
    coefficients = torch.cat([start.coefficients, start.loadings])
    log_dispersion, z = start.log_dispersion.clone(), start.z
    precision = torch.full((coefficients.shape[0],), effect_prior_sd**-2, dtype=counts.dtype)
    precision[0] = 1e-6
    z_information = torch.eye(n_latent, dtype=counts.dtype).repeat(n_samples, 1, 1)
    blocks = torch.arange(n_genes).split(max(1, BLOCK_ELEMENTS // n_samples))
    for _ in range(n_rounds):
        predictors = torch.cat([features, z], 1)
        z_information = torch.eye(n_latent, dtype=counts.dtype).repeat(n_samples, 1, 1)
        z_score = -z
        for genes in blocks:
            x, theta, log_a = counts[:, genes], coefficients[:, genes], log_dispersion[genes]
            s = exposure if exposure.shape[1] == 1 else exposure[:, genes]
            for _ in range(2):
                weight, score, _ = _working(x, s, predictors @ theta, log_a)
                information = torch.einsum("ng,ni,nj->gij", weight, predictors, predictors) + torch.diag(precision)
                gradient = predictors.T @ score - precision[:, None] * theta
                step = torch.linalg.solve(information, gradient.T).T
                longest = (predictors @ step).abs().amax(0)
                theta = theta + step * (MAX_STEP / longest.clamp(min=MAX_STEP))
            if learn_dispersion:
                mean = s * torch.exp(predictors @ theta)
                n_absorbed = min(predictors.shape[1], n_samples - 1)
                log_a = _dispersion_steps(x, mean, log_a, log_dispersion_trend[genes], dispersion_prior_sd, n_absorbed)
            weight, score, _ = _working(x, s, predictors @ theta, log_a)
            loadings = theta[features.shape[1] :]
            z_information += torch.einsum("ng,ig,jg->nij", weight, loadings, loadings)
            z_score = z_score + score @ loadings.T
            coefficients[:, genes], log_dispersion[genes] = theta, log_a
        if n_latent:
            z_step = torch.linalg.solve(z_information, z_score)
            longest = z_step.abs().amax(1, keepdim=True)
            z = z + z_step * (MAX_LATENT_STEP / longest.clamp(min=MAX_LATENT_STEP))
            # location and scale of z belong to the intercept and the loadings
            coefficients[0] += z.mean(0) @ coefficients[features.shape[1] :]
            z = z - z.mean(0)
            scale = z.std(0, unbiased=False).clamp(min=1e-6)
            z = z / scale
            coefficients[features.shape[1] :] *= scale[:, None]
            z_information = z_information * scale[:, None] * scale
    variance = torch.diagonal(torch.linalg.inv(z_information), dim1=1, dim2=2)
    return FactorModel(
        coefficients[: features.shape[1]], coefficients[features.shape[1] :], z, log_dispersion, variance
    )


def _working(x: Tensor, exposure: Tensor, eta: Tensor, log_dispersion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean = exposure * torch.exp(eta.clamp(max=25))
    shrink = 1 / (1 + torch.exp(log_dispersion) * mean)
    return mean * shrink, (x - mean) * shrink, mean


def _dispersion_steps(
    x: Tensor, mean: Tensor, log_dispersion: Tensor, trend: Tensor, prior_sd: float, n_absorbed: int
) -> Tensor:
    step = 1e-3
    for _ in range(2):
        slope = _dispersion_slope(x, mean, log_dispersion, trend, prior_sd, n_absorbed)
        ahead = _dispersion_slope(x, mean, log_dispersion + step, trend, prior_sd, n_absorbed)
        curvature = ((ahead - slope) / step).clamp(max=-0.3)
        log_dispersion = log_dispersion + (-slope / curvature).clamp(-1.5, 1.5)
    return log_dispersion.clamp(*LOG_DISPERSION_RANGE)


def _dispersion_slope(
    x: Tensor, mean: Tensor, log_dispersion: Tensor, trend: Tensor, prior_sd: float, n_absorbed: int
) -> Tensor:
    r = torch.exp(-log_dispersion)
    excess = 1 + mean / r
    per_sample = r * (torch.digamma(r) - torch.digamma(x + r) + torch.log(excess)) + (x - mean) / excess
    # each coefficient's information is about mean / (1 + a mean); its log determinant halves into the adjustment
    scaled = mean.mean(0) / r
    adjustment = 0.5 * n_absorbed * scaled / (1 + scaled)
    return per_sample.sum(0) + adjustment - (log_dispersion - trend) / prior_sd**2
