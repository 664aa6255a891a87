"""Linear and deep decoder of log rates."""

from typing import Any

import torch
from torch import Tensor, nn

from bulkvi.model._networks import CovariateEffects, Covariates

# Prior standard deviation of loadings (natural log) where none has been learned.
UNKNOWN_RELEVANCE = 2.0


class Decoder(nn.Module):
    """``log rate = intercept + effects(c) + z @ loadings`` (natural log, per unit size factor).

    The exponential link allows any depth, and the intercept starts at the log mean of the data. With ``zero_inflated`` a logit of
    extra zeros is decoded as well. A loading has the prior standard deviation ``relevance`` of its direction times ``spread`` of
    its gene, both learned at the start; a direction with relevance 0 is not decoded.
    """

    relevance: Tensor
    spread: Tensor

    def __init__(self, n_genes: int, n_latent: int, covariates: CovariateEffects, *, zero_inflated: bool):
        super().__init__()
        self.intercept = nn.Parameter(torch.zeros(n_genes))
        self.covariates = covariates
        self.loadings = nn.Parameter(0.01 * torch.randn(n_latent, n_genes))
        self.register_buffer("relevance", torch.full((n_latent,), UNKNOWN_RELEVANCE))
        self.register_buffer("spread", torch.ones(n_genes))
        if zero_inflated:
            self.zero_logit = nn.Parameter(torch.full((n_genes,), -4.0))
            self.zero_loadings = nn.Parameter(torch.zeros(n_latent, n_genes))

    def forward(self, z: Tensor, covariates: Covariates) -> Tensor:
        """Log rates, shape ``(..., n, n_genes)`` for ``z`` of shape ``(..., n, n_latent)``."""
        return self.intercept + self.covariates(covariates) + self.supported(z) @ self.loadings

    def zero_logits(self, z: Tensor) -> Tensor:
        """Logits of the extra zeros, shape ``(..., n, n_genes)``."""
        return self.zero_logit + self.supported(z) @ self.zero_loadings

    def supported(self, z: Tensor) -> Tensor:
        """Latent state with 0 in the directions that the training samples do not support."""
        return z * (self.relevance > 0)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # models saved before the relevance was learned
        state_dict.setdefault(f"{prefix}relevance", torch.full_like(self.relevance, UNKNOWN_RELEVANCE))
        state_dict.setdefault(f"{prefix}spread", torch.ones_like(self.spread))
        super()._load_from_state_dict(state_dict, prefix, *args)


class DeepDecoder(Decoder):
    """The linear decoder plus a network of the latent state and the covariates, which shift its first hidden layer."""

    def __init__(
        self,
        n_genes: int,
        n_latent: int,
        covariates: CovariateEffects,
        hidden_covariates: CovariateEffects,
        n_hidden: int,
        n_layers: int,
        *,
        zero_inflated: bool,
    ):
        super().__init__(n_genes, n_latent, covariates, zero_inflated=zero_inflated)
        self.first = nn.Linear(n_latent, n_hidden)
        self.hidden_covariates = hidden_covariates
        # no layer norm: it would turn small differences of z into large ones, and a dozen samples into memory
        layers: list[nn.Module] = [nn.Tanh()]
        for _ in range(n_layers - 1):
            layers += [nn.Linear(n_hidden, n_hidden), nn.Tanh()]
        self.hidden = nn.Sequential(*layers)
        # starts as the linear decoder
        self.output = nn.Parameter(torch.zeros(n_hidden, n_genes))

    def network_weights(self) -> list[Tensor]:
        """Weights of the hidden layers, in standard deviations of their prior."""
        layers = [self.first, *(layer for layer in self.hidden if isinstance(layer, nn.Linear))]
        return [layer.weight * layer.in_features**0.5 for layer in layers]

    def forward(self, z: Tensor, covariates: Covariates) -> Tensor:
        """Log rates, shape ``(..., n, n_genes)`` for ``z`` of shape ``(..., n, n_latent)``."""
        hidden = self.hidden(self.first(self.supported(z)) + self.hidden_covariates(covariates))
        return super().forward(z, covariates) + hidden @ self.output
