"""Samples of a future study: balanced, seeded, analysed like any other; and what cannot be planned."""

from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.regression.contrast import LatentColumns
from bulkvi.regression.simulate_study import analyse, plan_study, simulate_study
from tests.cohorts import make_cohort, make_lengths, set_up


class Given(TypedDict):
    latent_columns: LatentColumns
    depth: float


GIVEN = Given(latent_columns=0, depth=1.0)


@pytest.fixture(scope="module")
def cohort() -> bulkvi.BulkVI:
    adata = make_cohort()
    adata.obs["site"] = adata.obs["site"].astype("category")
    return set_up(adata, "~ group + site + age", batch_key="batch")


def test_covariates_are_balanced_between_the_groups(cohort: bulkvi.BulkVI):
    plan = plan_study(cohort.gene_fit(), "group", "B", "A", **GIVEN)
    obs = simulate_study(plan, (9, 9), 0).obs
    assert obs["group"].tolist() == ["B"] * 9 + ["A"] * 9
    for name in ("site", "age", "batch"):
        first, second = (obs.loc[obs["group"] == level, name].tolist() for level in "BA")
        assert first == second
        assert obs[name].dtype == cohort.adata.obs[name].dtype
    assert obs.index.is_unique


def test_columns_nested_in_the_group_go_along_with_it():
    adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=200)
    adata.obs["arm"] = np.where(adata.obs["group"] == "B", "dose", "none")
    model = set_up(adata, "~ arm")
    obs = simulate_study(plan_study(model.gene_fit(), "group", "B", "A", **GIVEN), (3, 2), 0).obs
    assert obs["arm"].tolist() == ["dose"] * 3 + ["none"] * 2


def test_a_seed_decides_the_study(cohort: bulkvi.BulkVI):
    plan = plan_study(cohort.gene_fit(), "group", "B", "A", **GIVEN)
    first, again, other = (simulate_study(plan, (3, 3), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.obs, again.obs)
    pd.testing.assert_frame_equal(first.var, again.var)
    assert (first.X != other.X).any()


def test_depth_multiplies_the_counts(cohort: bulkvi.BulkVI):
    fit = cohort.gene_fit()
    plain, deep = (
        simulate_study(plan_study(fit, "group", "B", "A", latent_columns=0, depth=depth), (8, 8), 1)
        for depth in (1.0, 3.0)
    )
    np.testing.assert_allclose(deep.obs["size_factor"], 3 * plain.obs["size_factor"])
    assert deep.X.sum() / plain.X.sum() == pytest.approx(3, rel=0.05)


def test_counts_of_the_future_have_the_size_of_those_of_the_pilot(cohort: bulkvi.BulkVI):
    future = simulate_study(plan_study(cohort.gene_fit(), "group", "B", "A", **GIVEN), (40, 40), 1)
    rate = (np.asarray(future.X) / future.obs["size_factor"].to_numpy()[:, None]).mean(0)
    pilot = cohort.adata
    known = (np.asarray(pilot.X) / pilot.obs["size_factor"].to_numpy()[:, None]).mean(0)
    assert np.median(np.abs(np.log2(rate[known > 5] / known[known > 5]))) < 0.4


def test_a_simulated_study_is_analysed_like_a_registered_one(cohort: bulkvi.BulkVI):
    plan = plan_study(cohort.gene_fit(), "group", "B", "A", **GIVEN)
    future = simulate_study(plan, (6, 6), 1)
    model = set_up(future, "~ group + site + age", batch_key="batch")
    model.train(5, progress_bar=False)
    # the study inherits whether its size factors assume that most genes do not change; given ones do not
    table = model.differential_expression("group", "B", "A", latent_columns=0, composition_shift=plan.subtract)
    np.testing.assert_allclose(analyse(plan, future).p_value, table["p_value"], rtol=1e-6)


def test_offsets_are_those_of_an_average_sample():
    adata = make_lengths()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group", offset_key="length")
    future = simulate_study(plan_study(bulkvi.BulkVI(adata).gene_fit(), "group", "B", "A", **GIVEN), (4, 4), 0)
    assert future.shape == (8, adata.n_vars)
    assert (future.X.sum(0) > 0).mean() > 0.9


def test_donors_are_not_simulated():
    adata = bulkvi.datasets.simulate(n_per_group=6, n_genes=200)
    adata.obs["donor"] = np.repeat([f"d{i}" for i in range(6)], 2)
    model = set_up(adata, donor_key="donor")
    with pytest.raises(ValueError, match="donor_key.*not simulated"):
        plan_study(model.gene_fit(), "group", "B", "A", **GIVEN)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        pytest.param(("tissue", "B", "A"), KeyError, "not a column", id="unknown column"),
        pytest.param(("group", "C", "A"), ValueError, "no sample has this level", id="unknown group"),
        pytest.param(("group", "A", "A"), ValueError, "both 'A'", id="one group"),
        pytest.param(("age", 1.0, 2.0), ValueError, "slope", id="a covariate"),
        pytest.param(("sex", "f", "m"), ValueError, "does not tell", id="not in the design"),
    ],
)
def test_what_cannot_be_planned(cohort: bulkvi.BulkVI, arguments: tuple[str, Any, Any], error: type, match: str):
    cohort.adata.obs["sex"] = ["f", "m"] * 12
    with pytest.raises(error, match=match):
        plan_study(cohort.gene_fit(), *arguments, **GIVEN)


def test_an_untrained_network_is_named_where_it_is_needed():
    adata = bulkvi.datasets.simulate(n_per_group=8, n_genes=400, n_hidden=1, hidden_share=0.8, hidden_sd=2.0)
    with pytest.raises(ValueError, match=r"train\(\).*latent_columns=0"):
        plan_study(set_up(adata).gene_fit(), "group", "B", "A", latent_columns="auto", depth=1.0)
