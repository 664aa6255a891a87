"""Negative binomial regressions with a random intercept for each donor, at many nodes, compiled: tiles of genes.

Conventions are those of `bulkvi.stats.nb.kernels`. Samples are in the order of their donors, so that the part of the
information that belongs to the donors, a diagonal, is eliminated as it is summed.
"""

import math

import numpy as np
from numba import njit

from bulkvi.stats.nb.compiled_math import INNER, JIT, factor, fast_exp, fast_log, fast_log1p, fill, invert, solve
from bulkvi.stats.nb.kernels import MAX_LOG_RATE, MAX_STEP, TILE, _gather, _penalise, _stirling_tail

SLACK = 1e-6


@njit(**INNER)
def counts_alone(y, w, a, tail, shape, out):
    """Terms of the counts alone in the log likelihood at dispersions ``a``; see `bulkvi.stats.nb.kernels.evaluate`."""
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
    penalised log likelihood, ``log_det`` of ``work`` the donors' part of ``log|H|`` (relative to their prior),
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
                scaled = (y[i, v] - mean) * shrink
                residual[v] = w[i, v] * scaled
                total[v] += w[i, v] * ((y[i, v] + size[v]) * fast_log1p(a[v] * scaled) + y[i, v] * info[v])
                info[v] = w[i, v] * (mean * shrink * (1.0 + a[v] * scaled))
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


@njit(**JIT)
def fit_lattice(index, data, groups, penalty, at, route, tol, max_iter, coef, effect, out):
    """Compute the modes of the coefficients and of the donors' effects at every node, and the likelihood of each node.

    Nodes are visited in the order of ``route`` (4 x nodes: a node, and the nodes A, B, C of which it starts from the modes at
    A + B - C); the first starts from ``coef`` and ``effect``, which are set to its mode. A gene is done with the step taken
    less than ``tol`` posterior standard deviations from the mode, and the gain of that step is added. A step that loses
    likelihood is halved, and no log rate moves by more than about `MAX_STEP`. Results of a gene do not depend on its
    neighbours in a tile. ``data``: counts, exposure, weights; ``groups``: features, first sample of each donor; ``penalty``:
    ridge, its lower triangle, largest absolute value of each feature; ``at``: log dispersion and log donor variance, nodes x
    genes; ``out``: the fields of `LatticeFit`, the first two of which may have no rows.
    """
    counts, exposure, weights = data
    features, start = groups
    ridge, ridge_packed, reach = penalty
    log_dispersion, log_variance = at
    node_coef, node_covariance, value, marginal, converged = out
    n, p = features.shape
    n_donors, n_nodes, width = start.size - 1, route.shape[1], TILE
    packed = p * (p + 1) // 2
    exposure_per_gene, weighted = exposure.shape[1] > 1, weights.size > 0
    y, e, w = np.empty((n, width)), np.empty((n, width)), np.ones((n, width))
    theta, u = np.empty((p, width)), np.empty((n_donors, width))
    theta_at, u_at = np.empty((n_nodes, p, width)), np.empty((n_nodes, n_donors, width))
    move, move_u = np.empty((p, width)), np.empty((n_donors, width))
    work = (
        np.empty((p, width)),
        np.empty((p, width)),
        np.empty((n_donors, p, width)),
        np.empty((n_donors, width)),
        np.empty((n_donors, width)),
        np.empty(width),
        np.empty(width),
        np.empty((3, width)),
    )
    _, step, _, _, donor_step, decrement, log_det, _ = work
    matrix, inverse = np.empty((packed, width)), np.empty((packed, width))
    a, last_a, r, precision = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    total, adjust, constant, best = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    keep, go, largest = np.empty(width), np.empty(width), np.empty(width)
    done = np.empty(width, dtype=np.bool_)
    for begin in range(0, index.size, width):
        size = min(width, index.size - begin)
        for i in range(n):
            _gather(counts, i, index, begin, y[i])
            if weighted:
                _gather(weights, i, index, begin, w[i])
            if exposure_per_gene:
                _gather(exposure, i, index, begin, e[i])
            else:
                fill(e[i], exposure[i, 0])
        fill(last_a, -1.0)
        for visit in range(n_nodes):
            node = route[0, visit]
            changed = False
            for v in range(width):
                g = index[min(begin + v, index.size - 1)]
                a[v] = math.exp(log_dispersion[node, g])
                r[v] = 1.0 / a[v]
                precision[v] = math.exp(-log_variance[node, g])
                changed |= a[v] != last_a[v]
                last_a[v] = a[v]
                done[v] = v >= size
                best[v] = -math.inf
            if visit == 0:
                for j in range(p):
                    _gather(coef, j, index, begin, theta[j])
                for d in range(n_donors):
                    _gather(effect, d, index, begin, u[d])
            else:
                one, two, base = route[1, visit], route[2, visit], route[3, visit]
                for j in range(p):
                    for v in range(width):
                        theta[j, v] = theta_at[one, j, v] + (theta_at[two, j, v] - theta_at[base, j, v])
                for d in range(n_donors):
                    for v in range(width):
                        u[d, v] = u_at[one, d, v] + (u_at[two, d, v] - u_at[base, d, v])
            if changed:
                counts_alone(y, w, a, total, adjust, constant)
            move[:] = 0.0
            move_u[:] = 0.0
            left = size
            for iteration in range(max_iter):
                expand(
                    (y, e, w),
                    features,
                    start,
                    ridge,
                    ridge_packed,
                    a,
                    r,
                    precision,
                    theta,
                    u,
                    work,
                    matrix,
                    total,
                    adjust,
                )
                fill(largest, 0.0)
                for j in range(p):
                    for v in range(width):
                        largest[v] += abs(step[j, v]) * reach[j]
                fill(go, 0.0)
                for d in range(n_donors):
                    for v in range(width):
                        go[v] = max(go[v], abs(donor_step[d, v]))
                any_done = False
                for v in range(width):
                    keep[v] = 0.0
                    if done[v]:
                        go[v] = 0.0
                        continue
                    near = decrement[v] <= tol * tol
                    if near or iteration == max_iter - 1:
                        done[v] = True
                        any_done = True
                        left -= 1
                        go[v] = 1.0 if near else 0.0
                        g = index[begin + v]
                        converged[g] &= near
                        marginal[node, g] = total[v] + constant[v] - 0.5 * log_det[v] + 0.5 * go[v] * decrement[v]
                        value[node, g] = marginal[node, g] - 0.5 * adjust[v]
                    elif total[v] < best[v] - SLACK:
                        go[v] = 0.0
                        keep[v] = 0.5
                    else:
                        best[v] = total[v]
                        go[v] = min(1.0, MAX_STEP / max(largest[v] + go[v], 1e-300))
                for j in range(p):
                    for v in range(width):
                        # either a new move, or the last one shortened to a half
                        theta[j, v] += go[v] * step[j, v] - keep[v] * move[j, v]
                        move[j, v] = go[v] * step[j, v] + keep[v] * move[j, v]
                for d in range(n_donors):
                    for v in range(width):
                        u[d, v] += go[v] * donor_step[d, v] - keep[v] * move_u[d, v]
                        move_u[d, v] = go[v] * donor_step[d, v] + keep[v] * move_u[d, v]
                if any_done and node_covariance.shape[0] > 0:
                    invert(matrix, inverse, p)
                    for v in range(size):
                        if done[v] and best[v] != math.inf:
                            g = index[begin + v]
                            best[v] = math.inf
                            for q in range(packed):
                                node_covariance[node, q, g] = inverse[q, v]
                            for j in range(p):
                                node_coef[node, j, g] = theta[j, v]
                if left == 0:
                    break
            theta_at[node] = theta
            u_at[node] = u
            if visit == 0:
                for v in range(size):
                    g = index[begin + v]
                    for j in range(p):
                        coef[j, g] = theta[j, v]
                    for d in range(n_donors):
                        effect[d, g] = u[d, v]
