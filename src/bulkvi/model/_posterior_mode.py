"""Mode of the posterior of the latent state given the decoder, in double precision."""

import torch
from torch import Tensor

from bulkvi.model._decoders import DeepDecoder
from bulkvi.model._module import BulkVAE
from bulkvi.model._networks import Covariates

MAX_ROUNDS = 50
# Steps are no longer than this, in standard deviations of the prior.
MAX_STEP = 1.0
# Below this step the observed information takes over, with which Newton's method doubles the digits in each round.
NEAR = 1e-2
DONE = 1e-10


def has_mode(module: BulkVAE) -> bool:
    """Whether the log posterior of the latent state is concave: a linear decoder without extra zeros."""
    return not isinstance(module.decoder, DeepDecoder) and module.gene_likelihood != "zinb"


@torch.no_grad()
def posterior_mode(module: BulkVAE, x: Tensor, log_exposure: Tensor, covariates: Covariates, start: Tensor) -> Tensor:
    r"""Return the latent state of highest posterior density of each sample, float64, samples x n_latent.

    ``start`` is where the encoder puts it. The log posterior :math:`\sum_g \log NB(x_g) - |z|^2 / 2` is concave, so that the mode
    depends neither on the start nor on the order of the samples or the number of threads. Newton's method with
    bounded steps; its weights are ``m (1 + a x) / (1 + a m)^2``, and the larger of these and the expected ones,
    ``m / (1 + a m)``, far from the mode. Directions that are not supported have the prior's mode, 0.
    """
    decoder = module.decoder
    supported = decoder.relevance > 0
    z = torch.zeros(start.shape, dtype=torch.float64, device=start.device)
    loadings = decoder.loadings[supported].double()
    k = len(loadings)
    if not k:
        return z
    in_units = {kind: values.double() for kind, values in covariates.items()}
    effects = decoder.covariates(in_units)
    level = decoder.intercept.double() + effects + log_exposure.double()
    dispersion = module.log_dispersion_of(covariates).double().exp()
    pairs = (loadings[:, None] * loadings[None]).reshape(k * k, -1).T
    counts, at = x.double(), start[:, supported].double()
    longest = float("inf")
    for _ in range(MAX_ROUNDS):
        mean = torch.exp((level + at @ loadings).clamp(max=25))
        excess = 1 + dispersion * mean
        weight = mean * (1 + dispersion * counts) / excess.square()
        if longest > NEAR:
            weight = torch.maximum(weight, mean / excess)
        score = ((counts - mean) / excess) @ loadings.T - at
        information = (weight @ pairs).reshape(-1, k, k) + torch.eye(k, dtype=at.dtype, device=at.device)
        step = torch.linalg.solve(information, score)
        length = step.abs().amax(1, keepdim=True)
        at = at + step * (MAX_STEP / length.clamp(min=MAX_STEP))
        longest = float(length.max())
        if longest < DONE:
            break
    z[:, supported] = at
    return z
