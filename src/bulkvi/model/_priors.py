"""Priors on the parameters of the decoder."""

import torch
from torch import Tensor, nn

from bulkvi.model._decoder import Decoder, DeepDecoder

# Standard deviations of the Gaussian priors on decoder parameters, natural-log scale. One of an effect is a seven-fold
# change: wide, but enough to keep a gene that is absent from one group at a change that can occur. The prior on log
# dispersion is centred on the trend over genes. That of a deep decoder's network is tight, for the whole network: with a
# dozen samples a free one learns them by heart. Measured in docs/method/training.md.
EFFECT_PRIOR_SD = 2.0
NETWORK_PRIOR_SD = 0.03
DISPERSION_PRIOR_SD = 1.0


def negative_log_prior(
    decoder: Decoder, log_dispersion: Tensor, log_dispersion_trend: Tensor, mean_count: Tensor, n_absorbed: Tensor
) -> Tensor:
    """Minus the log prior of a decoder's effects and loadings and of the dispersions, constants left out.

    Parameters
    ----------
    decoder
        Its covariate effects, loadings and, if deep, its network.
    log_dispersion
        Natural log of the dispersions; a fixed one has no prior.
    log_dispersion_trend
        Centre of their prior, shape ``(n_genes,)``.
    mean_count
        Mean count of each gene.
    n_absorbed
        Degrees of freedom that the coefficients of a gene take.
    """
    effects = [*decoder.covariates.weight.values(), decoder.loadings]
    penalty = sum(weight.square().sum() for weight in effects) / (2 * EFFECT_PRIOR_SD**2)
    if isinstance(decoder, DeepDecoder):
        width = decoder.output.shape[0]
        penalty = penalty + decoder.output.square().sum() * width / (2 * NETWORK_PRIOR_SD**2)
        penalty = penalty + sum(weight.square().sum() for weight in decoder.network_weights()) / 2
    if isinstance(log_dispersion, nn.Parameter):
        distance = log_dispersion - log_dispersion_trend
        penalty = penalty + distance.square().sum() / (2 * DISPERSION_PRIOR_SD**2)
        # Cox and Reid (1987): the fitted coefficients absorb part of the scatter, and the mode alone would take what is
        # left for all of it
        spread = torch.log1p(log_dispersion.exp() * mean_count).reshape(-1, mean_count.numel())
        penalty = penalty - 0.5 * n_absorbed * spread.mean(0).sum()
    return penalty
