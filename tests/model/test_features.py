import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.model._features import intercept_of, with_latent_columns
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


def test_latent_columns_that_follow_from_the_design_are_refused(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    matrix = fit(cohort, max_steps=10).get_design_matrix()
    noise = np.random.default_rng(0).normal(size=(len(matrix), 1))
    joint = with_latent_columns(matrix, noise)
    assert joint["latent_0"].std(ddof=0) == pytest.approx(1)
    with pytest.raises(ValueError, match="latent_1.*follows from"):
        with_latent_columns(matrix, np.hstack([noise, matrix[["group[T.B]"]].to_numpy()]))
    with pytest.raises(ValueError, match="the same in every sample"):
        with_latent_columns(matrix, np.ones((len(matrix), 1)))
