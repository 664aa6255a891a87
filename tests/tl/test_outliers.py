"""Outliers of a cohort, as a user calls them."""

import numpy as np
import pytest

import bulkvi
from bulkvi.tl import outliers
from tests.cohorts import fit, make_cohort


@pytest.fixture(scope="module")
def trained() -> bulkvi.BulkVI:
    adata = make_cohort(n_per_group=5)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return fit(adata, max_steps=10)


def test_scores_have_the_names_of_the_cohort(trained: bulkvi.BulkVI):
    before = trained.adata.copy()
    scores = outliers(trained, progress_bar=False)
    assert scores.samples.equals(trained.adata.obs_names)
    assert scores.genes.equals(trained.adata.var_names)
    assert "other 9 samples" in scores.compared_with
    np.testing.assert_array_equal(scores.table("count"), np.asarray(before.X))
    np.testing.assert_array_equal(np.asarray(trained.adata.X), np.asarray(before.X))
    assert not scores.table("adj_p_value").isna().to_numpy().any()


def test_what_is_in_the_design_is_expected(trained: bulkvi.BulkVI):
    """Strong effects of the group are no outliers."""
    scores = outliers(trained, adjust="bh", progress_bar=False)
    strong = trained.adata.var["true_log_fc"].abs() > 1
    assert strong.sum() >= 10
    assert (scores.table("adj_p_value").loc[:, strong] < 0.05).to_numpy().mean() < 0.02


def test_wrong_arguments(trained: bulkvi.BulkVI):
    with pytest.raises(TypeError, match="trained BulkVI model; it is of type AnnData"):
        outliers(trained.adata)
    with pytest.raises(ValueError, match="adjust='none'"):
        outliers(trained, adjust="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not been trained"):
        outliers(bulkvi.BulkVI(trained.adata))


def test_too_few_samples():
    adata = make_cohort(n_per_group=2)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    with pytest.raises(ValueError, match="4 samples: at least 5"):
        outliers(fit(adata, max_steps=5), progress_bar=False)
