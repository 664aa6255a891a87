"""Negative binomial regressions with a random intercept for each donor, at many nodes: tiles of genes run side by side."""

import math

import numpy as np
from numba import njit

from bulkvi.stats.donors.newton import counts_alone, expand
from bulkvi.stats.nb.compiled_math import JIT, fill, invert
from bulkvi.stats.nb.kernels import MAX_STEP, TILE, _gather

SLACK = 1e-6


@njit(**JIT)
def fit_lattice(index, data, groups, penalty, at, route, tol, max_iter, coef, effect, out):
    """Modes of the coefficients and of the donors' effects at every node, and the likelihood of each node.

    Nodes are visited in the order of ``route``, each from where the modes at three nodes point to, the first from ``coef``
    and ``effect``, which get its mode. A point closer to the mode than ``tol`` posterior standard deviations is
    taken for it after the step from there, with the gain of that step. A step that loses likelihood is halved, and no log
    rate moves by more than about `MAX_STEP`. Results of a gene do not depend on its neighbours in a tile.

    Parameters
    ----------
    index
        Genes to work on.
    data
        Counts (samples x genes), exposure (samples x genes or samples x 1), weights (samples x genes or 0 x 0).
    groups
        Features (samples x p), first sample of each donor and the number of samples.
    penalty
        Ridge (p x p), its lower triangle, and the largest absolute value of each feature.
    at
        Log dispersion and log variance of the donors' effects, nodes x genes.
    route
        Nodes in the order of visits; for each of those three nodes A, B, C to start from: the modes at A + B - C.
    out
        Coefficients (nodes x p x genes), their packed covariance, ``value`` (nodes x genes): Laplace's approximation to the
        log likelihood with coefficients and donors' effects integrated out; ``marginal``: the same with the donors' effects
        alone integrated out; ``converged`` (genes). The first two may have no rows.
    """
    counts, exposure, weights = data
    features, start = groups
    ridge, ridge_packed, reach = penalty
    log_dispersion, log_variance = at
    node_coef, node_covariance, value, marginal, converged = out
    n, p = features.shape
    n_donors, n_nodes, width = start.size - 1, route.shape[1], TILE
    packed = p * (p + 1) // 2
    own_exposure, weighted = exposure.shape[1] > 1, weights.size > 0
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
            if own_exposure:
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
