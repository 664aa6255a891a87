from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import bulkvi
from bulkvi.baselines import scvi
from bulkvi.baselines._scvi import seeded_everywhere

QUICK: dict[str, Any] = {"max_epochs": 10, "n_draws": 300, "accelerator": "cpu"}  # what holds from the first epoch on


@pytest.fixture(scope="module")
def plain(shared_cohort: AnnData) -> pd.DataFrame:
    return scvi(shared_cohort.copy(), "group", "b", "a", **QUICK)


@pytest.fixture(scope="module")
def trained_longer(shared_cohort: AnnData) -> tuple[AnnData, pd.DataFrame]:
    """The cohort after the comparison, and its table."""
    given = shared_cohort.copy()
    return given, scvi(given, "group", "b", "a", delta=0.5, **(QUICK | {"max_epochs": 200}))


def state() -> list:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return [kind, list(keys), *rest]


@pytest.mark.parametrize("gene_likelihood", ["nb", "zinb"])
def test_the_answer_depends_on_the_seed_and_not_on_the_callers_random_state(cohort: AnnData, gene_likelihood: Any):
    before = state()
    table = scvi(cohort, "group", "b", "a", gene_likelihood=gene_likelihood, **QUICK)
    assert state() == before
    np.random.rand(3)  # noqa: NPY002
    again = scvi(cohort, "group", "b", "a", gene_likelihood=gene_likelihood, **QUICK)
    pd.testing.assert_frame_equal(table, again)
    another = scvi(cohort, "group", "b", "a", gene_likelihood=gene_likelihood, seed=1, **QUICK)
    assert (table["log_fc"] != another["log_fc"]).any()
    assert table.attrs["method"] == f"scVI ({gene_likelihood})"


def test_the_sign_is_group1_over_group2_and_the_data_stay(cohort: AnnData, trained_longer: tuple):
    after, table = trained_longer
    changed = cohort.var["log_fc"] != 0
    assert np.corrcoef(table["log_fc"][changed], cohort.var["log_fc"][changed])[0, 1] > 0.8
    assert np.corrcoef(table["log_fc_decoded"], table["log_fc"])[0, 1] > 0.9
    pd.testing.assert_frame_equal(after.obs, cohort.obs)
    assert list(after.uns) == list(cohort.uns)
    np.testing.assert_array_equal(after.X, cohort.X)


def test_it_has_no_p_values_and_its_shares_of_pairs_fit_together(cohort: AnnData, trained_longer: tuple):
    _, table = trained_longer
    assert table[["p_value", "adj_p_value", "stat", "log_fc_mle"]].isna().all(axis=None)
    filled = ["base_mean", "log_fc", "log_fc_sd", "log_fc_low", "log_fc_high", "log_fc_decoded", "lfsr", "s_value"]
    assert np.isfinite(table[[*filled, "prob_effect"]]).all(axis=None)
    assert table["lfsr"].between(0, 0.5).all()
    assert table["prob_effect"].between(0, 1).all()
    assert (table["log_fc_low"] <= table["log_fc_high"]).all()
    # an interval of one sign holds 95 % of the pairs, so that at most 5 % have the other
    one_sign = (table["log_fc_low"] > 0) | (table["log_fc_high"] < 0)
    assert one_sign.any()
    assert (table["lfsr"][one_sign] <= 0.05).all()
    np.testing.assert_allclose(
        table["base_mean"],
        (cohort.X / (cohort.X.sum(1) / cohort.X.sum(1).mean())[:, None]).mean(0),
        rtol=1e-5,
    )


def test_delta_is_for_the_probability_of_an_effect_alone(cohort: AnnData):
    small, large = (scvi(cohort, "group", "b", "a", delta=delta, **QUICK) for delta in (0.0, 2.0))
    np.testing.assert_array_equal(small["prob_effect"], 1)
    assert (large["prob_effect"] <= small["prob_effect"]).all()
    assert (large["prob_effect"] < 0.5).any()
    np.testing.assert_array_equal(small["lfsr"], large["lfsr"])


def test_size_factors_and_batches_are_scvis_own(cohort: AnnData, plain: pd.DataFrame):
    with_factors = scvi(cohort, "group", "b", "a", size_factor_key="size_factor", **QUICK)
    for table in (with_factors, scvi(cohort, "group", "b", "a", batch_key="batch", **QUICK)):
        assert (table["log_fc"] != plain["log_fc"]).any()
        assert np.isfinite(table["log_fc"]).all()
        pd.testing.assert_index_equal(table.index, cohort.var_names)
    assert with_factors.attrs["method"] == "scVI (nb, size factors)"
    expected = (cohort.X / cohort.obs["size_factor"].to_numpy()[:, None]).mean(0)
    np.testing.assert_allclose(with_factors["base_mean"], expected, rtol=1e-5)


def test_compare_takes_it_as_effects_without_a_test(plain: pd.DataFrame):
    comparison = bulkvi.tl.compare(plain.assign(p_value=0.5, adj_p_value=0.5), plain, labels=("tested", "scVI"))
    assert comparison.classes[["class", "reason"]].to_numpy().tolist() == [["na_other", "not_tested"]]
    assert comparison.concordance["pearson"] == pytest.approx(1)
    assert np.isnan(comparison.concordance["rank_rank_overlap"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"groupby": "dose"}, KeyError, "groupby='dose' is not a column"),
        ({"group1": "c"}, ValueError, "no sample has this level"),
        ({"gene_likelihood": "normal"}, ValueError, "gene_likelihood must be 'nb' or 'zinb'"),
        ({"delta": -1}, ValueError, "delta is -1"),
        ({"n_draws": 0}, ValueError, "n_draws is 0; give 1 or more"),
        ({"max_epochs": 0}, ValueError, "max_epochs is 0"),
        ({"size_factor_key": "no"}, KeyError, "size_factor_key='no'"),
        ({"batch_key": "no"}, KeyError, "batch_key: 'no'"),
        ({"layer": "no"}, KeyError, "no layer 'no'"),
    ],
)
def test_wrong_questions_are_named(cohort: AnnData, arguments: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        scvi(cohort, **({"groupby": "group", "group1": "b", "group2": "a"} | arguments))


def draw() -> tuple[float, float]:
    return float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_the_same_seed_draws_the_same_and_another_something_else():
    drawn = []
    for seed in (1, 1, 2):
        with seeded_everywhere(seed):
            drawn.append(draw())
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[2][0]
    assert drawn[0][1] != drawn[2][1]


def test_the_callers_state_is_put_back_even_after_an_error():
    with seeded_everywhere(5):
        before = draw()
    with seeded_everywhere(5):
        with pytest.raises(KeyError), seeded_everywhere(1):
            draw()
            raise KeyError
        assert draw() == before
