"""Start, steps and stop of training."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager
from scvi.dataloaders import AnnDataLoader
from scvi.train import TrainingPlan
from torch import Tensor, nn

from bulkvi.model._factor_model import FactorModel, fit_factor_model
from bulkvi.model._likelihood import DISPERSION_PRIOR_SD, EFFECT_PRIOR_SD
from bulkvi.model._module import LOG_DISPERSION_FLOOR, BulkVAE
from bulkvi.model._networks import CovariateEffects, Covariates, standardised, units_of
from bulkvi.model._posterior_mode import has_mode

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


def fitted_at_start(module: BulkVAE) -> bool:
    """Whether the start fits all of the decoder: a linear one without extra zeros, with a dispersion per gene or none to learn."""
    return has_mode(module) and module.dispersion != "gene-batch"


@contextmanager
def fixed_decoder(module: BulkVAE) -> Iterator[None]:
    """Hold the decoder and the dispersions fixed."""
    parameters = [p for name, p in module.named_parameters() if not name.startswith("z_encoder")]
    free = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in free:
        parameter.requires_grad_(False)  # noqa: FBT003
    try:
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_(True)  # noqa: FBT003


WARM_UP_SHARE = 0.05
LAST_LEARNING_RATE_SHARE = 0.05
KL_WARM_UP_SHARE = 0.05


class BulkTrainingPlan(TrainingPlan):
    """Adam with a short rise and a cosine fall of the learning rate, both in steps.

    The start is close to the optimum (:func:`initialise`). The first steps of Adam, each as long as the learning rate in every
    parameter, would move away from it; hence the rise. The weight of the KL term reaches 1 after a twentieth of ``max_steps``.
    """

    def __init__(self, module: BulkVAE, *, max_steps: int, learning_rate: float):
        super().__init__(
            module,
            lr=learning_rate,
            eps=1e-8,
            weight_decay=0.0,
            n_epochs_kl_warmup=None,
            n_steps_kl_warmup=max(1, int(KL_WARM_UP_SHARE * max_steps)),
        )
        self.max_steps = max_steps

    def learning_rate_share(self, step: int) -> float:
        """Return the learning rate of a step as a share of the largest."""
        warm_up = max(1, int(WARM_UP_SHARE * self.max_steps))
        if step < warm_up:
            return (step + 1) / warm_up
        progress = min(1.0, (step - warm_up) / max(1, self.max_steps - warm_up))
        return LAST_LEARNING_RATE_SHARE + (1 - LAST_LEARNING_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Take one step; raise ValueError if training has diverged."""
        try:
            return super().training_step(batch, batch_idx)
        except ValueError as error:
            # torch's message for invalid parameters of a distribution
            if "satisfy the constraint" not in str(error):
                raise
            raise ValueError(
                f"Training diverged at step {self.global_step}: the parameters are not those of a distribution any more. The learning rate "
                f"is {self.lr}; give train() a smaller one (the default is 0.01), and make a new model before you train again."
            ) from error

    def configure_optimizers(self) -> dict[str, Any]:
        """Return optimizer and schedule."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class PlateauStop(pl.Callback):
    """Stop when the training ELBO stops falling, not before ``first_step``.

    That is when the mean of the last ``window`` epochs is not below that of the window before by the share ``tolerance`` of it.
    """

    def __init__(self, *, first_step: int, window: int, tolerance: float):
        self.first_step = first_step
        self.window = window
        self.tolerance = tolerance
        self.elbo: list[float] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the last two windows."""
        self.elbo.append(float(trainer.callback_metrics["elbo_train"]))
        if trainer.global_step < self.first_step or len(self.elbo) < 2 * self.window:
            return
        before = sum(self.elbo[-2 * self.window : -self.window]) / self.window
        now = sum(self.elbo[-self.window :]) / self.window
        # every rank sees the same, synchronised metric
        trainer.should_stop = trainer.should_stop or before - now < self.tolerance * abs(before)


class _Repeated:
    """One minibatch, several times."""

    def __init__(self, tensors: dict[str, Tensor], times: int):
        self.tensors = tensors
        self.times = times

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return iter([self.tensors] * self.times)


class FullBatch(pl.LightningDataModule):
    """All samples as one minibatch in the given order, loaded once; an epoch repeats it ``steps_per_epoch`` times.

    The overhead of an epoch is that of several steps at this size.
    """

    def __init__(self, adata_manager: AnnDataManager, order: np.ndarray, steps_per_epoch: int):
        super().__init__()
        self.adata_manager = adata_manager
        self.order = order
        self.steps_per_epoch = steps_per_epoch
        self.n_train = adata_manager.adata.n_obs
        self.n_val = 0

    def train_dataloader(self) -> _Repeated:
        """Return one epoch."""
        loader = AnnDataLoader(self.adata_manager, indices=self.order, shuffle=False, batch_size=self.n_train)
        return _Repeated(next(iter(loader)), self.steps_per_epoch)

    def val_dataloader(self) -> list[dict[str, Tensor]]:
        """Return no validation data; without a loader Lightning would warn every user."""
        return []
