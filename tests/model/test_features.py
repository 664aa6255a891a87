import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.model._features import intercept_of
from tests.model.cohorts import fit


@pytest.mark.parametrize(
    ("design", "columns"),
    [
        (None, ["Intercept"]),
        ("~ group", ["Intercept", "group[T.B]"]),
        ("~ 0 + group", ["group[A]", "group[B]"]),
        ("~ 0 + group:site", None),
        ("~ 0 + age", ["Intercept", "age"]),
    ],
)
def test_an_intercept_is_always_in_the_span(cohort: AnnData, design: str | None, columns: list[str] | None) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design=design)
    matrix = fit(cohort, max_steps=10).get_design_matrix()
    if columns is not None:
        assert list(matrix.columns) == columns
    np.testing.assert_allclose(matrix.to_numpy() @ intercept_of(matrix), 1)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
    assert matrix.index.equals(cohort.obs_names)


def test_batches_and_covariates_stand_beside_the_design_by_name(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(
        cohort,
        size_factor_key="size_factor",
        batch_key="batch",
        design="~ group",
        categorical_covariate_keys=["site"],
        continuous_covariate_keys=["age"],
    )
    matrix = fit(cohort, max_steps=10).get_design_matrix()
    names = ["group[T.B]", "batch[T.b2]", "site[T.site1]", "site[T.site2]", "age"]
    assert set(matrix.columns) == {"Intercept", *names}
    np.testing.assert_array_equal(matrix["batch[T.b2]"], (cohort.obs["batch"] == "b2").astype(float))
    np.testing.assert_array_equal(matrix["site[T.site2]"], (cohort.obs["site"] == "site2").astype(float))
    np.testing.assert_allclose(matrix["age"], cohort.obs["age"])
