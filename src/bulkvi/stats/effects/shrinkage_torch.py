"""Sums over mixture components for adaptive shrinkage, for torch tensors; see `_shrinkage_numba`."""

import torch
from torch import Tensor

BISECTIONS = 60
ROOT_2 = 2**0.5


def marginal_likelihoods(estimate: Tensor, se: Tensor, weight: Tensor, scales: Tensor, out: Tensor) -> None:
    """Fill ``out``; see `_shrinkage_numba.marginal_likelihoods`."""
    for j, scale in enumerate(scales):
        variance = se**2 + scale**2
        out[j] = (weight * torch.exp(-0.5 * estimate**2 / variance) / torch.sqrt(variance)).sum(0)
    out /= out.amax(0).clamp(min=1e-300)


def _normal_cdf(z: Tensor) -> Tensor:
    return 0.5 * torch.special.erfc(-z / ROOT_2)


def summarise(
    estimate: Tensor,
    se: Tensor,
    weight: Tensor,
    scales: Tensor,
    prior: Tensor,
    tail: float,
    delta: float,
    out: Tensor,
) -> None:
    """Fill ``out``; see `_shrinkage_numba.summarise`."""
    spread = (scales**2)[:, None, None]
    variance = se**2 + spread
    part = weight * prior[:, None, None] * torch.exp(-0.5 * estimate**2 / variance) / torch.sqrt(variance)
    part = (part / part.sum((0, 1))).flatten(0, 1)
    mean = (estimate * spread / variance).flatten(0, 1)
    sd = torch.sqrt(se**2 * spread / variance).flatten(0, 1)
    is_zero = (spread == 0).expand_as(variance).flatten(0, 1)
    zero = (part * is_zero).sum(0)
    part = torch.where(is_zero, torch.zeros_like(part), part)
    sd = torch.where(is_zero, torch.ones_like(sd), sd)

    first = (part * mean).sum(0)
    deviation = ((part * (mean**2 + torch.where(is_zero, torch.zeros_like(sd), sd) ** 2)).sum(0) - first**2).clamp(
        min=0
    )
    below = (part * _normal_cdf(-mean / sd)).sum(0)
    above = (1 - below - zero).clamp(min=0)
    if delta > 0:
        wide = (part * (_normal_cdf((-delta - mean) / sd) + _normal_cdf((mean - delta) / sd))).sum(0)
    else:
        wide = 1 - zero

    def quantile(outside: Tensor, sign: int) -> Tensor:
        """Where the continuous part leaves ``outside`` on the side of ``sign``."""
        edge = (sign * mean + 40 * sd).amax(0)
        near, far = -((-sign * mean + 40 * sd).amax(0)), edge
        for _ in range(BISECTIONS):
            middle = 0.5 * (near + far)
            beyond = (part * _normal_cdf((sign * mean - middle) / sd)).sum(0)
            too_near = beyond > outside
            near, far = torch.where(too_near, middle, near), torch.where(too_near, far, middle)
        return sign * 0.5 * (near + far)

    def end(here: Tensor, sign: int) -> Tensor:
        """End of the interval on the side of ``sign``, where ``here`` is the probability of that sign."""
        past_zero = quantile(torch.full_like(here, 1 - tail), -sign)
        inside = quantile(torch.full_like(here, tail), sign)
        ending = torch.where(tail < here, inside, torch.zeros_like(here))
        return torch.where(tail > here + zero, past_zero, ending)

    out[0], out[1] = first, deviation.sqrt()
    out[2], out[3] = end(below, -1), end(above, 1)
    out[4] = (zero + torch.minimum(below, above)).clamp(max=1)
    out[5], out[6], out[7] = zero, above, wide
