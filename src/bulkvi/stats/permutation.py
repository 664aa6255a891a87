"""Permutations of the labels of two groups, empirical false discovery rates and recalibrated p-values."""

from collections.abc import Iterable, Iterator
from itertools import combinations, product
from math import comb, prod
from typing import NamedTuple

import numpy as np

from bulkvi.stats.effects.effect import benjamini_hochberg

ENUMERATED = 1_000
LARGEST_OVERLAP = 0.25
MIN_DISSIMILAR = 5
UNCHANGED_ABOVE = 0.5
EXCEPTIONAL = 0.05
N_RESAMPLES = 2_000
LEVEL = 0.95


def count_permutations(in_first: np.ndarray, stratum: np.ndarray) -> int:
    """Count the other ways to split the samples (``in_first``: in the first group) with the same numbers in each stratum.

    Splits that only swap the names of the two groups are one split, because they give the same p-values.
    """
    sizes = [(int(labels.size), int(labels.sum())) for labels in _labels_of_strata(in_first, stratum)]
    n_splits = prod(comb(size, first) for size, first in sizes)
    return n_splits // 2 - 1 if _has_mirror(in_first, stratum) else n_splits - 1


def draw_permutations(in_first: np.ndarray, stratum: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw distinct permutations (permutations x samples) other than the given labels and their mirror image.

    All if there are no more than ``n``; otherwise ``n`` without replacement, all with the same probability.
    """
    in_first = np.asarray(in_first, dtype=bool)
    n_distinct = count_permutations(in_first, stratum)
    if n_distinct <= max(ENUMERATED, 4 * n):
        all_splits = np.array(list(_enumerate(in_first, stratum)), dtype=bool).reshape(-1, in_first.size)
        return all_splits if n >= n_distinct else all_splits[np.sort(rng.choice(n_distinct, n, replace=False))]
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    mirrored = _has_mirror(in_first, stratum)
    drawn: dict[bytes, np.ndarray] = {in_first.tobytes(): in_first}
    while len(drawn) <= n:
        permuted = in_first.copy()
        for samples in members:
            permuted[samples] = rng.permutation(in_first[samples])
        if mirrored and permuted[0] != in_first[0]:
            permuted = ~permuted
        drawn.setdefault(permuted.tobytes(), permuted)
    return np.array(list(drawn.values())[1:])


def overlap(in_first: np.ndarray, permuted: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Share of every real effect that remains in each permutation: the absolute correlation of labels within strata."""
    label = np.asarray(in_first, dtype=float)
    _, code = np.unique(stratum, return_inverse=True)
    label = label - (np.bincount(code, label) / np.bincount(code))[code]
    return np.abs(permuted @ label) / (label @ label)


def dissimilar(overlaps: np.ndarray) -> np.ndarray:
    """Select permutations with an overlap of at most `LARGEST_OVERLAP`, or the `MIN_DISSIMILAR` smallest overlaps if more.

    Real effects are then not counted as false calls. For a mean over genes any selection by labels is valid, for a rank among
    permutations it is not (Southworth, Kim & Owen 2009, *Properties of balanced permutations*).
    """
    enough = min(MIN_DISSIMILAR, overlaps.size)
    return overlaps <= max(LARGEST_OVERLAP, np.partition(overlaps, enough - 1)[enough - 1]) + 1e-9


def _labels_of_strata(in_first: np.ndarray, stratum: np.ndarray) -> Iterator[np.ndarray]:
    for s in np.unique(stratum):
        yield np.asarray(in_first, dtype=bool)[stratum == s]


def _has_mirror(in_first: np.ndarray, stratum: np.ndarray) -> bool:
    return all(2 * labels.sum() == labels.size for labels in _labels_of_strata(in_first, stratum))


def _enumerate(in_first: np.ndarray, stratum: np.ndarray) -> Iterator[np.ndarray]:
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    mirrored = _has_mirror(in_first, stratum)
    choices = [combinations(samples, int(in_first[samples].sum())) for samples in members]
    for chosen in product(*choices):
        permuted = np.zeros(in_first.size, dtype=bool)
        permuted[[sample for samples in chosen for sample in samples]] = True
        if (permuted == in_first).all() or (mirrored and permuted[0] != in_first[0]):
            continue
        yield permuted


class EmpiricalFDR(NamedTuple):
    """False discovery rates estimated from permutations, one value per threshold; NaN where nothing is called."""

    fdr: np.ndarray
    low: np.ndarray
    """Lower end of its Monte-Carlo interval (95 %)."""
    high: np.ndarray
    share_as_many: np.ndarray
    """Share of the permutations in which the method makes at least as many calls."""


class MethodResult(NamedTuple):
    """Result of a method for every gene."""

    p_value: np.ndarray
    """NaN where a gene is not tested; shape ``(n_genes,)``."""
    scores: dict[str, np.ndarray]
    """Scores by name; a gene is called when its score is below a threshold. NaN where there is none."""

    def calls(self, thresholds: np.ndarray) -> np.ndarray:
        """Number of genes called: at the thresholds of the first score, then of the next."""
        return np.concatenate([(score < thresholds[:, None]).sum(1) for score in self.scores.values()])


class CallCounts(NamedTuple):
    """Counts of the result of a permutation, or of all permutations after `stack`."""

    calls: np.ndarray
    """Calls of the whole method, as `MethodResult.calls`."""
    null_calls: np.ndarray
    """p-values up to each cutoff."""
    up_to: np.ndarray
    """p-values up to the p-value of each gene of the data."""
    n_above: np.ndarray
    """Number of p-values above `UNCHANGED_ABOVE`."""
    n_tested: np.ndarray
    """Number of p-values."""


def count_calls(result: MethodResult, thresholds: np.ndarray, cutoffs: np.ndarray, p_value: np.ndarray) -> CallCounts:
    """Count the calls of one permutation; ``cutoffs`` are p-values of `equal_cutoff`, ``p_value`` those of the data."""
    return CallCounts(
        calls=result.calls(thresholds),
        null_calls=count_up_to(result.p_value, cutoffs),
        up_to=count_up_to(result.p_value, p_value),
        n_above=np.asarray((result.p_value > UNCHANGED_ABOVE).sum()),
        n_tested=np.asarray((~np.isnan(result.p_value)).sum()),
    )


def stack(counted: Iterable[CallCounts]) -> CallCounts:
    """Combine the counts of all permutations, which become the first axis."""
    return CallCounts(*(np.stack(part) for part in zip(*counted, strict=True)))


def equal_cutoff(p_value: np.ndarray, n_calls: int) -> float:
    """The ``n_calls``-th smallest p-value; NaN for none."""
    given = p_value[~np.isnan(p_value)]
    return float(np.partition(given, n_calls - 1)[n_calls - 1]) if n_calls else np.nan


def count_up_to(p_value: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Number of p-values up to each cutoff; 0 where the cutoff is NaN."""
    ranked = np.sort(p_value[~np.isnan(p_value)])
    return np.where(np.isnan(cutoffs), 0, np.searchsorted(ranked, cutoffs, side="right"))


def null_share(p_value: np.ndarray, mean_null_above: float) -> float:
    """Share of genes without effect (Storey & Tibshirani 2003): p-values above 1/2 over their mean number in permutations."""
    return min(1.0, float((p_value > UNCHANGED_ABOVE).sum()) / mean_null_above) if mean_null_above > 0 else 1.0


def empirical_fdr(
    calls: np.ndarray,
    null_calls: np.ndarray,
    method_calls: np.ndarray,
    *,
    used: np.ndarray,
    null_share: np.ndarray | float,
    rng: np.random.Generator,
) -> EmpiricalFDR:
    r"""Estimate the false discovery rate of the calls at each threshold from permutations of the labels.

    .. math:: \widehat{\mathrm{FDR}} = \max(\pi_0 \overline{V}, \overline{W}) / R, \quad \text{at most } 1

    with R the calls on the data, :math:`\overline{V}` the mean number of permuted p-values that reach *the p-value of the
    last of these R calls*, :math:`\pi_0` the share of genes that could be false (Tusher, Tibshirani & Chu 2001; Storey &
    Tibshirani 2003), and :math:`\overline{W}` the mean number of calls of the whole method on permuted data. W alone is
    not enough: without real effects an adjustment calls almost nothing, even of invalid p-values. V alone is not enough
    either: when genes vary together, permuted data without effects sometimes have more than R calls.

    Where the method makes at least R calls in more than 5 % of the permutations, the rate is 1.

    Parameters
    ----------
    calls
        R, one per threshold.
    null_calls
        V, permutations x thresholds.
    method_calls
        W, permutations x thresholds.
    used
        Permutations in the means, boolean: those that have little in common with the data. The share with at least R calls is
        over all of them.
    null_share
        :math:`\pi_0`, one per threshold or for all: 1 for scores that assume that all genes could be false, as
        Benjamini-Hochberg; the estimated share for scores that estimate it, as s-values.
    rng
        Generator for resamples of the permutations. The upper end of the interval counts one permutation more, with one call
        more than the largest number: an event absent from 30 permutations may still have a probability of 1 in 10.

    Returns
    -------
    Named tuple of one value per threshold: ``fdr``, its interval ``low`` and ``high`` (95 %), and ``share_as_many``, the share
    of permutations with at least R calls. NaN where nothing is called.

    Examples
    --------
    >>> null_calls, method_calls, used = np.array([[4], [6]]), np.zeros((2, 1)), np.array([True, True])
    >>> rng = np.random.default_rng(0)
    >>> empirical_fdr(np.array([100]), null_calls, method_calls, used=used, null_share=1.0, rng=rng).fdr
    array([0.05])
    """
    called = calls > 0
    rate = 1 / np.where(called, calls, np.nan)
    at_cutoff, by_method = null_calls[used] * null_share, method_calls[used]
    false = np.where(at_cutoff.mean(0) >= by_method.mean(0), at_cutoff, by_method)
    more = np.vstack([false, false.max(0) + 1])
    mean = np.minimum(false.mean(0) * rate, 1.0)
    low = np.minimum(np.quantile(_resampled_means(false, rng), (1 - LEVEL) / 2, axis=0) * rate, mean)
    high = np.clip(np.quantile(_resampled_means(more, rng), (1 + LEVEL) / 2, axis=0) * rate, mean, 1.0)
    as_many = np.where(called, (method_calls >= calls).mean(0), np.nan)
    like_chance = as_many > EXCEPTIONAL
    return EmpiricalFDR(np.where(like_chance, 1.0, mean), low, np.where(like_chance, 1.0, high), as_many)


def _resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = values.shape[0]
    return rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES) @ values / n


def recalibrate(p_value: np.ndarray, n_up_to: np.ndarray, n_pooled: int) -> tuple[np.ndarray, np.ndarray]:
    """Recalibrate p-values to ``(n_up_to + 1) / (n_pooled + 1)``, and adjust them by Benjamini-Hochberg.

    ``n_up_to`` counts the permuted p-values, pooled over genes and permutations, up to each p-value; the data count as one
    permutation, so that none is 0 (Phipson & Smyth 2010).
    """
    recalibrated = np.where(np.isnan(p_value), np.nan, (n_up_to + 1) / (n_pooled + 1))
    return recalibrated, benjamini_hochberg(recalibrated)
