"""Newton steps of the log dispersion under the adjusted profile likelihood of Cox & Reid (1987)."""

import torch
from torch import Tensor

LOG_DISPERSION_RANGE = (-12.0, 3.0)


def dispersion_steps(
    x: Tensor, mean: Tensor, log_dispersion: Tensor, trend: Tensor, prior_sd: float, n_absorbed: float
) -> Tensor:
    """Two Newton steps of the log dispersion of each gene; arguments as of `dispersion_slope`."""
    step = 1e-3
    for _ in range(2):
        slope = dispersion_slope(x, mean, log_dispersion, trend, prior_sd, n_absorbed)
        ahead = dispersion_slope(x, mean, log_dispersion + step, trend, prior_sd, n_absorbed)
        curvature = ((ahead - slope) / step).clamp(max=-0.3)
        log_dispersion = log_dispersion + (-slope / curvature).clamp(-1.5, 1.5)
    return log_dispersion.clamp(*LOG_DISPERSION_RANGE)


def dispersion_slope(
    x: Tensor, mean: Tensor, log_dispersion: Tensor, trend: Tensor, prior_sd: float, n_absorbed: float
) -> Tensor:
    """Slope of the adjusted log likelihood and the log prior by the log dispersion.

    ``x`` and ``mean`` are samples x genes; the prior is normal around ``trend`` (natural log); ``n_absorbed`` coefficients were
    fitted to the counts of a gene.
    """
    r = torch.exp(-log_dispersion)
    excess = 1 + mean / r
    per_sample = r * (torch.digamma(r) - torch.digamma(x + r) + torch.log(excess)) + (x - mean) / excess
    # each coefficient's information is about mean / (1 + a mean); its log determinant halves into the adjustment
    scaled = mean.mean(0) / r
    adjustment = 0.5 * n_absorbed * scaled / (1 + scaled)
    return per_sample.sum(0) + adjustment - (log_dispersion - trend) / prior_sd**2
