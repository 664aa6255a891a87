"""Scores of made-up predictive distributions, and which counts they were allowed to see."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
N_GENES = 31


@pytest.fixture(scope="module")
def scores() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_scores")


class Cheat:
    """Certain of every count that it is given, hopeless about all others."""

    def log_probability(self, given_genes=None):
        found = np.full((3, N_GENES), -7.0)
        found[:, slice(None) if given_genes is None else given_genes] = 0.0
        return found

    def transformed(self, rng):
        return rng.random((3, N_GENES))

    def expected_zeros(self):
        return 0.25


def test_a_completed_count_is_never_one_that_the_state_was_inferred_from(scores):
    found = scores.scores(Cheat(), np.ones((3, N_GENES)), 0)
    assert found["fit"] == 0
    assert found["completion"] == pytest.approx(-7)


def test_every_gene_is_completed_once(scores):
    class Numbered(Cheat):
        def log_probability(self, given_genes=None):
            return np.tile(np.arange(float(N_GENES)), (3, 1))

    assert scores.scores(Numbered(), np.ones((3, N_GENES)), 1)["completion"] == pytest.approx((N_GENES - 1) / 2)


def test_intervals_and_histogram_are_those_of_the_transform(scores):
    class Ends(Cheat):
        def transformed(self, rng):
            place = np.full((3, N_GENES), 0.5)
            place[:, 0], place[:, 1], place[:, 2] = 0.0, 1.0, 0.9
            return place

    found = scores.scores(Ends(), np.zeros((3, N_GENES)), 0)
    assert found["inside_95"] == pytest.approx(1 - 2 / N_GENES)
    assert found["inside_50"] == pytest.approx(1 - 3 / N_GENES)
    assert [found[f"pit_{k}"] for k in (0, 5, 9)] == pytest.approx([1 / N_GENES, 1 - 3 / N_GENES, 2 / N_GENES])
    assert sum(found[f"pit_{k}"] for k in range(10)) == pytest.approx(1)
    assert (found["zeros"], found["zeros_expected"]) == (1, 0.25)


def test_the_quick_score_is_the_fit(scores):
    assert scores.scores(Cheat(), np.ones((3, N_GENES)), 0, fit_alone=True) == {"fit": 0.0}
