import math

import numpy as np
import pytest
from numpy.random import Generator

from bulkvi.stats.permutation import count_permutations, dissimilar, draw_permutations, overlap

PAIRS = np.tile([True, False], 4), np.repeat(np.arange(4), 2)
DESIGNS = {
    "3 against 3": (np.repeat([True, False], 3), np.zeros(6), math.comb(6, 3) // 2 - 1),
    "2 against 4": (np.repeat([True, False], [2, 4]), np.zeros(6), math.comb(6, 2) - 1),
    "four pairs": (*PAIRS, 2**4 // 2 - 1),
    "batches of which one is uneven": (
        np.array([1, 0, 1, 1, 0], dtype=bool),
        np.array([0, 0, 1, 1, 1]),
        2 * 3 - 1,
    ),
    "donors nested in groups": (np.repeat([True, False], 3), np.arange(6), 0),
}


@pytest.mark.parametrize(("in_first", "stratum", "expected"), DESIGNS.values(), ids=DESIGNS)
def test_all_relabellings_are_counted_and_drawn_once(
    in_first: np.ndarray, stratum: np.ndarray, expected: int, rng: Generator
) -> None:
    assert count_permutations(in_first, stratum) == expected
    drawn = draw_permutations(in_first, stratum, 1_000, rng)
    assert drawn.shape == (expected, in_first.size)
    # a split is the same whichever of its sides is called first
    splits = {frozenset([tuple(row), tuple(~row)]) if in_first.mean() == 0.5 else tuple(row) for row in drawn}
    assert len(splits) == expected
    for row in drawn:
        assert not (row == in_first).all()
        for level in np.unique(stratum):
            assert row[stratum == level].sum() == in_first[stratum == level].sum()


@pytest.mark.parametrize("n_per_group", [5, 20])
def test_a_sample_of_the_relabellings_is_distinct_and_even(n_per_group: int, rng: Generator) -> None:
    in_first, stratum = np.repeat([True, False], n_per_group), np.zeros(2 * n_per_group)
    drawn = draw_permutations(in_first, stratum, 100, rng)
    assert len({frozenset([tuple(row), tuple(~row)]) for row in drawn}) == 100
    assert frozenset([tuple(in_first), tuple(~in_first)]) not in {frozenset([tuple(r), tuple(~r)]) for r in drawn}
    assert drawn[:, 0].all()  # one of the two ways to name the sides of a split
    # which side holds the first sample is arbitrary: of the others, each stands with it nearly half of the time
    with_first = (drawn[:, 1:] == drawn[:, :1]).mean(0)
    expected = (n_per_group - 1) / (2 * n_per_group - 1)
    assert np.abs(with_first - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 100)


def test_draws_follow_the_generator() -> None:
    in_first, stratum = np.repeat([True, False], 8), np.zeros(16)
    draws = [draw_permutations(in_first, stratum, 20, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_overlap_is_the_share_of_an_effect_that_is_left(rng: Generator) -> None:
    in_first, stratum = PAIRS
    drawn = draw_permutations(in_first, stratum, 100, rng)
    # an effect in every pair, pairs of different level: the paired difference by relabelled labels
    y = 3.0 * in_first + stratum * 10.0
    left = [abs(y[row].mean() - y[~row].mean()) / 3.0 for row in drawn]
    np.testing.assert_allclose(overlap(in_first, drawn, stratum), left)
    assert sorted(np.round(left, 6)) == [0, 0, 0, 0.5, 0.5, 0.5, 0.5]


def test_those_that_resemble_the_data_count_only_in_need() -> None:
    assert dissimilar(np.array([0.0, 0.2, 0.25, 0.6, 0.1, 0.0])).tolist() == [True, True, True, False, True, True]
    assert dissimilar(np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.9])).tolist() == [True] * 5 + [False]
    assert dissimilar(np.array([0.7, 0.7])).tolist() == [True, True]
