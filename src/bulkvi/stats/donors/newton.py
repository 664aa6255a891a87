"""Penalised likelihood of coefficients and donors' effects, and Newton's step, compiled for a tile of genes.

Conventions are those of `_nb_numba`: natural logs, genes last, symmetric matrices packed as rows of their lower triangle.
Samples stand in the order of their donors, so that the part of the information that belongs to the donors, a diagonal, is
eliminated as it is summed.
"""

from numba import njit

from bulkvi.stats.nb.compiled_math import INNER, factor, fast_exp, fast_log, fast_log1p, fill, solve
from bulkvi.stats.nb.kernels import MAX_LOG_RATE, _penalise, _stirling_tail


@njit(**INNER)
def counts_alone(y, w, a, tail, shape, out):
    """What the counts alone add to the log likelihood at dispersions ``a``; see `_nb_numba.evaluate`."""
    n, width = y.shape
    for v in range(width):
        shape[v] = 1.0 / a[v]
    _stirling_tail(shape, tail)
    fill(out, 0.0)
    for i in range(n):
        for v in range(width):
            out[v] -= w[i, v] * tail[v]
    for i in range(n):
        for v in range(width):
            shape[v] = y[i, v] + 1.0 / a[v]
        _stirling_tail(shape, tail)
        for v in range(width):
            out[v] += w[i, v] * (tail[v] - 0.5 * fast_log1p(a[v] * y[i, v]) - y[i, v])


@njit(**INNER)
def expand(data, features, start, ridge, ridge_packed, a, size, precision, theta, u, work, matrix, total, adjust):
    """Penalised log likelihood at ``theta, u``, and Newton's step from there.

    With H the information plus penalties and S its Schur complement once the donors are eliminated: ``total`` gets the
    penalised log likelihood, ``log_det`` of ``work`` what eliminating the donors adds to ``log|H|`` (relative to their prior),
    ``adjust`` gets ``log|S|``, ``matrix`` the factor of S and ``decrement`` the squared distance to the mode in posterior
    standard deviations.
    """
    y, e, w = data
    score, step, cross, donor_info, donor_step, decrement, log_det, row = work
    p, width = theta.shape
    rate, info, residual = row[0], row[1], row[2]
    _penalise(ridge, ridge_packed, theta, score, matrix)
    fill(total, 0.0)
    for j in range(p):
        for v in range(width):
            total[v] += 0.5 * theta[j, v] * score[j, v]
    for d in range(start.size - 1):
        for v in range(width):
            donor_info[d, v] = precision[v]
            donor_step[d, v] = -precision[v] * u[d, v]
            total[v] -= 0.5 * precision[v] * u[d, v] * u[d, v]
        for j in range(p):
            fill(cross[d, j], 0.0)
        for i in range(start[d], start[d + 1]):
            for v in range(width):
                info[v] = u[d, v]
            for j in range(p):
                x = features[i, j]
                if x != 0.0:
                    for v in range(width):
                        info[v] += x * theta[j, v]
            for v in range(width):
                info[v] = min(max(info[v], -MAX_LOG_RATE), MAX_LOG_RATE)
            for v in range(width):
                rate[v] = fast_exp(info[v])
            for v in range(width):
                mean = e[i, v] * rate[v]
                shrink = 1.0 / (1.0 + a[v] * mean)
                away = (y[i, v] - mean) * shrink
                residual[v] = w[i, v] * away
                total[v] += w[i, v] * ((y[i, v] + size[v]) * fast_log1p(a[v] * away) + y[i, v] * info[v])
                info[v] = w[i, v] * (mean * shrink * (1.0 + a[v] * away))
            for v in range(width):
                donor_info[d, v] += info[v]
                donor_step[d, v] += residual[v]
            for j in range(p):
                x = features[i, j]
                if x != 0.0:
                    for v in range(width):
                        score[j, v] += x * residual[v]
                        cross[d, j, v] += x * info[v]
                    for k in range(j + 1):
                        if features[i, k] != 0.0:
                            product = x * features[i, k]
                            q = j * (j + 1) // 2 + k
                            for v in range(width):
                                matrix[q, v] += product * info[v]
    fill(decrement, 0.0)
    fill(log_det, 0.0)
    for d in range(start.size - 1):
        for v in range(width):
            info[v] = 1.0 / donor_info[d, v]
            residual[v] = donor_step[d, v] * info[v]
            log_det[v] += fast_log(donor_info[d, v] / precision[v])
            decrement[v] += donor_step[d, v] * residual[v]
        for j in range(p):
            for v in range(width):
                score[j, v] -= cross[d, j, v] * residual[v]
            for k in range(j + 1):
                q = j * (j + 1) // 2 + k
                for v in range(width):
                    matrix[q, v] -= cross[d, j, v] * cross[d, k, v] * info[v]
        for v in range(width):
            donor_step[d, v] = residual[v]
    factor(matrix, adjust, p)
    solve(matrix, score, step)
    for j in range(p):
        for v in range(width):
            decrement[v] += score[j, v] * step[j, v]
    for d in range(start.size - 1):
        for v in range(width):
            info[v] = 1.0 / donor_info[d, v]
        for j in range(p):
            for v in range(width):
                donor_step[d, v] -= cross[d, j, v] * step[j, v] * info[v]
