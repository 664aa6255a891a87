"""The negative binomial arithmetic for torch tensors, on whatever device they live: `_nb_numba`, all genes at once.

Names, arguments, formulas and results are those of `_nb_numba`, whose docstrings hold the formulas.
"""

import torch
from torch import Tensor

from bulkvi.stats.nb.block import row_sums, sample_rows
from bulkvi.stats.nb.kernels import MAX_LOG_RATE, MAX_STEP


def _unpack(packed: Tensor, p: int) -> Tensor:
    """Packed lower triangles (p (p + 1) / 2 x genes) -> symmetric matrices (genes x p x p)."""
    row, column = torch.tril_indices(p, p, device=packed.device)
    matrix = packed.new_empty((packed.shape[1], p, p))
    matrix[:, row, column] = packed.T
    matrix[:, column, row] = packed.T
    return matrix


def _select(index, counts, exposure, weights, dispersion, coef):
    exposed = exposure[:, index] if exposure.shape[1] > 1 else exposure
    weight = weights[:, index] if weights.numel() else 1.0
    return counts[:, index], exposed, weight, dispersion[index], coef[:, index]


def _residuals(y, exposed, a, theta, layout):
    """Log rate, mean over ``1 + a m`` and residual of each sample."""
    log_rate = (layout.unique @ theta).clamp(-MAX_LOG_RATE, MAX_LOG_RATE)
    log_rate = sample_rows(log_rate, layout)
    mean = exposed * torch.exp(log_rate)
    shrink = 1 / (1 + a * mean)
    return log_rate, mean * shrink, (y - mean) * shrink


def newton_step(index, counts, exposure, weights, layout, dispersion, coef, move, gain, distance) -> None:
    """One guarded Newton step; see `_nb_numba.newton_step`."""
    y, exposed, weight, a, theta = _select(index, counts, exposure, weights, dispersion, coef)
    p = theta.shape[0]
    _, information, residual = _residuals(y, exposed, a, theta, layout)
    score = layout.unique.T @ row_sums(weight * residual, layout) - layout.ridge @ theta
    observed = row_sums(weight * information * (1 + a * residual), layout)
    matrix = layout.outer.T @ observed + layout.ridge_packed[:, None]
    factor = torch.linalg.cholesky(_unpack(matrix, p))
    step = torch.cholesky_solve(score.T[:, :, None], factor)[:, :, 0].T
    last_move, last_gain = move[:, index], gain[index]
    slope = (score * last_move).sum(0)
    decrement = (score * step).sum(0)
    reach = (step.abs() * layout.reach[:, None]).sum(0)
    overrun = slope < -0.5 * last_gain
    shorten = torch.where(overrun, (last_gain / (last_gain - slope)).clamp(min=0.1), torch.ones_like(slope))
    length = (MAX_STEP / reach).clamp(max=1)
    new_move = torch.where(overrun, shorten * last_move, length * step)
    coef[:, index] = theta + torch.where(overrun, (shorten - 1) * last_move, new_move)
    move[:, index] = new_move
    gain[index] = torch.where(overrun, shorten * last_gain, length * decrement)
    distance[index] = torch.where(overrun, torch.full_like(slope, torch.inf), decrement.clamp(min=0).sqrt())


def _stirling_tail(x: Tensor) -> Tensor:
    """``lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2``; see `_nb_numba`."""
    low = x.clamp(max=8.0)
    y = low + 8
    product = torch.ones_like(x)
    for j in range(8):
        product = product * ((low + j) / y)
    shift = torch.where(x < 8, (low - 0.5) * torch.log(y / low) - torch.log(product) - 8, torch.zeros_like(x))
    z = 1 / torch.where(x < 8, y, x)
    q = z * z
    return shift + z * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188)))))


def evaluate(index, counts, exposure, weights, layout, dispersion, coef, value, covariance) -> None:
    """Adjusted profile log likelihood and covariance of the coefficients; see `_nb_numba.evaluate`."""
    y, exposed, weight, a, theta = _select(index, counts, exposure, weights, dispersion, coef)
    p = theta.shape[0]
    log_rate, information, residual = _residuals(y, exposed, a, theta, layout)
    observed = row_sums(weight * information * (1 + a * residual), layout)
    matrix = layout.outer.T @ observed + layout.ridge_packed[:, None]
    factor = torch.linalg.cholesky(_unpack(matrix, p))
    shape = y + 1 / a
    term = shape * torch.log1p(a * residual) - 0.5 * torch.log1p(a * y) + y * (log_rate - 1)
    total = (weight * (term + _stirling_tail(shape) - _stirling_tail(1 / a))).sum(0)
    penalty = 0.5 * (theta * (layout.ridge @ theta)).sum(0)
    value[index] = total - penalty - torch.log(factor.diagonal(dim1=1, dim2=2)).sum(1)
    if covariance.shape[0] > 0:
        row, column = torch.tril_indices(p, p, device=y.device)
        covariance[:, index] = torch.cholesky_inverse(factor)[:, row, column].T
