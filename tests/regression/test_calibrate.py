from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import mannwhitneyu, norm

import bulkvi
from bulkvi.datasets import simulate
from bulkvi.regression.permutation import find_exchange
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.nb.regression import nb_regression
from bulkvi.study.groups import find_groups
from tests.cohorts import row_of, set_up, t_test


def trained(model: bulkvi.BulkVI) -> bulkvi.BulkVI:
    model.train(10, progress_bar=False)
    return model


def plug_in_wald(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Each gene's own most likely dispersion taken for the truth."""
    offset = np.log(median_of_ratios(counts).size_factors)
    features = np.column_stack([np.ones(group.size), group]).astype(float)
    ridge = effect_ridge(features)
    given: dict[str, Any] = {"offset": offset, "ridge": ridge}
    fit = fit_genes(counts.astype(float), features, **given)
    wald = nb_regression(counts.astype(float), features, dispersion=fit.gene_dispersion.clip(1e-8), **given)
    se = np.sqrt(np.asarray(wald.covariance)[1, 1])
    return 2 * norm.sf(np.abs(np.asarray(wald.coef)[1]) / se)


def test_the_data_are_answered_as_by_differential_expression(report) -> None:
    report, model, de = report
    genes = report.genes
    assert genes.index.equals(model.adata.var_names)
    for column in ("p_value", "adj_p_value", "s_value"):
        np.testing.assert_allclose(genes[column], de[column], atol=1e-12)
        assert report.contrast == de["contrast"].iloc[0]
    for row in report.fdr.itertuples():
        assert row.calls == (de[row.score] < row.threshold).sum()
        if row.score == "adj_p_value" and row.calls:
            assert row.cutoff == pytest.approx(de["p_value"][de["adj_p_value"] < row.threshold].max())
        assert (de["p_value"] <= row.cutoff).sum() == row.calls


def test_calls_stand_out_from_those_of_relabelled_samples(report) -> None:
    report = report[0]
    row = row_of(report)
    assert row["calls"] > 30
    assert 0 < row["empirical_fdr"] < 0.1
    assert row["empirical_fdr_low"] <= row["empirical_fdr"] <= row["empirical_fdr_high"]
    assert row["share_as_many"] == 0
    assert 0.6 < report.null_share <= 1
    assert (report.n_relabellings, report.n_distinct, report.within) == (16, 125, ())
    each = report.relabellings[
        report.relabellings["score"].eq("adj_p_value") & report.relabellings["threshold"].eq(0.05)
    ]
    assert len(each) == 16
    used = each["dissimilar"]
    assert (each["overlap"][used] < 0.25).all()
    assert row["empirical_fdr"] == pytest.approx(each["null_calls"][used].mean() / row["calls"])
    assert row["calls_relabelled"] == pytest.approx(each["calls"][used].mean())
    # recalibrated p-values keep the order and are those of the mean permutation
    genes = report.genes.sort_values("p_value")
    assert (np.diff(genes["perm_p_value"]) >= 0).all()
    last = genes[genes["adj_p_value"] < 0.05].iloc[-1]
    assert last["perm_p_value"] == pytest.approx(each["null_calls"][used].sum() / used.sum() / len(genes), abs=1e-3)


def test_threads_and_seed(report) -> None:
    report, model, _ = report
    again = model.calibrate("group", "B", "A", n_permutations=16, seed=3, n_jobs=2, progress_bar=False)
    pd.testing.assert_frame_equal(again.fdr, report.fdr)
    pd.testing.assert_frame_equal(again.genes, report.genes)
    given: dict[str, Any] = {"n_permutations": 16, "method": t_test, "progress_bar": False}
    overlaps = [model.calibrate("group", "B", "A", seed=s, **given).relabellings["overlap"].tolist() for s in (3, 4)]
    assert overlaps[0] == report.relabellings["overlap"].tolist()[::2]
    assert overlaps[0] != overlaps[1]


def test_swapping_the_groups_changes_nothing(report) -> None:
    report, model, _ = report
    turned = model.calibrate("group", "A", "B", n_permutations=200, progress_bar=False, method=t_test)
    straight = model.calibrate("group", "B", "A", n_permutations=200, progress_bar=False, method=t_test)
    assert turned.n_relabellings == 125
    pd.testing.assert_frame_equal(
        turned.fdr.filter(["calls", "null_calls"]), straight.fdr.filter(["calls", "null_calls"])
    )


def test_a_relabelled_fit_is_the_fit_of_relabelled_samples() -> None:
    adata = simulate(n_per_group=3, n_genes=200, de_share=0.3, seed=2)
    model = set_up(adata)
    report = model.calibrate("group", "B", "A", progress_bar=False)
    assert report.n_relabellings == 9
    assert report.relabellings["dissimilar"].all()
    null_calls = []
    groups = find_groups(adata.obs, "group", "B", "A")
    exchange = find_exchange(model.gene_fit().study, "group", groups, None)
    for in_first in exchange.draw(9, np.random.default_rng(0)):
        other = adata.copy()
        other.obs["group"] = pd.Categorical(np.where(in_first, "B", "A"))
        de = trained(set_up(other)).differential_expression("group", "B", "A")
        null_calls.append((de["p_value"] <= row_of(report, 0.2)["cutoff"]).sum())
    assert row_of(report, 0.2)["null_calls"] == pytest.approx(np.mean(null_calls))


def test_labels_move_within_the_cells_of_the_other_categories(cohort: AnnData) -> None:
    model = set_up(cohort, "~ group + site + age", batch_key="batch")
    groups = find_groups(cohort.obs, "group", "B", "A")
    exchange = find_exchange(model.gene_fit().study, "group", groups, None)
    assert exchange.within == ["site", "batch"]
    assert exchange.columns == ["group"]
    for in_first in exchange.draw(5, np.random.default_rng(0)):
        permuted = exchange.permute(in_first)
        kept = [name for name in cohort.obs.columns if name != "group"]
        pd.testing.assert_frame_equal(permuted[kept], cohort.obs[kept])
        for cell in (["site", "batch"], "site", "batch"):
            sizes = [
                obs.groupby(cell, observed=True)["group"].value_counts().sort_index() for obs in (permuted, cohort.obs)
            ]
            pd.testing.assert_series_equal(*sizes)
        assert permuted["group"].dtype == cohort.obs["group"].dtype
        assert (permuted["group"] != cohort.obs["group"]).any()
    assert find_exchange(model.gene_fit().study, "group", groups, "site").within == ["site"]
    assert find_exchange(model.gene_fit().study, "group", groups, []).within == []


def test_what_goes_with_the_group_goes_with_the_label_and_other_groups_stay() -> None:
    obs = pd.DataFrame(
        {"arm": list("aaabbbcc"), "dose": [1.0] * 3 + [2.0] * 3 + [5.0] * 2, "age": range(8)},
        index=[f"s{i}" for i in range(8)],
    )
    adata = simulate(n_per_group=4, n_genes=50)
    adata.obs = obs
    model = set_up(adata, "~ dose + age")
    groups = find_groups(obs, "arm", "a", "b")
    exchange = find_exchange(model.gene_fit().study, "arm", groups, None)
    assert exchange.columns == ["arm", "dose"]
    permuted = exchange.permute(np.array([1, 0, 1, 1, 0, 0], dtype=bool))
    assert permuted["arm"].tolist() == list("abaabbcc")
    assert permuted["dose"].tolist() == [1, 2, 1, 1, 2, 2, 5, 5]
    assert permuted["age"].tolist() == list(range(8))


def test_any_method_sees_raw_counts_and_every_relabelling(cohort: AnnData) -> None:
    model = set_up(cohort, "~ site + group")
    seen = []

    def watched(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
        seen.append(group)
        np.testing.assert_array_equal(counts, cohort.X)
        assert np.issubdtype(counts.dtype, np.integer)
        counts[:] = 0  # its own copy
        return np.linspace(0, 1, counts.shape[1])

    report = model.calibrate("group", "B", "A", n_permutations=8, method=watched, progress_bar=False)
    assert report.method == "watched"
    np.testing.assert_array_equal(seen[0], cohort.obs["group"] == "B")
    assert len({tuple(group) for group in seen}) == 9
    assert set(report.fdr["score"]) == {"adj_p_value"}
    assert "s_value" not in report.genes


@pytest.mark.parametrize(
    ("returned", "message"),
    [(np.zeros(3), r"shape \(3,\); it must return one p-value for each"), (None, "outside"), (1.5, "outside")],
)
def test_a_method_that_returns_no_p_values(cohort: AnnData, returned: object, message: str) -> None:
    model = set_up(cohort)
    value = (
        np.full(cohort.n_vars, -0.1 if returned is None else 1.5) if not isinstance(returned, np.ndarray) else returned
    )
    with pytest.raises(ValueError, match=message):
        model.calibrate("group", "B", "A", method=lambda counts, group: value, progress_bar=False)


@pytest.mark.slow
def test_null_data_have_no_calls_that_count() -> None:
    """A rate below 1 needs more calls than all but 2 of 40 permutations give, which null data rarely have."""
    below = 0
    for seed in range(20):
        model = set_up(simulate(n_per_group=5, n_genes=800, de_share=0, seed=seed))
        report = model.calibrate("group", "B", "A", n_permutations=40, seed=seed, progress_bar=False)
        below += row_of(report, 0.5)["empirical_fdr"] < 1
    assert below <= 5  # at most 3 in 41 each: 6 or more have a probability of 0.002


@pytest.mark.slow
def test_outliers_expose_a_plug_in_test_and_not_the_model() -> None:
    model = set_up(simulate(n_per_group=5, n_genes=3000, de_share=0.1, outlier_share=0.05, seed=5))
    given: dict[str, Any] = {"n_permutations": 40, "progress_bar": False}
    own = row_of(model.calibrate("group", "B", "A", **given))
    plug_in = row_of(model.calibrate("group", "B", "A", method=plug_in_wald, **given))
    assert plug_in["empirical_fdr_low"] > 0.1
    assert own["empirical_fdr"] < 0.08


@pytest.mark.slow
def test_a_rank_test_with_enough_samples_is_calibrated() -> None:
    model = set_up(simulate(n_per_group=12, n_genes=2000, de_share=0.1, seed=6))

    def wilcoxon(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
        rates = counts / counts.sum(1, keepdims=True)
        return mannwhitneyu(rates[group == 1], rates[group == 0]).pvalue

    row = row_of(model.calibrate("group", "B", "A", method=wilcoxon, progress_bar=False))
    assert row["calls"] > 50
    assert 0.02 < row["empirical_fdr"] < 0.08
