import numpy as np
import pytest

from bulkvi.tl._comparison import rank_rank_overlap, total_least_squares_slope


def overlap_by_loop(first: np.ndarray, second: np.ndarray, share: float) -> float:
    """The definition, set by set; a set holds all genes tied with its last one."""
    parts = []
    for sign in (1, -1):
        for k in range(1, max(1, int(share * first.size)) + 1):
            chosen = []
            for scores in (sign * first, sign * second):
                ahead = np.array([(scores > score).sum() for score in scores])
                chosen.append(set(np.flatnonzero(ahead < k)))
            parts.append(len(chosen[0] & chosen[1]) / max(map(len, chosen)))
    return float(np.mean(parts))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_overlap_is_that_of_the_definition_with_and_without_ties(rng: np.random.Generator, share: float):
    for n_levels in (3, 1000):
        first = rng.integers(0, n_levels, 80) / 10
        second = first + rng.integers(0, 3, 80) / 10
        assert rank_rank_overlap(first, second, share=share) == pytest.approx(overlap_by_loop(first, second, share))


def test_overlap_knows_neither_the_order_of_genes_nor_the_scale_of_scores(rng: np.random.Generator):
    first, second = rng.normal(size=(2, 200)).round(1)
    second = (first + second).round(1)
    expected = rank_rank_overlap(first, second)
    order = rng.permutation(200)
    assert rank_rank_overlap(first[order], second[order]) == expected
    assert rank_rank_overlap(np.exp(first), second**3) == expected
    assert rank_rank_overlap(second, first) == expected
    assert rank_rank_overlap(-first, -second) == expected


def test_overlap_by_chance_is_half_the_share(rng: np.random.Generator):
    mean = np.mean([rank_rank_overlap(*rng.normal(size=(2, 2000)), share=0.2) for _ in range(50)])
    assert mean == pytest.approx(0.1, abs=0.01)


def test_infinite_scores_come_first(rng: np.random.Generator):
    first = np.r_[np.inf, rng.normal(size=50), -np.inf]
    assert rank_rank_overlap(first, first, share=0.02) == 1
    assert rank_rank_overlap(first, np.r_[first[-1], first[1:-1], first[0]], share=0.02) == 0


def test_overlap_of_no_genes_is_unknown():
    assert np.isnan(rank_rank_overlap(np.array([]), np.array([])))


@pytest.mark.parametrize(
    ("first", "second", "share", "message"),
    [
        (np.ones(3), np.ones(4), 0.1, r"shapes are \(3,\), \(4,\)"),
        (np.ones(3), np.array([1, np.nan, 2]), 0.1, "must not be NaN"),
        (np.ones(3), np.ones(3), 0.6, r"in \(0, 0.5\]; it is 0.6"),
        (np.ones(3), np.ones(3), 0.0, r"in \(0, 0.5\]; it is 0"),
    ],
)
def test_wrong_scores_are_named(first: np.ndarray, second: np.ndarray, share: float, message: str):
    with pytest.raises(ValueError, match=message):
        rank_rank_overlap(first, second, share=share)


def test_the_slope_is_the_first_principal_axis(rng: np.random.Generator):
    for scale in (0.3, 1.0, -2.0):
        x = rng.normal(size=300)
        y = scale * x + 0.5 * rng.normal(size=300) + 3
        values = np.stack([x, y])
        axis = np.linalg.eigh(np.cov(values))[1][:, -1]
        assert total_least_squares_slope(x, y) == pytest.approx(axis[1] / axis[0])
        assert total_least_squares_slope(y, x) == pytest.approx(axis[0] / axis[1])


def test_the_slope_of_points_on_a_line_is_the_lines():
    x = np.array([1.0, 2.0, 5.0])
    assert total_least_squares_slope(x, 0.25 * x - 7) == pytest.approx(0.25)


def test_the_slope_is_told_where_an_axis_is_the_line_and_unknown_where_none_is_better():
    square = np.array([-1.0, -1, 1, 1]), np.array([-1.0, 1, -1, 1])
    assert total_least_squares_slope(2 * square[0], square[1]) == 0
    assert total_least_squares_slope(square[0], 2 * square[1]) == np.inf
    assert np.isnan(total_least_squares_slope(*square))
    assert np.isnan(total_least_squares_slope(np.array([]), np.array([])))
