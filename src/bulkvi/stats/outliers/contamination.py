"""Probability that a count is an outlier, given the other counts of its gene and the dispersions of all genes."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.linalg import qr
from scipy.special import gammaln

from bulkvi.stats.nb.compiled_math import JIT, fast_exp, fast_log, fast_log1p, fill
from bulkvi.stats.nb.kernels import TILE, _gather, _rate, _stirling_tail, evaluate
from bulkvi.stats.nb.regression import Block, maximise, start_coef

MAX_CODING_FREE = 2_000
N_NODES = 5
NODE_REACH = 2.2
MIN_SD = 0.05
STABLE = 0.02
DAMP = 0.5
DESIGN_SD = 0.2
OUTLYING_SCALE = 1.5
MAX_PULL = 0.95
MAX_MOVE = 4.0
MAX_VARIANCE = 2.0
LOWEST = -300.0


class Candidates(NamedTuple):
    """Genes of a block to be searched for outlying counts, and their prior; samples in the order of the layout."""

    block: Block
    """Their counts; the weights are the starting values, samples x genes."""
    log_trend: np.ndarray
    """Prior mean of the log dispersions, genes."""
    variance: float
    """Prior variance of the log dispersions."""
    eligible: np.ndarray
    """Whether a sample may be tested, samples."""


class Contamination(NamedTuple):
    """Posterior of the contamination of the candidates."""

    probability: np.ndarray
    """Posterior probability that a count is outlying, samples x genes."""
    evidence: np.ndarray
    """Log marginal likelihood of the gene with these outlying counts, genes."""
    share: float
    """Share of outlying counts at the end of the search."""


def outlier_probability(
    candidates: Candidates, share: float, rounds: int, n_tested: int | None = None
) -> Contamination:
    r"""Compute the posterior probability that a count is contamination, by fixed-point iteration over the counts of a gene.

    .. math:: y_{ng} \sim (1 - \epsilon) \, \mathrm{NB}(m_{ng}, \alpha_g) + \epsilon \, q(\cdot \mid m_{ng})

    A count is compared with its prediction from the other counts of its gene, the dispersion integrated out: at each of
    `N_NODES` dispersions the regression is fitted with the current weights, and `_leave_one_out` leaves the count out of it.
    The probabilities give the next weights, damped by `DAMP` (two outlying counts of one group would mask each other in
    turn); genes whose probabilities are stable are done.

    The evidence is the adjusted profile likelihood with these weights, integrated over the dispersion, plus the terms of
    each count as outlying or not and the entropy of its weight, less the variance of the log rates that the features make over
    2 `DESIGN_SD` squared: a prior under which effects are small (0.4 between two groups of one size, natural log), without
    which two low counts among three outlying ones are dropped as readily as the three. With ``n_tested``, the number of
    counts tested in all genes, the share is estimated anew in each round (EM).
    """
    block, log_trend, variance, eligible = candidates
    n, n_genes = block.counts.shape
    p = block.layout.unique.shape[1]
    probability, evidence = np.zeros((n, n_genes)), np.zeros(n_genes)
    log_factorial = gammaln(block.counts + 1.0)
    coef = np.repeat(start_coef(block)[None], N_NODES, 0)
    mean, sd = log_trend, np.full(n_genes, math.sqrt(variance))
    active = np.arange(n_genes)
    for _ in range(rounds):
        all_genes = np.arange(active.size)
        nodes = mean + np.linspace(-NODE_REACH, NODE_REACH, N_NODES)[:, None] * sd
        dispersion = np.exp(nodes)
        log_weight = np.empty(nodes.shape)
        packed = np.empty((N_NODES, p * (p + 1) // 2, active.size))
        for k in range(N_NODES):
            maximise(block, dispersion[k], coef[k], tol=0.1)
            evaluate(all_genes, *block, dispersion[k], coef[k], log_weight[k], packed[k])
        log_weight -= 0.5 * (nodes - log_trend[active]) ** 2 / variance
        log_weight_max = log_weight.max(0)
        weight = np.exp(log_weight - log_weight_max)
        total = weight.sum(0)
        weight /= total
        outlying, log_outlying = np.zeros((n, active.size)), np.zeros((n, active.size))
        _leave_one_out(*block, log_factorial, dispersion, coef, packed, weight, eligible, share, outlying, log_outlying)
        change = np.abs(outlying - probability[:, active]).max(0)
        probability[:, active] = outlying
        evidence[active] = (
            log_weight_max
            + np.log(total * sd)
            + mixture_evidence(block, log_factorial, log_outlying, share)
            - design_variance(block, coef[N_NODES // 2]) / (2 * DESIGN_SD**2)
        )
        if n_tested is not None:
            share = max(float(probability.sum()), 1.0) / n_tested
        mean = (weight * nodes).sum(0)
        sd = np.maximum(1.1 * np.sqrt((weight * (nodes - mean) ** 2).sum(0)), MIN_SD)
        keep = np.flatnonzero(change > STABLE)
        if not keep.size:
            break
        active, mean, sd = active[keep], mean[keep], sd[keep]
        coef, log_factorial = np.ascontiguousarray(coef[..., keep]), np.ascontiguousarray(log_factorial[:, keep])
        exposure = block.exposure if block.exposure.shape[1] == 1 else np.ascontiguousarray(block.exposure[:, keep])
        block = Block(
            np.ascontiguousarray(block.counts[:, keep]),
            exposure,
            np.ascontiguousarray((1 - DAMP) * (1.0 - outlying[:, keep]) + DAMP * block.weights[:, keep]),
            block.layout,
        )
    return Contamination(probability, evidence, share)


def mixture_evidence(block: Block, log_factorial: np.ndarray, log_outlying: np.ndarray, share: float) -> np.ndarray:
    """Terms of the outlying counts, and of the counts alone, in the log marginal likelihood; genes."""
    inlying = np.clip(block.weights, 1e-12, 1.0)
    outlying = np.clip(1.0 - block.weights, 1e-12, 1.0)
    alone = block.counts * np.log(block.exposure) - log_factorial
    terms = inlying * (alone + math.log1p(-share) - np.log(inlying))
    terms += outlying * (math.log(share) + log_outlying - np.log(outlying))
    return terms.sum(0)


def design_variance(block: Block, coef: np.ndarray) -> np.ndarray:
    """Variance over the samples of the fitted log rates, genes."""
    size = np.diff(block.layout.start)
    log_rate = block.layout.unique @ coef
    return size @ (log_rate - size @ log_rate / size.sum()) ** 2 / size.sum()


def coding_free(features: np.ndarray, ridge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recode the features and their ridge (same span) so that the result does not depend on the coding of the design.

    Where two explanations of a gene are about equally likely, the path of the search decides which one is found; it must not
    depend on the reference level. The columns are some of the projection onto the span: of a design of groups, the groups.
    """
    n, p = features.shape
    if n > MAX_CODING_FREE or n <= p:
        return features, ridge
    basis = np.linalg.qr(features)[0]
    projection = (basis @ basis.T).round(10)
    _, pivots = qr(projection, mode="r", pivoting=True)
    chosen = projection[:, pivots[:p]]
    turn = np.linalg.lstsq(features, chosen, rcond=None)[0]
    return chosen, turn.T @ (np.diag(ridge) if ridge.ndim == 1 else ridge) @ turn


@njit(**JIT)
def _leave_one_out(
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
    log_outlying,
):
    r"""Compute the probability that each count is outlying, left out of the fit of its gene; fills the last two arguments.

    One Newton step takes the count out of the fit at a node: with V its log mean's variance, I its information and w its
    weight, the variance becomes v = V / (1 - w I V) and the log mean falls by v w (y - m) / (1 + a m). The prediction
    of the others is then negative binomial with dispersion (1 + a) e^v - 1 (a gamma variable for the product of two).
    Where f_k is that prediction at node k, the nodes' weights without the count are u_k ~ weight_k / f_k^w.

    An outlying count has a logistic distribution about the mean on the log scale, of scale s = `OUTLYING_SCALE`: with
    t = |log((y + 1/2) / (m + 1/2))| / s, e^-t / ((1 + e^-t)^2 s (y + 1/2)), and for zero all below it,
    1 / (1 + (m + 1/2)^(1/s)), m that of the middle node.
    """
    n_nodes, p, n_genes = coef.shape
    n, width = counts.shape[0], TILE
    exposure_per_gene = exposure.shape[1] > 1
    index = np.arange(n_genes)
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
    density = np.empty((n, width))
    for begin in range(0, n_genes, width):
        for i in range(n):
            fill(above[i], 0.0)
            fill(below[i], 0.0)
        for k in range(n_nodes):
            _gather(dispersion, k, index, begin, a)
            _gather(node_weight, k, index, begin, node)
            for j in range(p):
                _gather(coef[k], j, index, begin, theta[j])
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
                    _gather(counts, i, index, begin, y)
                    _gather(weights, i, index, begin, w)
                    _gather(log_factorial, i, index, begin, lf)
                    if exposure_per_gene:
                        _gather(exposure, i, index, begin, e)
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
                            t = abs(fast_log(y[v] + 0.5) - log_centre) / OUTLYING_SCALE
                            low = fast_exp(-t)
                            body = low / ((1.0 + low) * (1.0 + low) * OUTLYING_SCALE * (y[v] + 0.5))
                            density[i, v] = body if y[v] >= 0.5 else 1.0 / (1.0 + fast_exp(log_centre / OUTLYING_SCALE))
        for i in range(n):
            if eligible[i]:
                for v in range(min(width, n_genes - begin)):
                    inlying = above[i, v] / below[i, v]
                    odds = share * density[i, v]
                    log_outlying[i, begin + v] = math.log(max(density[i, v], 1e-300))
                    probability[i, begin + v] = odds / max(odds + (1.0 - share) * inlying, 1e-300)
