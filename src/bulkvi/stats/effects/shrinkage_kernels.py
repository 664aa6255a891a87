"""Sums over mixture components for adaptive shrinkage, compiled; the formulas are those of `shrinkage`."""

import math

import numpy as np
from numba import njit

from bulkvi.stats.nb.compiled_math import INNER, JIT, fast_exp, fast_normal_cdf, scaled_normal_tail

TILE = 64
NEGLIGIBLE = 1e-11


@njit(**JIT)
def marginal_likelihoods(estimate, se, weight, scales, out):
    """``out[j, g] = sum_k weight N(estimate; 0, se^2 + scale_j^2)``, each gene divided by its largest."""
    n_nodes, n_genes = estimate.shape
    total, largest = np.empty(TILE), np.empty(TILE)
    for begin in range(0, n_genes, TILE):
        size = min(TILE, n_genes - begin)
        for v in range(size):
            largest[v] = 1e-300
        for j in range(scales.size):
            prior = scales[j] * scales[j]
            for v in range(size):
                total[v] = 0.0
            for k in range(n_nodes):
                for v in range(size):
                    b = estimate[k, begin + v]
                    variance = se[k, begin + v] * se[k, begin + v] + prior
                    total[v] += weight[k, begin + v] * fast_exp(-0.5 * b * b / variance) / math.sqrt(variance)
            for v in range(size):
                out[j, begin + v] = total[v]
                largest[v] = max(largest[v], total[v])
        for j in range(scales.size):
            for v in range(size):
                out[j, begin + v] /= largest[v]


@njit(**INNER)
def _tail_and_density(x, part, mean, sd, count, side, tails, densities):
    """Probability beyond x on a side (1 above, -1 below) and density of a normal mixture."""
    for c in range(count):
        z = side * (x - mean[c]) / sd[c]
        bell = part[c] * fast_exp(-0.5 * z * z)
        tail = bell * scaled_normal_tail(abs(z))
        tails[c] = tail if z > 0.0 else part[c] - tail
        densities[c] = bell / sd[c]
    beyond, density = 0.0, 0.0
    for c in range(count):
        beyond += tails[c]
        density += densities[c]
    return beyond, density * 0.3989422804014327


@njit(**INNER)
def _tail_quantile(target, part, mean, sd, count, side, x, tails, densities):
    """Where a normal mixture (weights adding up to more than ``target``) has the probability ``target`` beyond.

    Newton's rule on the logarithm of the tail from ``x``, inside a bracket that closes; to 1e-9 of the tail.
    """
    low, high = math.inf, -math.inf
    for c in range(count):
        low = min(low, mean[c] - 38.0 * sd[c])
        high = max(high, mean[c] + 38.0 * sd[c])
    for _ in range(200):
        if not low < x < high:
            x = 0.5 * (low + high)
        beyond, density = _tail_and_density(x, part, mean, sd, count, side, tails, densities)
        if abs(beyond - target) <= 1e-7 * target or high - low <= 1e-13 * (abs(high) + abs(low)):
            # one more step of a rule that doubles the digits
            return x + side * (beyond - target) / density if density > 0.0 else x
        if (beyond > target) == (side > 0.0):
            low = x
        else:
            high = x
        x = x + side * math.log(beyond / target) * beyond / density if beyond > 0.0 and density > 0.0 else low
    return x


@njit(**JIT)
def summarise(estimate, se, weight, scales, prior, tail, delta, out):
    """Rows of ``out``: mean, sd, low, high, lfsr, P(effect = 0), P(effect > 0), P(|effect| > delta); one column a gene.

    Component (k, j) of the posterior has weight ``weight_k prior_j N(estimate_k; 0, v)``, v = se_k^2 + scale_j^2, mean
    ``estimate_k scale_j^2 / v`` and variance ``se_k^2 scale_j^2 / v``.
    """
    n_nodes, n_genes = estimate.shape
    n_max = n_nodes * scales.size
    part, mean, sd = np.empty(n_max), np.empty(n_max), np.empty(n_max)
    tails, densities = np.empty(n_max), np.empty(n_max)
    for g in range(n_genes):
        count = 0
        at_zero = 0.0
        total = 0.0
        for j in range(scales.size):
            spread = scales[j] * scales[j]
            for k in range(n_nodes):
                noise = se[k, g] * se[k, g]
                variance = noise + spread
                b = estimate[k, g]
                part[count + k] = weight[k, g] * prior[j] * fast_exp(-0.5 * b * b / variance) / math.sqrt(variance)
                mean[count + k] = b * spread / variance
                sd[count + k] = math.sqrt(noise * spread / variance)
            for k in range(n_nodes):
                total += part[count + k]
                if spread == 0.0:
                    at_zero += part[count + k]
            if spread > 0.0:
                count += n_nodes
        kept = 0
        first, second, below, wide, kept_total = 0.0, 0.0, 0.0, 0.0, at_zero / total
        for c in range(count):
            share = part[c] / total
            if share > NEGLIGIBLE:
                part[kept] = share
                mean[kept] = mean[c]
                sd[kept] = sd[c]
                kept += 1
                kept_total += share
        at_zero = at_zero / total / kept_total
        for c in range(kept):
            part[c] /= kept_total
            first += part[c] * mean[c]
            second += part[c] * (mean[c] * mean[c] + sd[c] * sd[c])
        if delta > 0.0:
            for c in range(kept):
                below += part[c] * fast_normal_cdf(-mean[c] / sd[c])
                wide += part[c] * (
                    fast_normal_cdf((-delta - mean[c]) / sd[c]) + fast_normal_cdf((mean[c] - delta) / sd[c])
                )
        else:
            for c in range(kept):
                below += part[c] * fast_normal_cdf(-mean[c] / sd[c])
            wide = 1.0 - at_zero
        above = max(1.0 - below - at_zero, 0.0)
        deviation = math.sqrt(max(second - first * first, 0.0))
        out[0, g] = first
        out[1, g] = deviation
        out[2, g] = 0.0
        out[3, g] = 0.0
        # the point mass lies between the negative and the positive part
        for end in range(2):
            side = 2.0 * end - 1.0
            here = above if end else below
            start = first + side * 1.96 * deviation
            if tail < here:
                out[2 + end, g] = _tail_quantile(tail, part, mean, sd, kept, side, start, tails, densities)
            elif tail > here + at_zero:
                out[2 + end, g] = _tail_quantile(1.0 - tail, part, mean, sd, kept, -side, start, tails, densities)
        out[4, g] = min(at_zero + min(below, above), 1.0)
        out[5, g] = at_zero
        out[6, g] = above
        out[7, g] = wide
