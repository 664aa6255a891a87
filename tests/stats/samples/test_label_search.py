import numpy as np
import pytest

from bulkvi.stats.samples.label_search import search_labels


def rows_of(n: int) -> np.ndarray:
    return np.array([[[1.0, 0.0]] * n, [[1.0, 1.0]] * n])


def cohort(rng: np.random.Generator, truth: np.ndarray, strength: float = 1.0) -> np.ndarray:
    shared = np.outer(rng.normal(size=truth.size), rng.normal(size=300)) * 0.5
    return rng.normal(size=(truth.size, 300)) + shared + strength * np.outer(truth, rng.normal(size=300))


def test_right_labels_stay(rng: np.random.Generator) -> None:
    truth = np.repeat([0, 1], 5)
    found = search_labels(cohort(rng, truth), rows_of(10), truth)
    np.testing.assert_array_equal(found.labels, truth)
    assert found.prob[np.arange(10), truth].min() > 0.95


@pytest.mark.parametrize("wrong", [[2], [1, 8], [0, 3, 9], [0, 1, 10, 11]], ids=str)
def test_wrong_labels_are_found_together(rng: np.random.Generator, wrong: list[int]) -> None:
    truth = np.repeat([0, 1], 8)
    given = truth.copy()
    given[wrong] = 1 - given[wrong]
    found = search_labels(cohort(rng, truth), rows_of(16), given)
    assert np.flatnonzero(found.prob[np.arange(16), given] < 0.1).tolist() == wrong
    np.testing.assert_array_equal(found.labels, truth)


def test_two_swaps_that_cannot_be_told_apart_share_the_probability(rng: np.random.Generator) -> None:
    truth = np.repeat([0, 1, 2], 2)
    rows = np.stack([np.tile(row, (6, 1)) for row in np.eye(3)])
    values = rng.normal(size=(6, 300)) + np.eye(3)[truth] @ rng.normal(size=(3, 300)) * 2
    found = search_labels(values, rows, np.array([1, 0, 0, 1, 2, 2]))
    own = found.prob[np.arange(6), [1, 0, 0, 1, 2, 2]]
    np.testing.assert_allclose(own[:4], 0.5, atol=0.1)
    assert own[4:].min() > 0.9


@pytest.mark.slow
def test_labels_that_mean_nothing_raise_few_alarms(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], 5)
    own, meaningless = [], []
    for _ in range(30):
        found = search_labels(cohort(rng, labels, strength=0), rows_of(10), labels)
        own.append(found.prob[np.arange(10), labels])
        meaningless.append(found.prob_meaningless)
    assert (np.array(own) < 0.05).mean() <= 0.05
    assert np.median(meaningless) > 0.3


def test_labels_of_which_the_values_tell_nothing_keep_their_prior(rng: np.random.Generator) -> None:
    """A weak effect made one sample in three doubtful, since labels started from even odds."""
    labels = np.repeat([0, 1], 8)
    found = search_labels(cohort(rng, labels, strength=0.05), rows_of(16), labels)
    assert found.prob_changed < 0.5
    assert found.prob[np.arange(16), labels].min() > 0.5


def test_a_subtype_that_many_samples_have_is_no_swap(rng: np.random.Generator) -> None:
    """A third of one group looks like the other along the direction in which the groups differ: too many to be wrong labels."""
    labels = np.repeat([0, 1], 30)
    like = labels.copy()
    like[:10] = 1
    values = rng.normal(size=(60, 200)) + np.outer(like, rng.normal(size=200)) * 0.7
    own = search_labels(values, rows_of(60), labels).prob[np.arange(60), labels]
    assert (own[:10] > 0.05).all()
    few = np.repeat([0, 1], 30)
    few[[0, 59]] = [1, 0]
    swapped = rng.normal(size=(60, 200)) + np.outer(labels, rng.normal(size=200)) * 0.7
    assert np.flatnonzero(search_labels(swapped, rows_of(60), few).prob[np.arange(60), few] < 0.05).tolist() == [0, 59]
