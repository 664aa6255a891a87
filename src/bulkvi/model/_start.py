"""Start of training from the data."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor, nn

from bulkvi.model._factor_model import FactorModel, fit_factor_model
from bulkvi.model._likelihood import DISPERSION_PRIOR_SD, EFFECT_PRIOR_SD
from bulkvi.model._module import LOG_DISPERSION_FLOOR, BulkVAE
from bulkvi.model._networks import CovariateEffects, Covariates, standardised, units_of

# Samples used for the start; a cohort larger than this is represented by its first shuffled batches.
MAX_SAMPLES = 512
# log1p flattens low counts: a change of log1p(y) is y / (1 + y) of the change of log y. Undoing it beyond this factor
# would blow up noise.
MAX_LOG1P_SLOPE = 3.0
N_TREND_BINS = 30
# The factor model is fitted for so many rounds, or until a step of the latent state is below this share of its unit. Measured in
# docs/method/training.md.
N_ROUNDS = 30
TOLERANCE = 5e-3


class _Samples(NamedTuple):
    counts: Tensor
    exposure: Tensor
    """Size factors, samples x 1; with an offset samples x genes."""
    covariates: Covariates


def _collect(module: BulkVAE, batches: Iterable[dict[str, Tensor]]) -> _Samples:
    counts, exposures, covariates = [], [], []
    n_samples = 0
    for tensors in batches:
        counts.append(tensors[REGISTRY_KEYS.X_KEY])
        exposures.append(module.exposure(tensors))
        covariates.append(module.coding.code(tensors))
        n_samples += counts[-1].shape[0]
        if n_samples >= MAX_SAMPLES:
            break
    stacked = {kind: torch.cat([batch[kind] for batch in covariates]) for kind in module.coding.widths}
    return _Samples(torch.cat(counts), torch.cat(exposures), stacked)


def dispersion_trend(dispersion: Tensor, mean: Tensor) -> Tensor:
    """Interpolate the median dispersion of genes of similar mean over the log mean; at least 1e-4, shape ``(n_genes,)``.

    ``dispersion`` are moment estimates, possibly negative; ``mean`` are mean counts per unit size factor, > 0.
    """
    order = mean.argsort()
    bins = torch.tensor_split(order, min(N_TREND_BINS, max(1, mean.numel() // 20)))
    centres = torch.stack([mean[genes].log().mean() for genes in bins])
    heights = torch.stack([dispersion[genes].median().clamp(min=1e-4).log() for genes in bins])
    if len(bins) == 1:
        return heights.exp().expand_as(mean)
    x = mean.log().clamp(centres[0], centres[-1])
    right = torch.searchsorted(centres, x).clamp(1, len(bins) - 1)
    share = (x - centres[right - 1]) / (centres[right] - centres[right - 1]).clamp(min=1e-12)
    return (heights[right - 1] * (1 - share) + heights[right] * share).exp()


@torch.no_grad()
def initialise(module: BulkVAE, batches: Iterable[dict[str, Tensor]]) -> None:
    """Set the parameters of an untrained module near their optimum, from minibatches up to ``MAX_SAMPLES`` samples.

    ``log1p(x / s)`` is regressed on the covariates; the leading singular vectors of the residuals give the encoder's axes
    and a first latent state with its loadings; moments around that fit give the dispersions and their trend over genes.
    From there the linear model is fitted, with the relevance of its directions
    (:func:`bulkvi.model._factor_model.fit_factor_model`), and the encoder's linear part is regressed on the fitted latent
    state. Measured in ``docs/method/training.md``.
    """
    samples = _collect(module, batches)
    x, s = samples.counts.double(), samples.exposure.double()
    n_samples = x.shape[0]
    ones = x.new_ones(n_samples, 1)
    mean = (x / s).mean(0).clamp(min=0.5 / n_samples)

    units = units_of(samples.covariates)
    for part in module.modules():
        if isinstance(part, CovariateEffects):
            part.set_units(units)
    in_units = standardised({kind: columns.double() for kind, columns in samples.covariates.items()}, units)
    covariates = torch.cat([x.new_zeros(n_samples, 0), *in_units.values()], 1)
    features = torch.cat([ones, covariates], 1)
    level = torch.log1p(x / s)
    # the pseudo-inverse: covariates may be collinear in a subset of a cohort
    coefficients = torch.linalg.pinv(features) @ level
    residual = level - features @ coefficients

    # singular vectors from the n x n Gram matrix
    eigenvalues, vectors = torch.linalg.eigh(residual @ residual.T)
    n_axes = module.z_encoder.axes.shape[1]
    singular = eigenvalues.flip(0).clamp(min=0).sqrt()[:n_axes]
    left = vectors.flip(1)[:, :n_axes]
    # a saturated design leaves rounding errors for residuals
    smallest = 1e-6 * singular[0] + 1e-9 * level.norm()
    # axes beyond the rank of the residuals would be noise blown up: they stay zero
    right = (residual.T @ left) / singular.clamp(min=smallest) * (singular > smallest)

    unit = math.sqrt(n_samples) / (singular[0] + smallest)
    encoder = module.z_encoder
    encoder.offset.copy_(coefficients[0])
    encoder.axes.zero_()
    encoder.axes[:, : right.shape[1]] = (right * unit).to(encoder.axes.dtype)
    encoder.covariates.set_weights((coefficients[1:] @ encoder.axes.double()).float())
    encoder.linear_mean.weight.zero_()
    encoder.linear_mean.bias.zero_()
    n_started = int(min(module.n_latent, (singular > smallest).sum()))

    slope = ((1 + mean) / mean).clamp(max=MAX_LOG1P_SLOPE)
    z = left[:, :n_started] * math.sqrt(n_samples)
    loadings = right[:, :n_started].T * singular[:n_started, None] / math.sqrt(n_samples) * slope
    effects = coefficients[1:] * slope
    log_fold = covariates @ effects + z @ loadings
    intercept = (x.sum(0) + 0.5).log() - (s * log_fold.exp()).sum(0).log()
    fitted = s * (intercept + log_fold).exp()
    n_residual = max(n_samples - features.shape[1] - n_started, 1)
    moments = ((x - fitted).square() * (n_samples / n_residual) - fitted).sum(0) / fitted.square().sum(0)
    trend = dispersion_trend(moments, mean)
    learn_dispersion = isinstance(module.log_dispersion, nn.Parameter)
    log_dispersion = 0.5 * (trend.log() + moments.clamp(1e-4, 10).log())
    if not learn_dispersion:
        log_dispersion = module.log_dispersion.double().clone()
        if module.gene_likelihood == "poisson":
            log_dispersion.fill_(LOG_DISPERSION_FLOOR)

    start = FactorModel(
        torch.cat([intercept[None], effects]),
        loadings,
        z,
        log_dispersion,
        torch.ones_like(z),
        loadings.square().mean(1).sqrt(),
        torch.ones_like(mean),
        float(min(features.shape[1] + n_started, n_samples - 1)),
    )
    fit = fit_factor_model(
        x,
        s,
        features,
        start,
        log_dispersion_trend=trend.log(),
        effect_prior_sd=EFFECT_PRIOR_SD,
        dispersion_prior_sd=DISPERSION_PRIOR_SD,
        learn_dispersion=learn_dispersion,
        n_rounds=N_ROUNDS,
        tolerance=TOLERANCE,
    )
    if not all(bool(torch.as_tensor(part).isfinite().all()) for part in fit):
        # not observed since the steps of the fit are bounded; the start from the data is good enough
        fit = start
    module.decoder.intercept.copy_(fit.coefficients[0])
    module.decoder.covariates.set_weights(fit.coefficients[1:].float())
    module.decoder.loadings.zero_()
    module.decoder.loadings[:n_started] = fit.loadings.float()
    module.decoder.relevance.zero_()
    module.decoder.relevance[:n_started] = fit.relevance.float()
    module.decoder.spread.copy_(fit.spread)
    module.log_dispersion_trend.copy_(trend.log())
    module.mean_count.copy_(x.mean(0))
    module.n_absorbed.fill_(fit.n_absorbed)
    if learn_dispersion:
        module.log_dispersion.copy_(fit.log_dispersion.expand_as(module.log_dispersion))
    # the encoder's linear map is the regression of the fitted latent state on its input
    h = encoder.project(samples.counts, samples.exposure.log()) - encoder.covariates(samples.covariates)
    if n_started:
        inputs = torch.cat([h, ones], 1).double()
        solution = torch.linalg.lstsq(inputs, fit.z, driver="gelsd").solution
        encoder.linear_mean.weight[:n_started] = solution[:-1].T.float()
        encoder.linear_mean.bias[:n_started] = solution[-1].float()
        encoder.log_var.bias[:n_started] = fit.z_variance.log().mean(0).float()
