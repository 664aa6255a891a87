"""The negative binomial arithmetic, compiled: tiles of genes run side by side, so loops become vector code.

Everything is in natural logs. Arrays have genes last: ``counts`` and ``weights`` samples x genes, ``exposure`` (exp of the
offset) samples x genes or samples x 1, ``coef`` columns x genes. Symmetric matrices are packed as the rows of their lower
triangle, entry ``(j, k)`` at ``j (j + 1) / 2 + k``. Each function works on the genes in ``index`` and writes their entries
in place.
"""

import math

import numpy as np
from numba import njit

from bulkvi.stats.nb.compiled_math import INNER, JIT, factor, fast_exp, fast_log, fast_log1p, fill, invert, solve

TILE = 64
MAX_LOG_RATE = 40.0
MAX_STEP = 4.0


@njit(**INNER)
def _gather(source, row, index, begin, out):
    """Entries of one row for the genes of a tile; the last gene fills up a short tile."""
    last = index.size - 1
    for v in range(out.size):
        out[v] = source[row, index[min(begin + v, last)]]


@njit(**INNER)
def _penalise(ridge, ridge_packed, coef, score, matrix):
    """Start the score and the information with what the ridge adds to them."""
    p, width = coef.shape
    for j in range(p):
        for v in range(width):
            score[j, v] = 0.0
        for k in range(p):
            if ridge[j, k] != 0.0:
                for v in range(width):
                    score[j, v] -= ridge[j, k] * coef[k, v]
    for q in range(matrix.shape[0]):
        for v in range(width):
            matrix[q, v] = ridge_packed[q]


@njit(**INNER)
def _rate(features, coef, log_rate, rate):
    """Log rate and rate of one row of features."""
    fill(log_rate, 0.0)
    for j in range(features.size):
        if features[j] != 0.0:
            for v in range(log_rate.size):
                log_rate[v] += features[j] * coef[j, v]
    for v in range(log_rate.size):
        log_rate[v] = min(max(log_rate[v], -MAX_LOG_RATE), MAX_LOG_RATE)
    for v in range(log_rate.size):
        rate[v] = fast_exp(log_rate[v])


@njit(**INNER)
def _add(x, values, out):
    """Add ``x values`` to ``out``, unless x is zero (most entries of a design are)."""
    if x != 0.0:
        for v in range(values.size):
            out[v] += x * values[v]


@njit(**JIT)
def newton_step(index, counts, exposure, weights, layout, dispersion, coef, move, gain, distance):
    """One guarded Newton step to the mode of the penalised log likelihood at given dispersions.

    With means ``m = exposure exp(x.coef)`` and residuals ``s = (y - m) / (1 + a m)``: score ``X's - ridge coef``,
    observed information ``X' diag(m (1 + a s) / (1 + a m)) X + ridge``. The log likelihood is concave in ``coef``,
    so Newton's step increases it; no log rate moves by more than about `MAX_STEP`. ``move`` is the last move and ``gain`` the
    slope along it where it began (zeros at first): where the slope has turned to less than minus half of it, the mode
    was overshot and the move is shortened by the secant rule instead. ``distance`` gets the Newton decrement: how many
    posterior standard deviations the point stepped from was away from the mode.
    """
    p, width = coef.shape[0], TILE
    exposure_per_gene, weighted = exposure.shape[1] > 1, weights.size > 0
    packed = layout.outer.shape[1]
    y, e, w, a = np.empty(width), np.empty(width), np.ones(width), np.empty(width)
    log_rate, rate, row_score, row_info = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    theta, score = np.empty((p, width)), np.empty((p, width))
    step, matrix = np.empty((p, width)), np.empty((packed, width))
    for begin in range(0, index.size, width):
        for v in range(width):
            a[v] = dispersion[index[min(begin + v, index.size - 1)]]
        for j in range(p):
            _gather(coef, j, index, begin, theta[j])
        _penalise(layout.ridge, layout.ridge_packed, theta, score, matrix)
        for u in range(layout.start.size - 1):
            _rate(layout.unique[u], theta, log_rate, rate)
            fill(row_score, 0.0)
            fill(row_info, 0.0)
            for i in range(layout.start[u], layout.start[u + 1]):
                _gather(counts, i, index, begin, y)
                if weighted:
                    _gather(weights, i, index, begin, w)
                if exposure_per_gene:
                    _gather(exposure, i, index, begin, e)
                else:
                    fill(e, exposure[i, 0])
                for v in range(width):
                    mean = e[v] * rate[v]
                    shrink = 1.0 / (1.0 + a[v] * mean)
                    residual = (y[v] - mean) * shrink
                    row_score[v] += w[v] * residual
                    row_info[v] += w[v] * (mean * shrink * (1.0 + a[v] * residual))
            for j in range(p):
                _add(layout.unique[u, j], row_score, score[j])
            for q in range(packed):
                _add(layout.outer[u, q], row_info, matrix[q])
        factor(matrix, rate, p)
        solve(matrix, score, step)
        for v in range(min(width, index.size - begin)):
            g = index[begin + v]
            slope, decrement, reach = 0.0, 0.0, 0.0
            for j in range(p):
                slope += score[j, v] * move[j, g]
                decrement += score[j, v] * step[j, v]
                reach += abs(step[j, v]) * layout.reach[j]
            if slope < -0.5 * gain[g]:
                shorten = max(0.1, gain[g] / (gain[g] - slope))
                for j in range(p):
                    coef[j, g] -= (1.0 - shorten) * move[j, g]
                    move[j, g] *= shorten
                gain[g] *= shorten
                distance[g] = math.inf
            else:
                length = min(1.0, MAX_STEP / reach) if reach > 0.0 else 1.0
                for j in range(p):
                    move[j, g] = length * step[j, v]
                    coef[j, g] += move[j, g]
                gain[g] = length * decrement
                distance[g] = math.sqrt(max(decrement, 0.0))


@njit(**INNER)
def _stirling_tail(x, out):
    """``lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2`` to 3e-13: Stirling's series, from ``x + 8`` where x < 8."""
    small = False
    for v in range(out.size):
        small |= x[v] < 8.0
    if small:
        for v in range(out.size):
            from_x = min(x[v], 8.0)
            y = from_x + 8.0
            z = 1.0 / y
            product = (from_x * z) * ((from_x + 1.0) * z) * ((from_x + 2.0) * z) * ((from_x + 3.0) * z)
            product *= ((from_x + 4.0) * z) * ((from_x + 5.0) * z) * ((from_x + 6.0) * z) * ((from_x + 7.0) * z)
            shift = (from_x - 0.5) * fast_log(y / from_x) - fast_log(product) - 8.0
            if x[v] >= 8.0:
                shift = 0.0
                z = 1.0 / x[v]
            q = z * z
            out[v] = shift + z * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188)))))
    else:
        for v in range(out.size):
            z = 1.0 / x[v]
            q = z * z
            out[v] = z * (1 / 12 - q * (1 / 360 - q * (1 / 1260 - q * (1 / 1680 - q * (1 / 1188)))))


@njit(**JIT)
def evaluate(index, counts, exposure, weights, layout, dispersion, coef, value, covariance):
    """Adjusted profile log likelihood at given dispersions and modes, and the covariance of the coefficients.

    ``value = l - coef'ridge coef / 2 - log|H| / 2``, Laplace's approximation to the log marginal likelihood of the
    dispersion (the adjustment of Cox & Reid 1987), H the observed information plus ridge of `newton_step`. Terms of
    the counts alone are left out of l. With ``r = 1 / a`` a sample adds
    ``S(y) - (y + r) log(1 + a m) + y log rate`` where ``S(y) = lgamma(y + r) - lgamma(r) + y log a``, written with
    Stirling's formula as ``(y + r) log(1 + a s) - log(1 + a y) / 2 - y + tail(y + r) - tail(r) + y log rate``: one
    logarithm a sample and nothing that cancels as a -> 0. ``covariance`` (packed, inverse of H) is left alone when it
    has no rows.
    """
    p, width = coef.shape[0], TILE
    exposure_per_gene, weighted = exposure.shape[1] > 1, weights.size > 0
    packed = layout.outer.shape[1]
    y, e, w, a, r = np.empty(width), np.empty(width), np.ones(width), np.empty(width), np.empty(width)
    log_rate, rate, row_info, total = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    spread, shape, tail, tail_r, ratio = (
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
        np.empty(width),
    )
    theta, score = np.empty((p, width)), np.empty((p, width))
    matrix, inverse = np.empty((packed, width)), np.empty((packed, width))
    for begin in range(0, index.size, width):
        for v in range(width):
            a[v] = dispersion[index[min(begin + v, index.size - 1)]]
            r[v] = 1.0 / a[v]
        _stirling_tail(r, tail_r)
        for j in range(p):
            _gather(coef, j, index, begin, theta[j])
        _penalise(layout.ridge, layout.ridge_packed, theta, score, matrix)
        fill(total, 0.0)
        fill(spread, 1.0)
        for j in range(p):
            for v in range(width):
                total[v] += 0.5 * theta[j, v] * score[j, v]
        for u in range(layout.start.size - 1):
            _rate(layout.unique[u], theta, log_rate, rate)
            fill(row_info, 0.0)
            for i in range(layout.start[u], layout.start[u + 1]):
                _gather(counts, i, index, begin, y)
                if weighted:
                    _gather(weights, i, index, begin, w)
                if exposure_per_gene:
                    _gather(exposure, i, index, begin, e)
                else:
                    fill(e, exposure[i, 0])
                for v in range(width):
                    mean = e[v] * rate[v]
                    shrink = 1.0 / (1.0 + a[v] * mean)
                    ratio[v] = a[v] * ((y[v] - mean) * shrink)
                    row_info[v] += w[v] * (mean * shrink * (1.0 + ratio[v]))
                for v in range(width):
                    ratio[v] = fast_log1p(ratio[v])
                for v in range(width):
                    shape[v] = y[v] + r[v]
                _stirling_tail(shape, tail)
                for v in range(width):
                    term = shape[v] * ratio[v] + y[v] * (log_rate[v] - 1.0) + tail[v] - tail_r[v]
                    total[v] += w[v] * term
                if weighted:
                    for v in range(width):
                        total[v] -= 0.5 * w[v] * fast_log1p(a[v] * y[v])
                else:
                    for v in range(width):
                        spread[v] *= 1.0 + a[v] * y[v]
                    if i % 8 == 7:
                        for v in range(width):
                            total[v] -= 0.5 * fast_log(spread[v])
                            spread[v] = 1.0
            for q in range(packed):
                _add(layout.outer[u, q], row_info, matrix[q])
        factor(matrix, rate, p)
        if covariance.shape[0] > 0:
            invert(matrix, inverse, p)
        for v in range(min(width, index.size - begin)):
            g = index[begin + v]
            value[g] = total[v] - 0.5 * (fast_log(spread[v]) + rate[v])
            if covariance.shape[0] > 0:
                for q in range(packed):
                    covariance[q, g] = inverse[q, v]
