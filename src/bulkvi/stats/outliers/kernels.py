"""The probability that a count is wild, compiled; see `bulkvi.stats.outliers.contamination`."""

import math

import numpy as np
from numba import njit

from bulkvi.stats.nb.compiled_math import JIT, fast_exp, fast_log, fast_log1p, fill
from bulkvi.stats.nb.kernels import TILE, _gather, _rate, _stirling_tail

WILD_SCALE = 1.5
MAX_PULL = 0.95
MAX_MOVE = 4.0
MAX_VARIANCE = 2.0
LOWEST = -300.0


@njit(**JIT)
def judge(
    counts,
    exposure,
    weights,
    layout,
    log_factorial,
    dispersion,
    coef,
    covariance,
    node_weight,
    eligible,
    share,
    probability,
    log_wild,
):
    r"""Posterior probability that each count is wild, left out of its own gene's fit; fills the last two arguments.

    One Newton step takes the count out of the fit at a node: with V its log mean's variance, I its information and w its
    weight, the variance becomes v = V / (1 - w I V) and the log mean falls by v w (y - m) / (1 + a m). What the others
    predict for it is then negative binomial with dispersion (1 + a) e^v - 1 (a gamma variable for the product of two).
    Where f_k is that prediction at node k, the nodes' weights without the count are u_k ~ weight_k / f_k^w.

    A wild count has a logistic distribution about the mean on the log scale, of scale s = `WILD_SCALE`: with
    t = |log((y + 1/2) / (m + 1/2))| / s, e^-t / ((1 + e^-t)^2 s (y + 1/2)), and for zero all that lies below,
    1 / (1 + (m + 1/2)^(1/s)), m that of the middle node.
    """
    n_nodes, p, n_genes = coef.shape
    n, width = counts.shape[0], TILE
    own_exposure = exposure.shape[1] > 1
    every = np.arange(n_genes)
    theta, y, e, w, lf = np.empty((p, width)), np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    a, log_rate, rate, variance = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    size, total, tail, tail_size = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    spread, log_mean, mean, out, node = (
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
    )
    above, below = np.empty((n, width)), np.empty((n, width))
    wild = np.empty((n, width))
    for begin in range(0, n_genes, width):
        for i in range(n):
            fill(above[i], 0.0)
            fill(below[i], 0.0)
        for k in range(n_nodes):
            _gather(dispersion, k, every, begin, a)
            _gather(node_weight, k, every, begin, node)
            for j in range(p):
                _gather(coef[k], j, every, begin, theta[j])
            for u in range(layout.start.size - 1):
                _rate(layout.unique[u], theta, log_rate, rate)
                fill(variance, 0.0)
                for j in range(p):
                    for m in range(j + 1):
                        q = j * (j + 1) // 2 + m
                        x = layout.outer[u, q] * (1.0 if j == m else 2.0)
                        if x != 0.0:
                            for v in range(width):
                                variance[v] += x * covariance[k, q, min(begin + v, n_genes - 1)]
                for i in range(layout.start[u], layout.start[u + 1]):
                    if not eligible[i]:
                        continue
                    _gather(counts, i, every, begin, y)
                    _gather(weights, i, every, begin, w)
                    _gather(log_factorial, i, every, begin, lf)
                    if own_exposure:
                        _gather(exposure, i, every, begin, e)
                    else:
                        fill(e, exposure[i, 0])
                    for v in range(width):
                        fitted = e[v] * rate[v]
                        shrink = 1.0 / (1.0 + a[v] * fitted)
                        pull = w[v] * fitted * (1.0 + a[v] * y[v]) * shrink * shrink * variance[v]
                        out[v] = variance[v] / (1.0 - min(pull, MAX_PULL))
                        move = out[v] * w[v] * (y[v] - fitted) * shrink
                        log_mean[v] = -min(max(move, -MAX_MOVE), MAX_MOVE)
                        mean[v] = fitted
                    for v in range(width):
                        mean[v] *= fast_exp(log_mean[v])
                        spread[v] = (1.0 + a[v]) * fast_exp(min(out[v], MAX_VARIANCE)) - 1.0
                        size[v] = 1.0 / spread[v]
                        total[v] = y[v] + size[v]
                    _stirling_tail(size, tail_size)
                    _stirling_tail(total, tail)
                    for v in range(width):
                        log_mean[v] += log_rate[v] + fast_log(e[v])
                        odds = spread[v] * mean[v]
                        log_total = fast_log1p(spread[v] * y[v])
                        value = total[v] * (log_total - fast_log1p(odds)) - 0.5 * log_total + y[v] * (log_mean[v] - 1.0)
                        value = max(value + tail[v] - tail_size[v] - lf[v], LOWEST)
                        share_of_node = node[v] * fast_exp(-w[v] * value)
                        below[i, v] += share_of_node
                        above[i, v] += share_of_node * fast_exp(value)
                    if k == n_nodes // 2:
                        for v in range(width):
                            log_centre = fast_log(mean[v] + 0.5)
                            t = abs(fast_log(y[v] + 0.5) - log_centre) / WILD_SCALE
                            low = fast_exp(-t)
                            body = low / ((1.0 + low) * (1.0 + low) * WILD_SCALE * (y[v] + 0.5))
                            wild[i, v] = body if y[v] >= 0.5 else 1.0 / (1.0 + fast_exp(log_centre / WILD_SCALE))
        for i in range(n):
            if eligible[i]:
                for v in range(min(width, n_genes - begin)):
                    tame = above[i, v] / below[i, v]
                    odds = share * wild[i, v]
                    log_wild[i, begin + v] = math.log(max(wild[i, v], 1e-300))
                    probability[i, begin + v] = odds / max(odds + (1.0 - share) * tame, 1e-300)
