"""What multiplies the rates of a minibatch."""

import torch
from scvi import REGISTRY_KEYS
from torch import Tensor, nn
from torch.distributions import Normal

from bulkvi.model._covariates import CovariateEffects, Covariates
from bulkvi.names import OFFSET


class Exposure(nn.Module):
    """Size factor, times the relative offset where the model has one.

    Parameters
    ----------
    n_genes
        Number of genes with an offset for each count; 0 for none.
    """

    offset_mean: Tensor

    def __init__(self, n_genes: int):
        super().__init__()
        self.has_offset = n_genes > 0
        if self.has_offset:
            # a buffer: saved with the model, so that new samples are measured by the first ones
            self.register_buffer("offset_mean", torch.ones(n_genes))

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Shape ``(n, 1)``, or with an offset ``(n, n_genes)``."""
        size_factor = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY]
        if not self.has_offset:
            return size_factor
        if OFFSET not in tensors:
            raise KeyError(
                f"The model was set up with an offset, but a minibatch holds only {list(tensors)}: its source must give "
                f"the offsets of the samples as {OFFSET!r}, samples x genes."
            )
        offset = tensors[OFFSET]
        # minibatches come here before they are moved to the module's device
        return size_factor * (offset / self.offset_mean.to(offset.device)).to(size_factor.dtype)


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
