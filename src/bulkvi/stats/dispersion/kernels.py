"""Posterior moments of the dispersions, compiled; `_dispersion_torch` is the same for tensors."""

import math

import numpy as np
from numba import njit

from bulkvi.stats.nb.compiled_math import JIT, fast_exp, fast_log1p

TILE = 64


@njit(**JIT)
def posterior_moments(
    table, bends, first, largest, per_log, prior_mean, prior_variance, centre, scale, points, mean, sd
):
    """Fill ``mean`` and ``sd``; see `bulkvi.stats.dispersion.prior.posterior_moments`."""
    width = table.shape[1]
    place, node = np.empty(TILE), np.empty(TILE)
    log_weight = np.empty((points.size, TILE))
    highest = np.empty(TILE)
    fraction, beyond = np.empty(TILE), np.empty(TILE)
    low, high, bend_low, bend_high = np.empty(TILE), np.empty(TILE), np.empty(TILE), np.empty(TILE)
    total, one, two = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    for begin in range(0, centre.size, TILE):
        size = min(TILE, centre.size - begin)
        for v in range(TILE):
            highest[v] = -math.inf
            total[v] = 0.0
            one[v] = 0.0
            two[v] = 0.0
        for k in range(points.size):
            for v in range(size):
                node[v] = centre[begin + v] + points[k] * scale[begin + v]
            for v in range(size):
                place[v] = per_log * fast_log1p(fast_exp(node[v]) * largest[begin + v]) - first[begin + v]
            for v in range(size):
                inside = min(max(place[v], 0.0), width - 1.0)
                left = min(int(inside), width - 2)
                fraction[v] = inside - left
                beyond[v] = place[v] - inside
                low[v] = table[begin + v, left]
                high[v] = table[begin + v, left + 1]
                bend_low[v] = bends[begin + v, left]
                bend_high[v] = bends[begin + v, left + 1]
            for v in range(size):
                u = fraction[v]
                w = 1.0 - u
                value = w * low[v] + u * high[v] + ((w * w * w - w) * bend_low[v] + (u * u * u - u) * bend_high[v]) / 6
                at_end = -(2 * bend_low[v] + bend_high[v]) if u < 0.5 else bend_low[v] + 2 * bend_high[v]
                value += (high[v] - low[v] + at_end / 6) * beyond[v]
                away = node[v] - prior_mean[begin + v]
                log_weight[k, v] = value - 0.5 * away * away / prior_variance
            for v in range(size):
                highest[v] = max(highest[v], log_weight[k, v])
        for k in range(points.size):
            for v in range(size):
                weight = fast_exp(log_weight[k, v] - highest[v])
                total[v] += weight
                one[v] += weight * points[k]
                two[v] += weight * points[k] * points[k]
        for v in range(size):
            average = one[v] / total[v]
            mean[begin + v] = centre[begin + v] + scale[begin + v] * average
            sd[begin + v] = scale[begin + v] * math.sqrt(max(two[v] / total[v] - average * average, 0.0))
