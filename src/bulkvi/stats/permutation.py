"""Permutations of the labels of two groups, empirical false discovery rates and recalibrated p-values."""

from collections.abc import Iterable, Iterator
from itertools import combinations, product
from math import comb, prod
from typing import NamedTuple

import numpy as np

from bulkvi.stats.effects.effect import benjamini_hochberg

FEW = 1_000
LARGEST_OVERLAP = 0.25
FEWEST_DISSIMILAR = 5
UNCHANGED_ABOVE = 0.5
EXCEPTIONAL = 0.05
N_RESAMPLES = 2_000
LEVEL = 0.95


def count_permutations(in_first: np.ndarray, stratum: np.ndarray) -> int:
    """How many other ways are there to split the samples in two groups, each stratum keeping its numbers?

    Splits that only swap the names of the two groups are one split, because they give the same p-values.
    """
    sizes = [(int(labels.size), int(labels.sum())) for labels in _labels_of_strata(in_first, stratum)]
    n_labellings = prod(comb(size, first) for size, first in sizes)
    return n_labellings // 2 - 1 if _has_mirror(in_first, stratum) else n_labellings - 1


def draw_permutations(in_first: np.ndarray, stratum: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct relabellings, neither the given one nor one that only swaps the names of the groups.

    All of them if there are no more than ``n``; otherwise ``n`` without replacement, each as likely as any other.
    """
    in_first = np.asarray(in_first, dtype=bool)
    n_distinct = count_permutations(in_first, stratum)
    if n_distinct <= max(FEW, 4 * n):
        every = np.array(list(_every_relabelling(in_first, stratum)), dtype=bool).reshape(-1, in_first.size)
        return every if n >= n_distinct else every[np.sort(rng.choice(n_distinct, n, replace=False))]
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    mirrored = _has_mirror(in_first, stratum)
    drawn: dict[bytes, np.ndarray] = {in_first.tobytes(): in_first}
    while len(drawn) <= n:
        relabelled = in_first.copy()
        for samples in members:
            relabelled[samples] = rng.permutation(in_first[samples])
        if mirrored and relabelled[0] != in_first[0]:
            relabelled = ~relabelled
        drawn.setdefault(relabelled.tobytes(), relabelled)
    return np.array(list(drawn.values())[1:])


def overlap(in_first: np.ndarray, relabelled: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """How much of the real comparison is left in each relabelling: the absolute correlation of labels within strata.

    A relabelled comparison carries this share of every real effect; 0 for one that is balanced over the real groups.
    """
    own = np.asarray(in_first, dtype=float)
    _, code = np.unique(stratum, return_inverse=True)
    own = own - (np.bincount(code, own) / np.bincount(code))[code]
    return np.abs(relabelled @ own) / (own @ own)


def dissimilar(overlaps: np.ndarray) -> np.ndarray:
    """Which relabellings have little of the real comparison left, so that real effects do not pass for false calls.

    An overlap of at most `LARGEST_OVERLAP`, or if fewer than `FEWEST_DISSIMILAR` have that, as little as there is. Taken one by
    one, a relabelling of data without effects is like any other, so that leaving some out does no harm to a mean over genes.
    It would to a rank among relabellings (Southworth, Kim & Owen 2009, *Properties of balanced permutations*).
    """
    enough = min(FEWEST_DISSIMILAR, overlaps.size)
    return overlaps <= max(LARGEST_OVERLAP, np.partition(overlaps, enough - 1)[enough - 1]) + 1e-9


def _labels_of_strata(in_first: np.ndarray, stratum: np.ndarray) -> Iterator[np.ndarray]:
    for s in np.unique(stratum):
        yield np.asarray(in_first, dtype=bool)[stratum == s]


def _has_mirror(in_first: np.ndarray, stratum: np.ndarray) -> bool:
    return all(2 * labels.sum() == labels.size for labels in _labels_of_strata(in_first, stratum))


def _every_relabelling(in_first: np.ndarray, stratum: np.ndarray) -> Iterator[np.ndarray]:
    members = [np.flatnonzero(stratum == s) for s in np.unique(stratum)]
    mirrored = _has_mirror(in_first, stratum)
    choices = [combinations(samples, int(in_first[samples].sum())) for samples in members]
    for chosen in product(*choices):
        relabelled = np.zeros(in_first.size, dtype=bool)
        relabelled[[sample for samples in chosen for sample in samples]] = True
        if (relabelled == in_first).all() or (mirrored and relabelled[0] != in_first[0]):
            continue
        yield relabelled


class EmpiricalFDR(NamedTuple):
    """Share of false calls that relabelled data let expect, one value a threshold; NaN where nothing is called."""

    fdr: np.ndarray
    low: np.ndarray
    """Lower end of its Monte-Carlo interval (95 %)."""
    high: np.ndarray
    share_as_many: np.ndarray
    """Share of the relabellings in which the method, run anew, makes at least as many calls."""


class MethodResult(NamedTuple):
    """What a method says about every gene."""

    p_value: np.ndarray
    """NaN where a gene is not tested; shape ``(n_genes,)``."""
    scores: dict[str, np.ndarray]
    """What genes are called on when it is below a threshold, by name; NaN where there is none."""

    def calls(self, thresholds: np.ndarray) -> np.ndarray:
        """Number of genes called."""
        return np.concatenate([(score < thresholds[:, None]).sum(1) for score in self.scores.values()])


class CallCounts(NamedTuple):
    """What is kept of the answers to a relabelling; or, after `stack`, to all of them."""

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


def count_calls(answers: MethodResult, thresholds: np.ndarray, cutoffs: np.ndarray, p_value: np.ndarray) -> CallCounts:
    """Count the answers to one relabelling."""
    return CallCounts(
        calls=answers.calls(thresholds),
        null_calls=count_up_to(answers.p_value, cutoffs),
        up_to=count_up_to(answers.p_value, p_value),
        n_above=np.asarray((answers.p_value > UNCHANGED_ABOVE).sum()),
        n_tested=np.asarray((~np.isnan(answers.p_value)).sum()),
    )


def stack(counted: Iterable[CallCounts]) -> CallCounts:
    """Counts of all relabellings together."""
    return CallCounts(*(np.stack(part) for part in zip(*counted, strict=True)))


def equal_cutoff(p_value: np.ndarray, n_calls: int) -> float:
    """The p-value up to which so many genes lie."""
    given = p_value[~np.isnan(p_value)]
    return float(np.partition(given, n_calls - 1)[n_calls - 1]) if n_calls else np.nan


def count_up_to(p_value: np.ndarray, cutoffs: np.ndarray) -> np.ndarray:
    """Number of p-values up to each cutoff."""
    ranked = np.sort(p_value[~np.isnan(p_value)])
    return np.where(np.isnan(cutoffs), 0, np.searchsorted(ranked, cutoffs, side="right"))


def null_share(p_value: np.ndarray, mean_null_above: float) -> float:
    """Share of genes without effect (Storey & Tibshirani 2003), the null distribution that of relabelled data."""
    return min(1.0, float((p_value > UNCHANGED_ABOVE).sum()) / mean_null_above) if mean_null_above > 0 else 1.0


def empirical_fdr(
    calls: np.ndarray,
    null_calls: np.ndarray,
    own_calls: np.ndarray,
    *,
    used: np.ndarray,
    null_share: np.ndarray | float,
    rng: np.random.Generator,
) -> EmpiricalFDR:
    r"""False discovery rate of the calls at each threshold, as relabelled data have it.

    .. math:: \widehat{\mathrm{FDR}} = \max(\pi_0 \overline{V}, \overline{W}) / R, \quad \text{at most } 1

    with R the calls on the data, :math:`\overline{V}` the mean number of relabelled p-values that reach *the p-value of the
    last of these R calls*, :math:`\pi_0` the share of genes that could be false (Tusher, Tibshirani & Chu 2001; Storey &
    Tibshirani 2003), and :math:`\overline{W}` the mean number of calls of the whole method on relabelled data. W alone would
    not do: without real effects an adjustment done anew calls next to nothing, whatever the p-values are worth. But V alone
    overlooks that few calls may be fewer than nothing at all gives now and then, when genes vary together.

    Where the method, run anew, makes at least R calls in more than `EXCEPTIONAL` of the relabellings, the data are not told
    from relabelled data, and the rate is 1.

    Parameters
    ----------
    calls
        R, one a threshold.
    null_calls
        V, relabellings x thresholds.
    own_calls
        W, relabellings x thresholds.
    used
        Which relabellings enter the means, those that are `dissimilar`; the share with at least R calls is over all of them.
    null_share
        :math:`\pi_0`, one a threshold or for all. 1 for what assumes that all genes could be false, as Benjamini-Hochberg does;
        for what learns how many are, as s-values do, the share found by `null_share`.
    rng
        Draws resamples of the relabellings for the interval. Its upper end counts one relabelling more, with one call more
        than the most seen: what 30 relabellings did not show may still be there in one of 10.

    Returns
    -------
    One value a threshold.

    Examples
    --------
    >>> null_calls, own_calls, used = np.array([[4], [6]]), np.zeros((2, 1)), np.array([True, True])
    >>> rng = np.random.default_rng(0)
    >>> empirical_fdr(np.array([100]), null_calls, own_calls, used=used, null_share=1.0, rng=rng).fdr
    array([0.05])
    """
    called = calls > 0
    rate = 1 / np.where(called, calls, np.nan)
    at_cutoff, anew = null_calls[used] * null_share, own_calls[used]
    false = np.where(at_cutoff.mean(0) >= anew.mean(0), at_cutoff, anew)
    more = np.vstack([false, false.max(0) + 1])
    mean = np.minimum(false.mean(0) * rate, 1.0)
    low = np.minimum(np.quantile(_resampled_means(false, rng), (1 - LEVEL) / 2, axis=0) * rate, mean)
    high = np.clip(np.quantile(_resampled_means(more, rng), (1 + LEVEL) / 2, axis=0) * rate, mean, 1.0)
    as_many = np.where(called, (own_calls >= calls).mean(0), np.nan)
    like_chance = as_many > EXCEPTIONAL
    return EmpiricalFDR(np.where(like_chance, 1.0, mean), low, np.where(like_chance, 1.0, high), as_many)


def _resampled_means(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    n = values.shape[0]
    return rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES) @ values / n


def recalibrate(p_value: np.ndarray, n_up_to: np.ndarray, n_pooled: int) -> tuple[np.ndarray, np.ndarray]:
    """p-values by rank among the relabelled p-values of all genes, and those adjusted by Benjamini-Hochberg."""
    recalibrated = np.where(np.isnan(p_value), np.nan, (n_up_to + 1) / (n_pooled + 1))
    return recalibrated, benjamini_hochberg(recalibrated)
