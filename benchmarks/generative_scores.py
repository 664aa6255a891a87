"""Scores of a predictive distribution on held-out samples, the same for every model."""

from typing import Any, Protocol

import numpy as np

from benchmarks.generative_distributions import inside

LEVELS = (0.95, 0.5)
N_BINS = 10
"""Of the histogram of the probability integral transform."""


class Predictive(Protocol):
    """What a trained model predicts for the counts of held-out samples."""

    def log_probability(self, given_genes: np.ndarray | None = None) -> np.ndarray:
        """Log probability of each count, the state of each sample inferred from these genes alone (None: from all)."""

    def transformed(self, rng: np.random.Generator) -> np.ndarray:
        """Probability integral transform of each count, the state of each sample inferred from all genes."""

    def expected_zeros(self) -> float:
        """Expected share of zeros."""


def scores(predictive: Predictive, x: np.ndarray, seed: int, *, fit_alone: bool = False) -> dict[str, Any]:
    """Mean scores over the entries (sample, gene) of held-out counts.

    - ``fit``: log probability per count, the state of each sample inferred from all genes.
    - ``completion``: the same, the state inferred from one random half of the genes and the other half scored, both ways
      round. No count is scored that the state was inferred from.
    - ``inside_95``, ``inside_50``: share of counts in their central interval; ``pit_0`` to ``pit_9``: histogram of the
      probability integral transform, 0.1 each if the model is true.
    - ``zeros``, ``zeros_expected``: share of zeros.
    """
    found: dict[str, Any] = {"fit": float(predictive.log_probability().mean())}
    if fit_alone:
        return found
    rng = np.random.default_rng(seed)
    halves = np.array_split(rng.permutation(x.shape[1]), 2)
    total = 0.0
    for given, scored in (halves, halves[::-1]):
        total += float(predictive.log_probability(np.sort(given))[:, scored].sum())
    place = predictive.transformed(rng)
    found["completion"] = total / x.size
    found |= {f"inside_{100 * level:.0f}": inside(place, level) for level in LEVELS}
    counted = np.bincount(np.minimum((place * N_BINS).astype(int), N_BINS - 1).ravel(), minlength=N_BINS)
    found |= {f"pit_{k}": float(share) for k, share in enumerate(counted / x.size)}
    return found | {"zeros": float((x == 0).mean()), "zeros_expected": predictive.expected_zeros()}
