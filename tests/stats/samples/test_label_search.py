import numpy as np
import pytest

from bulkvi.stats.samples import label_search
from bulkvi.stats.samples.label_search import _Assignment, _log_prior, search_labels
from bulkvi.stats.samples.leave_one_out import LabelFit


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


@pytest.mark.parametrize("n_per_label", [2, 8])
def test_the_prior_of_changes_is_spread_evenly_over_all_of_a_kind(n_per_label: int) -> None:
    """Three quarters of 0.6 (in larger cohorts 4.8 / n) to exchanges of two, a quarter to single changes."""
    labels = np.repeat([0, 1, 2], n_per_label)
    n, singles, exchanges = labels.size, [], []
    for i in range(n):
        for label in {0, 1, 2} - {int(labels[i])}:
            changed = labels.copy()
            changed[i] = label
            singles.append(_log_prior(labels, changed, 3))
        for j in range(i + 1, n):
            if labels[i] != labels[j]:
                changed = labels.copy()
                changed[[i, j]] = labels[[j, i]]
                exchanges.append(_log_prior(labels, changed, 3))
    changed_at_all = min(0.6, 4.8 / n)
    assert np.exp(singles).sum() == pytest.approx(0.25 * changed_at_all)
    assert np.exp(exchanges).sum() == pytest.approx(0.75 * changed_at_all)
    assert np.exp(_log_prior(labels, labels, 3)) == pytest.approx(0.92 - changed_at_all)
    two = labels.copy()
    two[[0, 1, -1, -2]] = labels[[-1, -2, 0, 1]]
    # two exchanges in either order, and the second one less probable
    expected = np.log(changed_at_all) + 2 * np.log(0.75 / len(exchanges)) + np.log(2) + np.log(0.8)
    assert _log_prior(labels, two, 3) == pytest.approx(expected)


def test_the_posterior_is_the_average_over_all_hypotheses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four samples, the given labels and one exchange: every term by its definition."""
    given, swapped = np.array([0, 0, 1, 1]), np.array([1, 0, 0, 1])
    right = np.log(np.array([[0.3, 0.7], [0.8, 0.2], [0.6, 0.4], [0.1, 0.9]]))
    wrong = np.log(np.array([[0.2, 0.8], [0.9, 0.1], [0.7, 0.3], [0.3, 0.7]]))
    tried = {
        (0,): _Assignment(given, LabelFit(right, right), 0.0),
        (1,): _Assignment(swapped, LabelFit(wrong, wrong), 1.5),
    }
    monkeypatch.setattr(label_search, "_try_assignments", lambda *arguments: tried)
    found = search_labels(np.zeros((4, 3)), rows_of(4), given)

    swap = np.exp(sum(wrong[i, swapped[i]] for i in range(4)))
    keep = swap / np.exp(1.5)
    # a share of the samples, uniform, has an unrecorded factor: B(1 + 2, 1 + 2) for two of four
    share = 2 * 2 / 120
    weight = np.array([0.32 * keep, 0.6 * 0.75 / 4 * swap, 0.02 * share * swap, 0.06 * (2 * 2) / 24])
    weight /= weight.sum()

    def posterior(log_posterior: np.ndarray, labels: np.ndarray) -> np.ndarray:
        joint = np.exp(log_posterior) * np.where(np.arange(2) == labels[:, None], 0.99, 0.01)
        return joint / joint.sum(1, keepdims=True)

    expected = weight[0] * posterior(right, given) + weight[1] * posterior(wrong, swapped)
    expected += weight[2] * np.where(np.arange(2) == given[:, None], 0.99, 0.01) + weight[3] / 2
    np.testing.assert_allclose(found.prob, expected, rtol=1e-10)
    assert found.prob_changed == pytest.approx(weight[1])
    assert found.prob_meaningless == pytest.approx(weight[3])
