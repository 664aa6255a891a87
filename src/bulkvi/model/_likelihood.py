"""Count likelihoods in terms of the log mean and the log dispersion, so that no exponential is taken twice."""

from typing import Any

import torch
import torch.nn.functional as F
from scvi.distributions import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bulkvi.model._decoders import Decoder, DeepDecoder

LARGEST_LOG_RATE = 80.0


class _NegativeBinomialLogProb(torch.autograd.Function):
    """Negative-binomial log likelihood with its gradient written out.

    With mean ``m``, dispersion ``a``, ``r = 1 / a`` and ``s = log(1 + a m)``::

        log p(x)      = lgamma(x + r) - lgamma(r) - lgamma(x + 1) + x (log m + log a - s) - r s
        d / d log m   = (x - m) / (1 + a m)
        d / d log a   = r (digamma(r) - digamma(x + r) + s) + (x - m) / (1 + a m)

    Automatic differentiation gives the same numbers from three times the memory traffic.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, log_mean: Tensor, log_dispersion: Tensor) -> Tensor:
        # differences of log gammas, and of terms as large as the count, lose all digits of a float32
        wide_x, wide_mean, wide_dispersion = x.double(), log_mean.double(), log_dispersion.double()
        r = torch.exp(-wide_dispersion)
        excess = wide_mean + wide_dispersion
        wide_s = F.softplus(excess, threshold=30)
        ratio = torch.lgamma(wide_x + r) - torch.lgamma(r) - torch.lgamma(wide_x + 1)
        s = F.softplus(log_mean + log_dispersion, threshold=30)
        ctx.save_for_backward(x, log_mean, log_dispersion, s)
        return (ratio + wide_x * (excess - wide_s) - r * wide_s).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor]:
        x, log_mean, log_dispersion, s = ctx.saved_tensors
        score = x * torch.exp(-s) - torch.exp(log_mean - s)
        wide_r = torch.exp(-log_dispersion).double()
        curve = torch.digamma(wide_r) - torch.digamma(x.double() + wide_r) + s
        grad_dispersion = grad * ((wide_r * curve).to(x.dtype) + score)
        return None, grad * score, grad_dispersion.sum_to_size(log_dispersion.shape)


def negative_binomial_log_prob(x: Tensor, log_mean: Tensor, log_dispersion: Tensor) -> Tensor:
    """Log likelihood of counts, elementwise; ``log_mean`` may have leading draws.

    ``log_dispersion`` is the natural log of ``a`` in variance ``m + a m^2``, broadcastable to ``log_mean``.
    """
    return _NegativeBinomialLogProb.apply(x.expand_as(log_mean), log_mean, log_dispersion)


def finite_exp(log_rate: Tensor) -> Tensor:
    """Exponential that does not overflow a float32."""
    return torch.exp(log_rate.clamp(max=LARGEST_LOG_RATE))


class LogNegativeBinomial(NegativeBinomial):
    """scvi-tools' negative binomial, built from natural logs.

    Equal to ``NegativeBinomial(mu=exp(log_mean), theta=exp(-log_dispersion), scale=exp(log_rate))``; ``log_prob`` has
    the gradient written out and keeps its digits at bulk depth. ``log_rate`` is per unit size factor.
    """

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor, log_rate: Tensor):
        self.log_mean = log_mean
        self.log_dispersion = log_dispersion
        super().__init__(mu=torch.exp(log_mean), theta=torch.exp(-log_dispersion), scale=finite_exp(log_rate))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log likelihood of counts, elementwise."""
        return negative_binomial_log_prob(value, self.log_mean, self.log_dispersion)


class LogZeroInflatedNegativeBinomial(ZeroInflatedNegativeBinomial):
    """:class:`LogNegativeBinomial` with an extra share of zeros of logit ``zi_logits``."""

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor, log_rate: Tensor, zi_logits: Tensor):
        self.log_mean = log_mean
        self.log_dispersion = log_dispersion
        super().__init__(
            mu=torch.exp(log_mean),
            theta=torch.exp(-log_dispersion),
            scale=finite_exp(log_rate),
            zi_logits=zi_logits,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Log likelihood of counts, elementwise: ``log(pi [x = 0] + (1 - pi) NB(x))``."""
        counts = negative_binomial_log_prob(value, self.log_mean, self.log_dispersion)
        kept = F.logsigmoid(-self.zi_logits) + counts
        return torch.where(value == 0, torch.logaddexp(F.logsigmoid(self.zi_logits), kept), kept)


class LogPoisson(Poisson):
    """scvi-tools' Poisson, built from the natural log of the mean."""

    def __init__(self, log_mean: Tensor, log_rate: Tensor):
        self.log_mean = log_mean
        super().__init__(rate=torch.exp(log_mean), scale=finite_exp(log_rate), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log likelihood of counts, elementwise."""
        wide, log_mean = value.double(), self.log_mean.double()
        return (wide * log_mean - torch.exp(log_mean) - torch.lgamma(wide + 1)).to(value.dtype)


# Standard deviations of the Gaussian priors on decoder parameters, natural-log scale. One of an effect is a seven-fold
# change: wide, but enough to keep a gene that is absent from one group at a change that can occur. The prior on log
# dispersion is centred on the trend over genes. That of a deep decoder's network is tight, for the whole network: with a
# dozen samples a free one memorises them. Measured in docs/method/training.md.
EFFECT_PRIOR_SD = 2.0
NETWORK_PRIOR_SD = 0.03
DISPERSION_PRIOR_SD = 1.0


def negative_log_prior(
    decoder: Decoder, log_dispersion: Tensor, log_dispersion_trend: Tensor, mean_count: Tensor, n_absorbed: Tensor
) -> Tensor:
    """Minus the log prior of a decoder's effects and loadings and of the dispersions, constants left out.

    ``log_dispersion_trend`` is the centre of the prior of ``log_dispersion``, which has none if it is fixed; ``mean_count`` has
    one value per gene; ``n_absorbed`` are the degrees of freedom of the coefficients of one gene.
    """
    penalty = sum(weight.square().sum() for weight in decoder.covariates.weight.values()) / (2 * EFFECT_PRIOR_SD**2)
    # loadings of a direction without relevance are 0
    relevance = torch.where(decoder.relevance > 0, decoder.relevance, 1.0)
    penalty = penalty + 0.5 * (decoder.loadings / (relevance[:, None] * decoder.spread)).square().sum()
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
