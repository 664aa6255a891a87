import warnings

import numpy as np
import pytest
from scipy import sparse

from bulkvi.io._genes import TOTAL, find_genes, refuse_sum_of_samples

NONE = np.zeros(5)


@pytest.fixture
def counts(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 1000, size=(30, 5))


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("name", ["Total", "gene30"])
def test_a_row_that_is_the_sum_of_the_others_is_no_gene(name: str, kind, counts: np.ndarray):
    table = kind(np.vstack([counts[:7], counts.sum(0), counts[7:]]))
    names = [*(f"gene{k}" for k in range(7)), name, *(f"gene{k}" for k in range(7, 30))]
    with pytest.warns(UserWarning, match=rf"\['{name}'\]"):
        kept = find_genes(table, names, NONE, "c.csv")
    assert np.flatnonzero(~kept).tolist() == [7]


def test_a_row_that_is_not_the_sum_in_one_sample_is_a_gene(counts: np.ndarray):
    near = counts.sum(0) + [0, 0, 0, 1, -1]
    with warnings.catch_warnings(action="error"):
        assert find_genes(np.vstack([counts, near]), [f"gene{k}" for k in range(31)], NONE, "c.csv").all()


def test_reads_that_were_left_out_before_may_be_in_the_total(counts: np.ndarray):
    left_out = np.array([5, 4, 3, 2, 1])
    with pytest.warns(UserWarning, match="all"):
        kept = find_genes(
            np.vstack([counts, counts.sum(0) + left_out]), [*(f"gene{k}" for k in range(30)), "all"], left_out, "c"
        )
    assert kept.sum() == 30


def test_few_genes_are_not_taken_for_totals():
    with warnings.catch_warnings(action="error"):
        assert find_genes(np.array([[1, 2], [3, 4], [4, 6]]), ["a", "b", "c"], np.zeros(2), "c").all()


@pytest.mark.parametrize(
    ("name", "is_total"),
    [("TOTAL_READS", True), ("Library size", True), ("Summe", True), ("Grand Total", True), ("SUMO1", False)]
    + [("TOTAL1", False), ("Sumf1", False), ("TOT", False)],
)
def test_names_of_totals_are_whole_words(name: str, is_total: bool):
    assert (TOTAL.fullmatch(name) is not None) == is_total


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix])
def test_a_sample_that_is_the_sum_of_all_others_is_refused(kind, counts: np.ndarray):
    names = [f"s{k}" for k in range(6)]
    refuse_sum_of_samples(kind(counts), names[:5], "c.csv")
    with pytest.raises(ValueError, match="sample 's5' is the sum of all other samples"):
        refuse_sum_of_samples(kind(np.column_stack([counts, counts.sum(1)])), names, "c.csv")
