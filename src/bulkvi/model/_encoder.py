"""Encoder q(z | x, c)."""

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from bulkvi.model._covariates import CovariateEffects, Covariates


class Encoder(nn.Module):
    """Normal posterior of the latent state from a sample's normalised counts and covariates.

    The input is ``log1p(x / s)``, with s the size factor (times the relative offset), so that depth never reaches the latent
    state, standardised per gene and projected on
    fixed principal axes of the training samples. With as many axes as samples the projection loses nothing, and the
    weights to learn shrink from genes x hidden to axes x hidden. Covariates shift the projected input. The mean is a
    linear map plus a network, so that the principal components can be its starting point.

    Parameters
    ----------
    n_genes
        Number of genes.
    n_latent
        Dimension of the latent state.
    n_axes
        Number of principal axes.
    n_hidden, n_layers
        Width and number of hidden layers.
    covariates
        Effects of the covariates on the projected input.
    """

    offset: Tensor
    axes: Tensor

    def __init__(
        self, n_genes: int, n_latent: int, n_axes: int, n_hidden: int, n_layers: int, covariates: CovariateEffects
    ):
        super().__init__()
        self.register_buffer("offset", torch.zeros(n_genes))
        # random axes until the data are seen; orthonormal enough at many genes
        self.register_buffer("axes", torch.randn(n_genes, n_axes) / n_genes**0.5)
        self.covariates = covariates
        self.linear_mean = nn.Linear(n_axes, n_latent)
        layers: list[nn.Module] = []
        for n_in in [n_axes] + [n_hidden] * (n_layers - 1):
            layers += [nn.Linear(n_in, n_hidden), nn.LayerNorm(n_hidden), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.mean = nn.Linear(n_hidden, n_latent)
        self.log_var = nn.Linear(n_hidden, n_latent)
        for head in (self.mean, self.log_var):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def project(self, x: Tensor, log_exposure: Tensor) -> Tensor:
        """Projected input before covariates, shape ``(n, n_axes)``."""
        return (torch.log1p(x * torch.exp(-log_exposure)) - self.offset) @ self.axes

    def forward(self, x: Tensor, log_exposure: Tensor, covariates: Covariates) -> Normal:
        """Posterior of the latent state, batch shape ``(n, n_latent)``."""
        h = self.project(x, log_exposure) - self.covariates(covariates)
        hidden = self.hidden(h)
        return Normal(self.linear_mean(h) + self.mean(hidden), torch.exp(0.5 * self.log_var(hidden)))
