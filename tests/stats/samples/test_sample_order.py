import numpy as np

from bulkvi.stats.samples.sample_order import sample_order


def test_permuted_samples_come_out_in_the_same_order_whatever_the_order_of_genes(rng: np.random.Generator) -> None:
    counts = rng.poisson(50, (40, 30))
    ordered = counts[sample_order(counts)]
    samples, genes = rng.permutation(40), rng.permutation(30)
    moved = counts[samples][:, genes]
    np.testing.assert_array_equal(moved[sample_order(moved)], ordered[:, genes])


def test_samples_of_equal_totals_are_told_apart_by_their_rows_and_covariates() -> None:
    counts = np.array([[1, 2, 3], [3, 2, 1], [1, 2, 3], [2, 3, 1]])
    group = np.array([[0.0], [0.0], [1.0], [0.0]])
    both = np.hstack([counts, group])
    ordered = both[sample_order(counts, group)]
    for order in ([3, 1, 0, 2], [2, 0, 3, 1], [1, 3, 2, 0]):
        np.testing.assert_array_equal(both[order][sample_order(counts[order], group[order])], ordered)


def test_the_type_of_the_counts_does_not_matter(rng: np.random.Generator) -> None:
    counts = rng.poisson(50, (10, 5))
    np.testing.assert_array_equal(sample_order(counts.astype(np.float32)), sample_order(counts))
