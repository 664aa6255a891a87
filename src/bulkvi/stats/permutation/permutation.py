"""Relabellings: the ways to exchange the labels of two groups of samples."""

from collections.abc import Iterator
from itertools import combinations, product
from math import comb, prod

import numpy as np

FEW = 1_000
LARGEST_OVERLAP = 0.25
FEWEST_DISSIMILAR = 5


def count_relabellings(in_first: np.ndarray, stratum: np.ndarray) -> int:
    """How many other ways are there to split the samples in two groups, each stratum keeping its numbers?

    Splits that only swap the names of the two groups are one split, because they give the same p-values.

    Parameters
    ----------
    in_first
        Whether a sample is in the first group, boolean, shape ``(n_samples,)``.
    stratum
        Stratum of each sample, within which labels may be exchanged.

    Returns
    -------
    Their number; 0 where every stratum has samples of one group only.

    Examples
    --------
    >>> count_relabellings(np.repeat([True, False], 5), np.zeros(10))
    125
    >>> count_relabellings(np.tile([True, False], 4), np.repeat([0, 1, 2, 3], 2))  # four pairs
    7
    """
    sizes = [(int(labels.size), int(labels.sum())) for labels in _labels_of_strata(in_first, stratum)]
    n_labellings = prod(comb(size, first) for size, first in sizes)
    return n_labellings // 2 - 1 if _has_mirror(in_first, stratum) else n_labellings - 1


def draw_relabellings(in_first: np.ndarray, stratum: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct relabellings, neither the given one nor one that only swaps the names of the groups.

    All of them if there are no more than ``n``; otherwise ``n`` without replacement, each as likely as any other.

    Parameters
    ----------
    in_first, stratum
        As in `count_relabellings`.
    n
        Most relabellings.
    rng
        Source of randomness.

    Returns
    -------
    Whether a sample is in the first group, boolean, relabellings x samples.

    Examples
    --------
    >>> draw_relabellings(np.array([True, False, True, False]), np.zeros(4), 10, np.random.default_rng(0)).astype(int)
    array([[1, 1, 0, 0],
           [1, 0, 0, 1]])
    """
    in_first = np.asarray(in_first, dtype=bool)
    n_distinct = count_relabellings(in_first, stratum)
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

    Parameters
    ----------
    in_first, stratum
        As in `count_relabellings`.
    relabelled
        Of `draw_relabellings`.

    Returns
    -------
    One value a relabelling, 0 to 1.

    Examples
    --------
    >>> one_swapped = np.array([[True] * 4 + [False] + [True] + [False] * 4])
    >>> overlap(np.repeat([True, False], 5), one_swapped, np.zeros(10))
    array([0.6])
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

    Parameters
    ----------
    overlaps
        Of `overlap`.

    Returns
    -------
    Boolean, one a relabelling.

    Examples
    --------
    >>> dissimilar(np.array([0, 0, 0.2, 0.2, 0.6, 0.2, 0.2]))
    array([ True,  True,  True,  True, False,  True,  True])
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
