import numpy as np

from bulkvi.stats.rank import aliased_columns


def test_aliased_columns_name_what_they_follow_from(rng: np.random.Generator) -> None:
    free = rng.normal(size=(9, 3))
    matrix = np.column_stack([free[:, 0], free[:, 1], free[:, 0] - 2 * free[:, 1], free[:, 2], np.zeros(9)])
    assert aliased_columns(matrix) == {2: [0, 1], 4: []}


def test_units_of_a_column_do_not_matter(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(9, 4)) * np.array([1e-9, 1.0, 1e9, 1e3])
    assert aliased_columns(matrix) == {}


def test_number_of_kept_columns_is_the_rank(rng: np.random.Generator) -> None:
    for rank in range(1, 6):
        matrix = rng.normal(size=(20, rank)) @ rng.normal(size=(rank, 6))
        assert 6 - len(aliased_columns(matrix)) == min(rank, 6) == np.linalg.matrix_rank(matrix)
