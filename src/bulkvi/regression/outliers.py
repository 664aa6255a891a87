"""Tail probability of every count of a sample, given a last layer of other samples."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv, ndtri
from scipy.stats import false_discovery_control

from bulkvi.regression.last_layer import LastLayer
from bulkvi.stats.predictive.cavity import fit_cavities
from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.noise import OUTLIER_SHARES, learn_noise
from bulkvi.stats.predictive.own_count import without_own_count
from bulkvi.stats.predictive.state import infer_states
from bulkvi.stats.predictive.tails import two_sided
from bulkvi.study.study import Study

ADD = 0.5
"""Added to counts and expected counts in fold changes: counts of 0 have one."""
INTERVAL = 0.95
CALLED = 0.05
"""Adjusted p-value below which a count of a cohort is left out of the fits that the other counts are judged by."""
SCREEN = 3.0
"""Standard deviations that counts must be off to be judged in the first round: calls among thousands of genes are further out."""
ROUNDS = 2
"""Rounds over the cohort: outliers found in the first are left out of the fits of the second."""
LARGEST_LOG = 40.0

Progress = Callable[[Iterable[int]], Iterable[int]]


class Scores(NamedTuple):
    """How far counts are from what is expected of them, samples x genes."""

    observed: np.ndarray
    """Count."""
    expected: np.ndarray
    """Posterior median of the expected count."""
    log_fc: np.ndarray
    """Log2 of count over expected count, both plus `ADD`."""
    log_fc_low: np.ndarray
    log_fc_high: np.ndarray
    p_value: np.ndarray
    """Two-sided mid-p-value."""


def score_samples(counts: np.ndarray, layer: GeneLayer, design: np.ndarray, offset: np.ndarray) -> Scores:
    """Score samples that are not in the layer; ``offset`` is the natural log of the exposure, samples or samples x genes."""
    return _joined(_score(counts[[n]], layer, design[[n]], offset[[n]]) for n in range(len(counts)))


def score_cohort(layer: LastLayer, study: Study, progress: Progress = iter) -> Scores:
    """Score the samples that the layer was fitted to, each with a layer without it.

    The state of the other samples and the relevance of the directions stay; loadings, levels, effects and dispersions do not depend on
    the sample, and its own state is inferred as that of a new one. Counts that are called in the first round are left out of the fits of
    the second, so that outliers do not hide each other.
    """
    design, offset, counts = layer.design(study), study.log_exposure, study.counts
    weights: np.ndarray | None = None
    for left in reversed(range(ROUNDS)):
        beyond = SCREEN if left else 0.0
        cavities = fit_cavities(
            counts, design, layer.state.to_numpy(), layer.posterior.relevance, offset=offset, weights=weights
        )
        # the cavities' offsets are relative to the mean level
        scores = _joined(
            _score(counts[[n]], cavities.layer(n, exact=not left), design[[n]], cavities.offset[[n]], beyond)
            for n in progress(range(len(counts)))
        )
        called = adjusted(scores.p_value, "bh") < CALLED
        weights = np.where(called, 0.0, 1.0)
    return scores


def adjusted(p_value: np.ndarray, method: str) -> np.ndarray:
    """Adjust the p-values of each sample (rows): ``"by"`` (Benjamini & Yekutieli 2001) or ``"bh"``."""
    return false_discovery_control(p_value, axis=1, method=method)


def _score(counts: np.ndarray, layer: GeneLayer, design: np.ndarray, offset: np.ndarray, beyond: float = 0.0) -> Scores:
    """Score samples that are not in the layer; counts nearer than ``beyond`` standard deviations get a p-value of 1."""
    states = infer_states(counts, layer, design, offset=offset)
    log_mean, variance = without_own_count(counts, layer, states, design, offset=offset)
    log_mean = np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)
    dispersion = layer.log_dispersion, layer.log_dispersion_sd
    # a heavy tail of noise and outliers are the same thing: here the counts far out are the outliers
    noise = learn_noise(counts, log_mean, variance, *dispersion, outlier_shares=OUTLIER_SHARES, heavy_tails=False)
    predicted = PredictedCounts(log_mean, variance, *dispersion, noise)
    return Scores(
        counts, np.exp(log_mean), *_log_fc(counts, log_mean, variance), two_sided(predicted, counts, beyond=beyond)
    )


def _log_fc(
    counts: np.ndarray, log_mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Log2 fold change over the expected count, and the ends of its interval.

    The count's own interval is that of a Poisson mean (quantiles of :math:`\Gamma(x + 1/2)`, Jeffreys' prior), that of the expected count
    lognormal; the distances of their ends from the estimates are added as squares (Zou & Donner 2008).
    """
    tail = (1 - INTERVAL) / 2
    estimate = np.log(counts + ADD)
    below = estimate - np.log(np.where(counts > 0, gammaincinv(counts + 0.5, tail), 0.0) + ADD)
    above = np.log(gammaincinv(counts + 0.5, 1 - tail) + ADD) - estimate
    reach = ndtri(1 - tail) * np.sqrt(variance)
    expected, low, high = (np.log(np.exp(log_mean + shift) + ADD) for shift in (0.0, -reach, reach))
    log_fc = estimate - expected
    ends = log_fc - np.hypot(below, high - expected), log_fc + np.hypot(above, expected - low)
    return tuple(each / np.log(2) for each in (log_fc, *ends))


def _joined(parts: Iterable[Scores]) -> Scores:
    return Scores(*(np.concatenate(each) for each in zip(*parts, strict=True)))
