"""Decoders: log rate of every gene from the latent state and the covariates."""

import torch
from torch import Tensor, nn

from bulkvi.model._covariates import CovariateEffects, Covariates


class Decoder(nn.Module):
    """``log rate = intercept + effects(c) + z @ loadings`` (natural log, per unit size factor).

    The exponential link leaves the rate free to reach any depth, and the intercept starts at the log mean of the data.

    Parameters
    ----------
    n_genes
        Number of genes.
    n_latent
        Dimension of the latent state.
    covariates
        Effects of the covariates on the log rates.
    zero_inflated
        Whether a logit of extra zeros is decoded as well.
    """

    def __init__(self, n_genes: int, n_latent: int, covariates: CovariateEffects, *, zero_inflated: bool):
        super().__init__()
        self.intercept = nn.Parameter(torch.zeros(n_genes))
        self.covariates = covariates
        self.loadings = nn.Parameter(0.01 * torch.randn(n_latent, n_genes))
        if zero_inflated:
            self.zero_logit = nn.Parameter(torch.full((n_genes,), -4.0))
            self.zero_loadings = nn.Parameter(torch.zeros(n_latent, n_genes))

    def forward(self, z: Tensor, covariates: Covariates) -> Tensor:
        """Log rates, shape ``(..., n, n_genes)`` for ``z`` of shape ``(..., n, n_latent)``."""
        return self.intercept + self.covariates(covariates) + z @ self.loadings

    def zero_logits(self, z: Tensor) -> Tensor:
        """Logits of the extra zeros, shape ``(..., n, n_genes)``."""
        return self.zero_logit + z @ self.zero_loadings


class DeepDecoder(Decoder):
    """The linear decoder plus a network of the latent state and the covariates.

    Parameters
    ----------
    n_hidden, n_layers
        Width and number of hidden layers.
    hidden_covariates
        Effects of the covariates on the first hidden layer.
    """

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
        hidden = self.hidden(self.first(z) + self.hidden_covariates(covariates))
        return super().forward(z, covariates) + hidden @ self.output
