"""The generative model: module of scvi-tools."""

from typing import Literal

import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from bulkvi.model._decoders import Decoder, DeepDecoder
from bulkvi.model._likelihood import (
    LogNegativeBinomial,
    LogPoisson,
    LogZeroInflatedNegativeBinomial,
    negative_log_prior,
)
from bulkvi.model._networks import (
    BATCH,
    CovariateCoding,
    CovariateEffects,
    Covariates,
    Encoder,
    Exposure,
)
from bulkvi.model._scvi_private import MODULE_KEYS

GeneLikelihood = Literal["nb", "zinb", "poisson"]
Dispersion = Literal["gene", "gene-batch", "fixed"]
DecoderKind = Literal["linear", "deep"]

# A dispersion below this is a Poisson for every count that occurs in bulk.
LOG_DISPERSION_FLOOR = -14.0


class BulkVAE(BaseModuleClass):
    r"""Negative-binomial variational autoencoder with the size factor as a fixed offset.

    .. math::

        x_{ng} \sim \mathrm{NB}(s_n \rho_{ng}, \alpha_g), \quad
        \log \rho_{ng} = b_g + c_n^\top B_{\cdot g} + f_g(z_n, c_n), \quad z_n \sim N(0, I)

    with mean :math:`m = s \rho` and variance :math:`m + \alpha m^2`; with an offset
    :math:`m = s_n \tilde o_{ng} \rho_{ng}`, where each gene's factors are relative to their geometric mean over the training
    samples. Decoder parameters have wide Gaussian priors and are fitted by their mode; the latent state has an amortised normal
    posterior.

    ``n_input`` is the number of genes, ``n_design`` that of design columns without the intercept, ``n_axes`` that of the
    principal axes in the input of the encoder; ``n_hidden`` and ``n_layers`` are those of the encoder and of a deep decoder. The
    other parameters are those of :class:`~bulkvi.BulkVI`. With ``has_offset`` minibatches hold an offset for each count.
    """

    log_dispersion_trend: Tensor
    mean_count: Tensor
    n_absorbed: Tensor

    def __init__(
        self,
        n_input: int,
        n_batch: int = 1,
        n_design: int = 0,
        n_continuous_cov: int = 0,
        n_cats_per_cov: list[int] | None = None,
        n_latent: int = 2,
        n_axes: int = 16,
        n_hidden: int = 64,
        n_layers: int = 1,
        decoder: DecoderKind = "linear",
        gene_likelihood: GeneLikelihood = "nb",
        dispersion: Dispersion = "gene",
        fixed_dispersion: float = 0.1,
        *,
        has_offset: bool = False,
    ):
        super().__init__()
        self.exposure = Exposure(n_input if has_offset else 0)
        self.n_latent = n_latent
        self.gene_likelihood = gene_likelihood
        self.dispersion = dispersion
        self.coding = CovariateCoding(n_design, n_continuous_cov, tuple(n_cats_per_cov or ()), n_batch)
        widths = self.coding.widths
        self.z_encoder = Encoder(n_input, n_latent, n_axes, n_hidden, n_layers, CovariateEffects(widths, n_axes))
        zero_inflated = gene_likelihood == "zinb"
        gene_effects = CovariateEffects(widths, n_input)
        self.decoder: Decoder
        if decoder == "deep":
            hidden_effects = CovariateEffects(widths, n_hidden)
            self.decoder = DeepDecoder(
                n_input, n_latent, gene_effects, hidden_effects, n_hidden, n_layers, zero_inflated=zero_inflated
            )
        else:
            self.decoder = Decoder(n_input, n_latent, gene_effects, zero_inflated=zero_inflated)

        # a Poisson or fixed dispersion is a buffer: plain distributed training needs a gradient for every parameter
        shape = (n_batch, n_input) if dispersion == "gene-batch" else (n_input,)
        start = torch.full(shape, fixed_dispersion).log()
        if dispersion == "fixed" or gene_likelihood == "poisson":
            self.register_buffer("log_dispersion", start)
        else:
            self.log_dispersion = nn.Parameter(start)
        self.register_buffer("log_dispersion_trend", torch.full((n_input,), fixed_dispersion).log())
        self.register_buffer("mean_count", torch.zeros(n_input))
        # degrees of freedom of the coefficients of one gene; 0 before the start from the data
        self.register_buffer("n_absorbed", torch.tensor(0.0))

    def _get_inference_input(self, tensors: dict[str, Tensor], *, full_forward_pass: bool = False) -> dict:
        return {
            "x": tensors[REGISTRY_KEYS.X_KEY],
            "log_exposure": torch.log(self.exposure(tensors)),
            "covariates": self.coding.code(tensors),
        }

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict) -> dict:
        return {
            "z": inference_outputs[MODULE_KEYS.Z_KEY],
            "log_exposure": torch.log(self.exposure(tensors)),
            "covariates": self.coding.code(tensors),
        }

    @auto_move_data
    def inference(
        self, x: Tensor, log_exposure: Tensor, covariates: Covariates, n_samples: int = 1
    ) -> dict[str, Tensor | Distribution]:
        """Return the posterior of the latent state and draws from it (leading dimension, if more than one).

        ``x`` are counts, shape ``(n, n_genes)``; ``log_exposure`` is the natural log of the size factors, shape ``(n, 1)``, or of
        size factor x relative offset, ``(n, n_genes)``.
        """
        qz = self.z_encoder(x, log_exposure, covariates)
        z = qz.rsample() if n_samples == 1 else qz.sample((n_samples,))
        return {MODULE_KEYS.QZ_KEY: qz, MODULE_KEYS.Z_KEY: z}

    @auto_move_data
    def generative(
        self, z: Tensor, log_exposure: Tensor, covariates: Covariates, transform_batch: int | None = None
    ) -> dict[str, Distribution]:
        """Return the distribution of the counts given the latent state ``z`` of shape ``(..., n, n_latent)``.

        ``log_exposure`` is as in :meth:`inference`; ``transform_batch`` is the batch to decode all samples in.
        """
        if transform_batch is not None:
            covariates = self.coding.with_batch(covariates, transform_batch)
        log_rate = self.decoder(z, covariates)
        log_mean = log_rate + log_exposure
        px: Distribution
        if self.gene_likelihood == "poisson":
            px = LogPoisson(log_mean, log_rate)
        elif self.gene_likelihood == "zinb":
            zero_logits = self.decoder.zero_logits(z)
            px = LogZeroInflatedNegativeBinomial(log_mean, self.log_dispersion_of(covariates), log_rate, zero_logits)
        else:
            px = LogNegativeBinomial(log_mean, self.log_dispersion_of(covariates), log_rate)
        pz = Normal(torch.zeros_like(z), torch.ones_like(z))
        return {MODULE_KEYS.PX_KEY: px, MODULE_KEYS.PZ_KEY: pz}

    def log_dispersion_of(self, covariates: Covariates) -> Tensor:
        """Natural log of the dispersion, shape ``(n_genes,)``, or ``(n, n_genes)`` if it differs between batches."""
        log_dispersion = self.log_dispersion.clamp(min=LOG_DISPERSION_FLOOR)
        if self.dispersion != "gene-batch":
            return log_dispersion
        if BATCH not in covariates:
            return log_dispersion[0]
        return log_dispersion[0] + covariates[BATCH] @ (log_dispersion[1:] - log_dispersion[0])

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict,
        generative_outputs: dict,
        kl_weight: float = 1.0,
        n_obs: int = 1,
    ) -> LossOutput:
        """Negative evidence lower bound per sample, plus each sample's share of the log prior of the decoder.

        ``kl_weight`` multiplies the divergence of the latent posterior from its prior; ``n_obs`` is the number of training samples.
        """
        reconstruction = -generative_outputs[MODULE_KEYS.PX_KEY].log_prob(tensors[REGISTRY_KEYS.X_KEY]).sum(-1)
        kl = kl_divergence(inference_outputs[MODULE_KEYS.QZ_KEY], generative_outputs[MODULE_KEYS.PZ_KEY]).sum(-1)
        prior = negative_log_prior(
            self.decoder, self.log_dispersion, self.log_dispersion_trend, self.mean_count, self.n_absorbed
        )
        return LossOutput(
            loss=(reconstruction + kl_weight * kl).mean() + prior / n_obs,
            reconstruction_loss=reconstruction,
            kl_local={MODULE_KEYS.KL_Z_KEY: kl},
            kl_global={"prior": prior},
        )

    @torch.inference_mode()
    def sample(
        self,
        tensors: dict[str, Tensor],
        n_samples: int = 1,
        generative_kwargs: dict | None = None,
    ) -> Tensor:
        """Draw counts from the posterior predictive distribution, on the CPU.

        The shape is ``(n, n_genes)``, or ``(n, n_genes, n_samples)`` if ``n_samples > 1``.
        """
        _, outputs = self.forward(
            tensors,
            inference_kwargs={"n_samples": n_samples},
            generative_kwargs=generative_kwargs,
            compute_loss=False,
        )
        draws = outputs[MODULE_KEYS.PX_KEY].sample()
        return (draws.permute(1, 2, 0) if n_samples > 1 else draws).cpu()

    @torch.inference_mode()
    @auto_move_data
    def marginal_ll(
        self,
        tensors: dict[str, Tensor],
        n_mc_samples: int,
        *,
        return_mean: bool = False,
        n_mc_samples_per_pass: int = 1,
    ) -> Tensor | float:
        """Log likelihood of each sample with the latent state integrated out, by importance sampling."""
        log_weights = []
        for start in range(0, n_mc_samples, n_mc_samples_per_pass):
            n_draws = min(n_mc_samples_per_pass, n_mc_samples - start)
            inferred, _, losses = self.forward(tensors, inference_kwargs={"n_samples": n_draws})
            z, qz = inferred[MODULE_KEYS.Z_KEY], inferred[MODULE_KEYS.QZ_KEY]
            log_prior = Normal(torch.zeros_like(z), torch.ones_like(z)).log_prob(z)
            log_weight = (log_prior - qz.log_prob(z)).sum(-1) - losses.dict_sum(losses.reconstruction_loss)
            log_weights.append(log_weight.reshape(n_draws, -1))
        log_likelihood = torch.logsumexp(torch.cat(log_weights), 0) - torch.tensor(n_mc_samples).log()
        return log_likelihood.mean().item() if return_mean else log_likelihood.cpu()
