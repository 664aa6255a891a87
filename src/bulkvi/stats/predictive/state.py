"""State of new samples given the posterior of every gene."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.noise import LOG_SCALES, learn_noise, prior_noise

MAX_STEP = 1.0
"""Largest step of the state, whose prior standard deviation is 1: further out Fisher scoring may diverge."""
TOLERANCE = 1e-5
MAX_STEPS = 50
ROUNDS = 3
"""Rounds over noise and state: the state depends little on the noise, so that the third changes it by less than 1e-3. The first starts from the prior of the noise, whose heavy
tails keep single counts from moving the state."""
LARGEST_VARIANCE = 3.0
"""Of a log rate, in a gene's weight: its exponential would overflow, and such a gene has next to no weight."""
LARGEST_LOG = 30.0
LEAST_WEIGHT = 1e-8
BLOCK_ENTRIES = 400_000


class SampleStates(NamedTuple):
    """Posterior of the state of samples, and their noise."""

    mean: np.ndarray
    """Mode, samples x directions."""
    covariance: np.ndarray
    """Laplace's, samples x directions x directions."""
    noise: np.ndarray
    """Weights of the multiples of the dispersions (`LOG_SCALES`), samples x scales."""


def infer_states(counts: np.ndarray, layer: GeneLayer, design: np.ndarray, *, offset: np.ndarray) -> SampleStates:
    r"""Find the state of highest posterior density of each sample, and its noise.

    The prior is :math:`u_n \sim N(0, I)`: the training samples' states have mean square 1. Fisher scoring in float64; a gene has
    the weight

    .. math:: m \sum_j r_j / (1 + a_j m), \qquad a_j = \phi_j \alpha_g + e^{x^\top C_g x} - 1

    with C the covariance of its coefficients and r the probabilities of the multiples :math:`\phi_j` of its dispersion given its
    count: uncertain loadings count less, and so do counts that no state explains. Samples do not depend on each other.

    Parameters
    ----------
    counts
        Samples x genes of the layer.
    design
        Samples x design columns.
    offset
        Natural log of the exposure, samples or samples x genes.
    """
    n, k = len(counts), len(layer.relevance)
    states = SampleStates(np.zeros((n, k)), np.tile(np.eye(k), (n, 1, 1)), prior_noise(n))
    offset = np.broadcast_to(offset[:, None] if offset.ndim == 1 else offset, counts.shape)
    rows = max(1, BLOCK_ENTRIES // max(1, counts.shape[1]))
    for begin in range(0, n, rows):
        part = slice(begin, begin + rows)
        for _ in range(ROUNDS):
            _settle(counts[part], layer, design[part], offset[part], SampleStates(*(each[part] for each in states)))
            log_rate, variance = layer.log_rate(np.hstack([design[part], states.mean[part]]))
            states.noise[part] = learn_noise(
                counts[part], log_rate + offset[part], variance, layer.log_dispersion, layer.log_dispersion_sd
            )
        _settle(counts[part], layer, design[part], offset[part], SampleStates(*(each[part] for each in states)))
    return states


def _settle(counts: np.ndarray, layer: GeneLayer, design: np.ndarray, offset: np.ndarray, states: SampleStates) -> None:
    """Move the states of samples to their mode given their noise, in place."""
    n, k = states.mean.shape
    if k == 0:
        return
    loadings = layer.mean[-k:]
    base = design @ layer.mean[: layer.n_design] + offset
    _, variance = layer.log_rate(np.hstack([design, states.mean]))
    extra = np.expm1(np.minimum(variance, LARGEST_VARIANCE))
    dispersion = np.exp(layer.log_dispersion)
    active = np.arange(n)
    for _ in range(MAX_STEPS):
        log_mean = np.clip(base[active] + states.mean[active] @ loadings, -LARGEST_LOG, LARGEST_LOG)
        mean = np.exp(log_mean)
        shrink = _shrink(counts[active], mean, dispersion, extra[active], states.noise[active])
        score = ((counts[active] - mean) * shrink) @ loadings.T - states.mean[active]
        moved = np.zeros(len(active))
        for at, sample in enumerate(active):
            information = (loadings * (mean[at] * shrink[at])) @ loadings.T + np.eye(k)
            states.covariance[sample] = np.linalg.inv(information)
            step = states.covariance[sample] @ score[at]
            moved[at] = np.abs(step).max()
            states.mean[sample] += step * min(1.0, MAX_STEP / max(moved[at], MAX_STEP))
        active = active[moved > TOLERANCE]
        if not active.size:
            return


def gene_weights(
    counts: np.ndarray, mean: np.ndarray, layer: GeneLayer, variance: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Compute the weight of each gene in the state of a sample, at these means; ``variance``: of the log rates; samples x genes."""
    extra = np.expm1(np.minimum(variance, LARGEST_VARIANCE))
    return mean * _shrink(counts, mean, np.exp(layer.log_dispersion), extra, noise)


def _shrink(
    counts: np.ndarray, mean: np.ndarray, dispersion: np.ndarray, extra: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Mean of 1 / (1 + a m) over the multiples given the counts, whose deviations are taken as normal; samples x genes."""
    square = 0.5 * (counts - mean) ** 2 / mean
    used = np.flatnonzero(noise.max(0) > LEAST_WEIGHT)
    inverse = [1 / (1 + (np.exp(LOG_SCALES[j]) * dispersion + extra) * mean) for j in used]
    # the largest multiple has the highest exponent: counts that are far from all would leave none above 0
    furthest = square * inverse[-1]
    total, weighted = np.zeros(counts.shape), np.zeros(counts.shape)
    for j, shrink in zip(used, inverse, strict=True):
        density = noise[:, j, None] * np.sqrt(shrink) * np.exp(furthest - square * shrink)
        total += density
        weighted += density * shrink
    return weighted / total
