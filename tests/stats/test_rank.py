import numpy as np
import pytest

from bulkvi.stats.rank import aliased_columns, well_conditioned


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


@pytest.mark.parametrize("intercept", [True, False], ids=["intercept", "groups"])
def test_a_basis_explains_what_the_columns_do_whatever_their_offset(rng: np.random.Generator, intercept: bool) -> None:
    group = np.repeat([0.0, 1.0], 6)
    date = 20240131.0 + rng.integers(0, 90, 12)
    first = np.ones(12) if intercept else 1 - group
    values = rng.normal(size=12)
    residual = []
    for offset, unit in ((0.0, 1.0), (date.mean(), 1.0), (0.0, 1e6), (0.0, 1e-9)):
        basis = well_conditioned(np.column_stack([first, group, (date - offset) * unit])[None])[0]
        assert basis.shape == (12, 3)
        assert np.linalg.cond(basis) < 100
        residual.append(values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0])
    np.testing.assert_allclose(residual, np.tile(residual[1], (4, 1)), atol=1e-6)


def test_a_basis_has_no_more_columns_than_the_rank() -> None:
    group = np.repeat([0.0, 1.0], 3)
    assert well_conditioned(np.column_stack([np.ones(6), group, 1 - group, 7 * group])[None]).shape == (1, 6, 2)
