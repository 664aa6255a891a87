"""Samples held out at random."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Positions of samples."""

    train: np.ndarray
    held_out: np.ndarray


def random_split(strata: np.ndarray, n_held_out: int, seed: int) -> Split:
    """Hold samples out at random such that every stratum keeps one in training."""
    rng = np.random.default_rng(seed)
    while True:
        held_out = np.sort(rng.choice(strata.size, n_held_out, replace=False))
        train = np.setdiff1d(np.arange(strata.size), held_out)
        if set(strata[train]) == set(strata):
            return Split(train, held_out)
