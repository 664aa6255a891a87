"""Posterior moments of the dispersions for torch tensors; see `_dispersion_numba`."""

import torch
from torch import Tensor


def profile_at(table: Tensor, bends: Tensor, place: Tensor) -> Tensor:
    """Cubic spline through the rows of ``table`` at places counted in rows; straight lines beyond the ends."""
    inside = place.clamp(0.0, table.shape[0] - 1.0)
    left = inside.long().clamp(max=table.shape[0] - 2)
    u = inside - left
    w = 1 - u
    low, high = table.gather(0, left), table.gather(0, left + 1)
    bend_low, bend_high = bends.gather(0, left), bends.gather(0, left + 1)
    value = w * low + u * high + ((w**3 - w) * bend_low + (u**3 - u) * bend_high) / 6
    at_end = torch.where(u < 0.5, -(2 * bend_low + bend_high), bend_low + 2 * bend_high)
    return value + (high - low + at_end / 6) * (place - inside)


def posterior_moments(
    table: Tensor,
    bends: Tensor,
    first: Tensor,
    largest: Tensor,
    per_log: float,
    prior_mean: Tensor,
    prior_variance: float,
    centre: Tensor,
    scale: Tensor,
    points: Tensor,
    mean: Tensor,
    sd: Tensor,
) -> None:
    """Fill ``mean`` and ``sd``; see `_dispersion_numba.posterior_moments`."""
    nodes = centre + points[:, None] * scale
    value = profile_at(table.T, bends.T, per_log * torch.log1p(torch.exp(nodes) * largest) - first)
    log_weight = value - 0.5 * (nodes - prior_mean) ** 2 / prior_variance
    weight = torch.exp(log_weight - log_weight.amax(0))
    weight = weight / weight.sum(0)
    average = (weight * points[:, None]).sum(0)
    mean.copy_(centre + scale * average)
    sd.copy_(scale * ((weight * points[:, None] ** 2).sum(0) - average**2).clamp(min=0).sqrt())
