"""How likely each count of a gene is to be wild, given the gene's other counts and the dispersions of all genes."""

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import qr
from scipy.special import gammaln

from bulkvi.stats.nb.block import Block, kernels
from bulkvi.stats.nb.regression import maximise, start_coef
from bulkvi.stats.outliers.kernels import judge

MAX_CODING_FREE = 2_000
N_NODES = 5
NODE_REACH = 2.2
MIN_SD = 0.05
SETTLED = 0.02
DAMP = 0.5
DESIGN_SD = 0.2


class Suspects(NamedTuple):
    """Genes of a block with what the search for wild counts knows of them; samples in the order of the layout."""

    block: Block
    """Their counts; the weights are those to start from, samples x genes."""
    log_trend: np.ndarray
    """Prior mean of the log dispersions, genes."""
    variance: float
    """Prior variance of the log dispersions."""
    eligible: np.ndarray
    """Whether a sample may be judged at all, samples."""


class Verdict(NamedTuple):
    """What the search found."""

    probability: np.ndarray
    """Posterior probability that a count is wild, samples x genes."""
    evidence: np.ndarray
    """Log marginal likelihood of the gene with these wild counts, genes."""
    share: float
    """Share of wild counts that the search ended with."""


def wild_probability(suspects: Suspects, share: float, rounds: int, n_judged: int | None = None) -> Verdict:
    r"""Posterior probability that a count comes from the contamination, by fixed-point iteration over all counts of a gene.

    .. math:: y_{ng} \sim (1 - \epsilon) \, \mathrm{NB}(m_{ng}, \alpha_g) + \epsilon \, q(\cdot \mid m_{ng})

    A count is judged by what the other counts of its gene predict for it, the dispersion integrated out: at each of
    `N_NODES` dispersions the regression is fitted with the current weights, and `judge` leaves the count out of it. The
    probabilities make the next weights, half way (or two wild counts of one group take turns in hiding each other); genes
    whose probabilities have settled are done.

    The evidence is the adjusted profile likelihood with these weights, integrated over the dispersion, plus what each count
    adds as wild or not and the entropy of not knowing, less the variance of the log rates that the features make over
    2 `DESIGN_SD` squared: a prior under which effects are small (0.4 between two groups of one size, natural log), without
    which two low counts beside three wild ones are dropped as readily as the three.

    Parameters
    ----------
    suspects
        Genes and where to start.
    share
        :math:`\epsilon`.
    rounds
        Most rounds.
    n_judged
        Number of counts that stand behind the genes; given, the share is estimated anew in each round (EM).
    """
    block, log_trend, variance, eligible = suspects
    n, n_genes = block.counts.shape
    p = block.layout.unique.shape[1]
    probability, evidence = np.zeros((n, n_genes)), np.zeros(n_genes)
    log_factorial = gammaln(block.counts + 1.0)
    coef = np.repeat(start_coef(block)[None], N_NODES, 0)
    mean, sd = log_trend, np.full(n_genes, math.sqrt(variance))
    active = np.arange(n_genes)
    for _ in range(rounds):
        everyone = np.arange(active.size)
        nodes = mean + np.linspace(-NODE_REACH, NODE_REACH, N_NODES)[:, None] * sd
        dispersion = np.exp(nodes)
        log_weight = np.empty(nodes.shape)
        packed = np.empty((N_NODES, p * (p + 1) // 2, active.size))
        for k in range(N_NODES):
            maximise(block, dispersion[k], coef[k], tol=0.1)
            kernels(coef).evaluate(everyone, *block, dispersion[k], coef[k], log_weight[k], packed[k])
        log_weight -= 0.5 * (nodes - log_trend[active]) ** 2 / variance
        log_weight_max = log_weight.max(0)
        weight = np.exp(log_weight - log_weight_max)
        total = weight.sum(0)
        weight /= total
        wild, log_wild = np.zeros((n, active.size)), np.zeros((n, active.size))
        judge(*block, log_factorial, dispersion, coef, packed, weight, eligible, share, wild, log_wild)
        change = np.abs(wild - probability[:, active]).max(0)
        probability[:, active] = wild
        evidence[active] = (
            log_weight_max
            + np.log(total * sd)
            + mixture_evidence(block, log_factorial, log_wild, share)
            - design_variance(block, coef[N_NODES // 2]) / (2 * DESIGN_SD**2)
        )
        if n_judged is not None:
            share = max(float(probability.sum()), 1.0) / n_judged
        mean = (weight * nodes).sum(0)
        sd = np.maximum(1.1 * np.sqrt((weight * (nodes - mean) ** 2).sum(0)), MIN_SD)
        go_on = np.flatnonzero(change > SETTLED)
        if not go_on.size:
            break
        active, mean, sd = active[go_on], mean[go_on], sd[go_on]
        coef, log_factorial = np.ascontiguousarray(coef[..., go_on]), np.ascontiguousarray(log_factorial[:, go_on])
        exposure = block.exposure if block.exposure.shape[1] == 1 else np.ascontiguousarray(block.exposure[:, go_on])
        block = Block(
            np.ascontiguousarray(block.counts[:, go_on]),
            exposure,
            np.ascontiguousarray((1 - DAMP) * (1.0 - wild[:, go_on]) + DAMP * block.weights[:, go_on]),
            block.layout,
        )
    return Verdict(probability, evidence, share)


def mixture_evidence(block: Block, log_factorial: np.ndarray, log_wild: np.ndarray, share: float) -> np.ndarray:
    """What the wild counts, and terms of the counts alone, add to the log marginal likelihood; genes."""
    tame = np.clip(block.weights, 1e-12, 1.0)
    odd = np.clip(1.0 - block.weights, 1e-12, 1.0)
    alone = block.counts * np.log(block.exposure) - log_factorial
    terms = tame * (alone + math.log1p(-share) - np.log(tame)) + odd * (math.log(share) + log_wild - np.log(odd))
    return terms.sum(0)


def design_variance(block: Block, coef: np.ndarray) -> np.ndarray:
    """Variance over the samples of the log rates that the features make, genes."""
    size = np.diff(block.layout.start)
    log_rate = block.layout.unique @ coef
    return size @ (log_rate - size @ log_rate / size.sum()) ** 2 / size.sum()


def coding_free(features: np.ndarray, ridge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features of the same span, and their ridge, that do not depend on how a design was coded.

    Where two explanations of a gene are about as likely, the path of the search decides which one is found; it must not
    hang on the reference level. The columns are some of the projection onto the span: of a design of groups, the groups.
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
