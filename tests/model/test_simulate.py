"""The method of the model: its arguments, its result, and that it changes nothing."""

from typing import Any

import numpy as np
import pytest

import bulkvi
from tests.cohorts import set_up


@pytest.fixture(scope="module")
def pilot() -> bulkvi.BulkVI:
    return set_up(bulkvi.datasets.simulate(n_per_group=3, n_genes=300, seed=1))


def test_a_future_study_is_a_data_set_to_start_an_analysis_with(pilot: bulkvi.BulkVI):
    future = pilot.simulate((4, 6), "group", "B", "A", seed=5)
    assert future.shape == (10, pilot.adata.n_vars)
    assert future.var_names.equals(pilot.adata.var_names)
    assert future.obs["group"].value_counts().to_dict() == {"A": 6, "B": 4}
    assert future.X.dtype == np.int32
    assert (future.X >= 0).all()
    assert {"true_log_fc", "true_base_mean", "true_dispersion"} <= set(future.var)
    assert future.varm["true_hidden_loading"].shape == (future.n_vars, future.obsm["true_hidden"].shape[1])
    bulkvi.BulkVI.setup_anndata(future, size_factor_key="size_factor", design="~ group")


def test_the_sign_is_that_of_group1_over_group2(pilot: bulkvi.BulkVI):
    forth, back = (pilot.simulate(60, "group", *groups).var["true_log_fc"] for groups in (("B", "A"), ("A", "B")))
    known = pilot.adata.var["true_log_fc"]
    assert np.corrcoef(forth, known)[0, 1] > 0.5
    assert np.corrcoef(back, known)[0, 1] < -0.5


def test_neither_the_samples_nor_the_random_state_change(pilot: bulkvi.BulkVI):
    before, state = pilot.adata.copy(), np.random.get_state(legacy=False)  # noqa: NPY002
    pilot.simulate(3, "group", "B", "A")
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002
    np.testing.assert_array_equal(pilot.adata.X, before.X)
    assert pilot.adata.obs.equals(before.obs)


@pytest.mark.parametrize(
    ("n", "more", "error", "match"),
    [
        pytest.param(1, {}, ValueError, "n_per_group is 1.*at least 2", id="one sample"),
        pytest.param(3.5, {}, TypeError, "n_per_group is 3.5", id="not whole"),
        pytest.param((3, 4, 5), {}, ValueError, "two groups", id="three sizes"),
        pytest.param(3, {"depth": 0}, ValueError, "depth is 0", id="no depth"),
        pytest.param(3, {"seed": -1}, ValueError, "seed is -1", id="negative seed"),
        pytest.param(3, {"latent_columns": 9}, ValueError, "latent_columns", id="too many latent columns"),
    ],
)
def test_wrong_arguments(pilot: bulkvi.BulkVI, n: Any, more: dict, error: type, match: str):
    with pytest.raises(error, match=match):
        pilot.simulate(n, "group", "B", "A", **more)


def test_a_pilot_without_replicates_has_no_future():
    adata = bulkvi.datasets.simulate(n_per_group=2, n_genes=200)
    adata.obs["each"] = ["a", "b", "c", "d"]
    bulkvi.pp.size_factors(adata)
    with pytest.warns(UserWarning, match="levels with one sample"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ each")
    with pytest.raises(ValueError, match="no residual degrees of freedom"):
        bulkvi.BulkVI(adata, n_latent=2).simulate(3, "each", "b", "a")
