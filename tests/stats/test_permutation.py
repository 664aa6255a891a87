import math

import numpy as np
import pytest
from numpy.random import Generator

from bulkvi.stats.permutation import (
    MethodResult,
    count_calls,
    count_permutations,
    count_up_to,
    dissimilar,
    draw_permutations,
    empirical_fdr,
    equal_cutoff,
    null_share,
    overlap,
    recalibrate,
    stack,
)

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
    # an effect in every pair, pairs of different level: the paired difference by permuted labels
    y = 3.0 * in_first + stratum * 10.0
    left = [abs(y[row].mean() - y[~row].mean()) / 3.0 for row in drawn]
    np.testing.assert_allclose(overlap(in_first, drawn, stratum), left)
    assert sorted(np.round(left, 6)) == [0, 0, 0, 0.5, 0.5, 0.5, 0.5]


def test_those_that_resemble_the_data_count_only_in_need() -> None:
    assert dissimilar(np.array([0.0, 0.2, 0.25, 0.6, 0.1, 0.0])).tolist() == [True, True, True, False, True, True]
    assert dissimilar(np.array([0.0, 0.5, 0.5, 0.5, 0.5, 0.9])).tolist() == [True] * 5 + [False]
    assert dissimilar(np.array([0.7, 0.7])).tolist() == [True, True]


def test_counting_skips_genes_without_a_p_value() -> None:
    p_value = np.array([0.3, np.nan, 0.01, 0.7, 0.02])
    assert [equal_cutoff(p_value, n) for n in (1, 3)] == [0.01, 0.3]
    assert np.isnan(equal_cutoff(p_value, 0))
    assert count_up_to(p_value, np.array([0.02, np.nan, 1.0])).tolist() == [2, 0, 4]
    answers = MethodResult(p_value, {"a": p_value, "b": 10 * p_value})
    counted = count_calls(answers, np.array([0.05, 0.5]), np.array([0.02]), p_value)
    assert counted.calls.tolist() == [2, 3, 0, 2]
    assert (int(counted.n_above), int(counted.n_tested)) == (1, 4)
    both = stack([counted, counted])
    assert (both.calls.shape, both.n_tested.tolist()) == ((2, 4), [4, 4])


EVERY = np.ones(100, dtype=bool)


def test_the_empirical_rate_is_the_share_of_calls_that_relabelled_data_give(rng: Generator) -> None:
    null_calls = np.vstack([rng.poisson(5, size=(100, 1)), np.full((20, 1), 90)])
    used = np.arange(120) < 100
    own = np.zeros((120, 1))
    fdr = empirical_fdr(np.array([100]), null_calls, own, used=used, null_share=0.8, rng=rng)
    assert fdr.fdr[0] == pytest.approx(0.8 * null_calls[used].mean() / 100)
    error = 0.8 * null_calls[used].std() / 10 / 100
    assert fdr.low[0] == pytest.approx(fdr.fdr[0] - 1.96 * error, rel=0.03)
    assert fdr.high[0] == pytest.approx(fdr.fdr[0] + 1.96 * error, rel=0.05)
    assert fdr.share_as_many[0] == 0


def test_no_relabelling_with_a_call_does_not_prove_that_there_is_none(rng: Generator) -> None:
    none = np.zeros((100, 1))
    fdr = empirical_fdr(np.array([1]), none, none, used=EVERY, null_share=1.0, rng=rng)
    assert (fdr.fdr[0], fdr.low[0]) == (0, 0)
    assert fdr.high[0] == pytest.approx(3 / 100, abs=0.011)  # the rule of three


def test_the_rate_is_one_where_relabelled_data_give_as_many_calls(rng: Generator) -> None:
    own = np.array([[3, 0]] * 6 + [[0, 0]] * 94)
    # what counts is all permutations, also those that are too much like the data for a mean
    used = own[:, 0] == 0
    fdr = empirical_fdr(np.array([3, 3]), np.full((100, 2), 0.1), own, used=used, null_share=1.0, rng=rng)
    assert fdr.share_as_many.tolist() == [0.06, 0]
    assert (fdr.fdr[0], fdr.high[0]) == (1, 1)
    assert fdr.fdr[1] == pytest.approx(0.1 / 3)


def test_a_rare_relabelling_with_many_calls_outweighs_few_calls(rng: Generator) -> None:
    """Four calls on null yeast had a rate of 0.08 by their p-values, where permuted data gave 11 calls on average."""
    own = np.zeros((100, 2))
    own[:3] = 400
    fdr = empirical_fdr(np.array([4, 1000]), np.full((100, 2), 0.4), own, used=EVERY, null_share=1.0, rng=rng)
    assert fdr.fdr.tolist() == [1, pytest.approx(12 / 1000)]


def test_nothing_called_has_no_rate(rng: Generator) -> None:
    none = np.zeros((100, 1))
    fdr = empirical_fdr(np.array([0]), none, none, used=EVERY, null_share=1.0, rng=rng)
    assert all(np.isnan(part[0]) for part in fdr)


def test_share_without_effect(rng: Generator) -> None:
    null = rng.random(20_000)
    assert null_share(np.concatenate([null[:14_000], np.zeros(6_000)]), (null > 0.5).sum()) == pytest.approx(
        0.7, abs=0.02
    )
    assert null_share(np.ones(10), 3.0) == 1
    assert null_share(np.zeros(10), 0.0) == 1


def test_recalibrated_p_values_are_uniform_whatever_the_method_does(rng: Generator) -> None:
    """A method that reports the third power of its p-values calls far too much; their rank among its own null does not."""
    p_value, null = rng.random(2_000) ** 3, rng.random(200_000) ** 3
    p_value[0] = np.nan
    up_to = count_up_to(null, p_value)
    recalibrated, adjusted = recalibrate(p_value, up_to, null.size)
    assert np.isnan(recalibrated[0])
    assert np.isnan(adjusted[0])
    assert (p_value[1:] < 0.05).mean() > 0.3
    assert (recalibrated[1:] < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert np.nanmin(recalibrated) > 0
    order = np.argsort(p_value[1:])
    assert (np.diff(recalibrated[1:][order]) >= 0).all()
    assert (adjusted[1:] >= recalibrated[1:]).all()
