"""Sets of counts that the search for outlying counts suspects."""

from typing import NamedTuple

import numpy as np

SUSPECT = 0.1
"""Probability in the search above which a count is weighed against its gene's others and the effects of all genes."""


class Suspected(NamedTuple):
    """Sets of counts of a gene that may be outlying together."""

    gene: np.ndarray
    """Gene of each set, ascending."""
    dropped: np.ndarray
    """Counts in the set, samples x sets."""


def may_be_outlying(dropped: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether these counts of a gene may be outlying together, genes: at most half of them, and not all above zero.

    Of more than half the others would be the outlying ones, and nothing would be known of the rate of a silent gene.
    """
    return (2 * dropped.sum(0) <= len(dropped)) & (~dropped & (counts > 0)).any(0)


def suspected_sets(
    genes: np.ndarray, counts: np.ndarray, probability: np.ndarray, other: np.ndarray, call: float
) -> Suspected:
    """Sets of counts to weigh against keeping all, each once.

    Those whose probability is above `SUSPECT` or ``call``, by the better or the worse start of the search, and the most
    probable count alone: two counts that the search drops together may be one outlying count and a good one.
    """
    found: list[np.ndarray] = []
    which: list[np.ndarray] = []
    alone = (probability == probability.max(0)) & (probability > SUSPECT)
    for dropped in (probability > call, probability > SUSPECT, other > call, other > SUSPECT, alone):
        new = dropped.any(0) & may_be_outlying(dropped, counts)
        for before in found:
            new &= (before != dropped).any(0)
        found.append(dropped & new)
        which.append(np.flatnonzero(new))
    return Suspected(
        np.concatenate([genes[new] for new in which]),
        np.concatenate([dropped[:, new] for dropped, new in zip(found, which, strict=True)], 1),
    )


def join_suspected(parts: list[Suspected], n_samples: int) -> Suspected:
    """Concatenate the sets of blocks of genes, genes ascending."""
    gene = np.concatenate([np.zeros(0, dtype=int), *(part.gene for part in parts)])
    dropped = np.concatenate([np.zeros((n_samples, 0), dtype=bool), *(part.dropped for part in parts)], 1)
    up = np.argsort(gene, kind="stable")
    return Suspected(gene[up], dropped[:, up])
