import numpy as np

from bulkvi.stats.outliers.outliers import find_outliers
from bulkvi.stats.outliers.suspected import join_suspected, suspected_sets


def test_each_set_that_either_search_suspects_is_weighed_once():
    better = np.array([[0.9, 0.0, 0.95], [0.2, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.0, 0.0]])
    other = np.array([[0.9, 0.0, 0.0], [0.9, 0.3, 0.0], [0.0, 0.05, 0.95], [0.0, 0.0, 0.0]])
    sets = suspected_sets(np.array([4, 5, 6]), np.ones((4, 3)), better, other, 0.8)
    found = sorted((int(g), tuple(np.flatnonzero(d).tolist())) for g, d in zip(sets.gene, sets.dropped.T, strict=True))
    assert found == [(4, (0,)), (4, (0, 1)), (5, (1,)), (6, (0,)), (6, (2,))]


def test_at_most_half_of_the_counts_are_suspected():
    probability = np.array([[0.9, 0.9], [0.9, 0.9], [0.0, 0.5], [0.0, 0.0]])
    sets = suspected_sets(np.array([0, 1]), np.ones((4, 2)), probability, np.ones((4, 2)), 0.8)
    found = [(int(g), int(d.sum())) for g, d in zip(sets.gene, sets.dropped.T, strict=True)]
    assert sorted(found) == [(0, 2), (1, 2)]


def test_a_gene_is_not_silenced():
    counts = np.array([[90, 90], [0, 3], [0, 0], [0, 0]])
    probability = np.array([[0.9, 0.9], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert suspected_sets(np.array([0, 1]), counts, probability, probability, 0.8).gene.tolist() == [1]


def test_sets_of_blocks_are_joined_by_gene():
    parts = [
        suspected_sets(np.array([gene]), np.ones((2, 1)), np.array([[0.9], [0.0]]), np.zeros((2, 1)), 0.8)
        for gene in (7, 3)
    ]
    joined = join_suspected(parts, 2)
    assert joined.gene.tolist() == [3, 7]
    assert joined.dropped.tolist() == [[True, True], [False, False]]
    assert join_suspected([], 2).dropped.shape == (2, 0)


def test_the_search_drops_no_more_than_may_be_outlying(rng):
    counts = rng.negative_binomial(20, 0.2, size=(10, 300)).astype(float)
    counts[:, 0] = 0
    counts[3, 0] = 400
    counts[:, 1] = [80, 80, 80, 80, 4000, 80, 80, 80, 80, 80]
    features = np.column_stack([np.ones(10), np.repeat([0.0, 1.0], 5)])
    found = find_outliers(counts, features, offset=np.zeros(10), ridge=np.array([1e-6, 1e-2]))
    assert np.argwhere(found.called[:, :2]).tolist() == [[4, 1]]
    assert (found.weight[:, 0] == 1).all()
    assert 0 not in found.suspected.gene
