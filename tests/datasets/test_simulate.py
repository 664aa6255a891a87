from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from bulkvi.datasets import simulate

EVERYTHING: dict[str, Any] = {
    "n_batches": 3,
    "batch_correlation": 0.3,
    "n_hidden": 2,
    "hidden_correlation": 0.3,
    "depth_spread": 4.0,
    "depth_factor": 0.5,
}


def expected_counts(adata):
    """Mean count of each entry, from the truth stored and the formula of the docstring."""
    group = (adata.obs["group"] == "B").to_numpy(dtype=float)
    log2 = np.log2(adata.var["true_base_mean"].to_numpy()) + np.outer(group, adata.var["true_log_fc"])
    log2 = log2 + adata.varm["true_batch_effect"].T[adata.obs["batch"].cat.codes]
    hidden = adata.obs[["true_hidden_0", "true_hidden_1"]].to_numpy()
    log2 = log2 + hidden @ adata.varm["true_hidden_loading"].T
    return adata.obs["true_depth"].to_numpy()[:, None] * 2**log2


@pytest.mark.parametrize("hidden_kind", ["binary", "continuous"])
def test_counts_have_the_mean_and_variance_of_the_truth_stored(hidden_kind):
    adata = simulate(n_per_group=1500, n_genes=400, hidden_kind=hidden_kind, seed=4, **EVERYTHING)
    mean = expected_counts(adata)
    residual = (adata.X - mean) / np.sqrt(mean + adata.var["true_dispersion"].to_numpy() * mean**2)
    n = adata.n_obs
    assert abs(residual.mean(0)).max() < 4.5 / np.sqrt(n)
    assert residual.mean() == pytest.approx(0, abs=4 / np.sqrt(residual.size))
    # The fourth moment of a negative binomial sets the noise of the variance; 6 alpha + 1 / m above a normal's.
    assert np.mean(residual**2) == pytest.approx(1, abs=0.01)
    per_gene = np.mean(residual**2, axis=0)
    kurtosis = 2 + 6 * adata.var["true_dispersion"].to_numpy() + np.mean(1 / mean, axis=0)
    z = (per_gene - 1) / np.sqrt(kurtosis / n)
    assert np.std(z) == pytest.approx(1, abs=0.25)


def test_the_same_seed_gives_the_same_data_and_another_seed_gives_other_data():
    first, again, other = (simulate(n_genes=300, seed=s, outlier_share=0.01, **EVERYTHING) for s in (7, 7, 8))
    np.testing.assert_array_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.obs, again.obs)
    pd.testing.assert_frame_equal(first.var, again.var)
    np.testing.assert_array_equal(first.layers["true_outlier"], again.layers["true_outlier"])
    assert np.mean(first.X == other.X) < 0.1
    assert not np.allclose(first.var["true_base_mean"], other.var["true_base_mean"])


@pytest.mark.parametrize(
    "option",
    [{"n_hidden": 2}, {"n_batches": 2}, {"effect_distribution": "t3"}, {"depth_spread": 9.0}, {"n_per_group": 9}],
    ids=lambda o: next(iter(o)),
)
def test_changing_one_option_leaves_the_truth_of_the_others(option):
    plain, changed = simulate(n_genes=300, n_hidden=1), simulate(**({"n_genes": 300, "n_hidden": 1} | option))
    np.testing.assert_array_equal(plain.var["true_base_mean"], changed.var["true_base_mean"])
    np.testing.assert_array_equal(plain.var["true_dispersion"], changed.var["true_dispersion"])
    np.testing.assert_array_equal(plain.varm["true_hidden_loading"][:, 0], changed.varm["true_hidden_loading"][:, 0])
    if "effect_distribution" not in option:
        np.testing.assert_array_equal(plain.var["true_log_fc"], changed.var["true_log_fc"])
    if option.keys() & {"n_hidden", "n_batches"}:
        # Genes untouched by the new option even keep most of their counts: the gamma noise is the same.
        assert np.corrcoef(np.log1p(plain.X).ravel(), np.log1p(changed.X).ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("de_share", "up_share", "changed", "up"), [(0.1, 0.5, 100, 50), (0.6, 1, 600, 600), (0, 0.5, 0, 0)]
)
def test_the_numbers_of_changed_and_rising_genes_are_exact(de_share, up_share, changed, up):
    log_fc = simulate(n_genes=1000, de_share=de_share, up_share=up_share).var["true_log_fc"]
    assert ((log_fc != 0).sum(), (log_fc > 0).sum()) == (changed, up)


def test_effects_are_those_of_b_over_a():
    adata = simulate(n_per_group=30, n_genes=500, de_share=1, effect_sd=2, depth_spread=1)
    strong = adata.var["true_base_mean"] > 100
    in_b = (adata.obs["group"] == "B").to_numpy()
    seen = np.log2(adata.X[in_b].mean(0) + 0.1) - np.log2(adata.X[~in_b].mean(0) + 0.1)
    np.testing.assert_allclose(seen[strong], adata.var["true_log_fc"][strong], atol=1.2)
    assert np.polyfit(adata.var["true_log_fc"][strong], seen[strong], 1)[0] == pytest.approx(1, abs=0.03)


def test_hidden_factors_have_the_correlation_asked_for_and_independent_loadings():
    adata = simulate(
        n_per_group=50, n_genes=3000, n_hidden=3, hidden_correlation=0.4, hidden_sd=0.5, hidden_balance=0.4
    )
    group = adata.obs["group"].cat.codes
    for k in range(3):
        hidden = adata.obs[f"true_hidden_{k}"]
        assert set(hidden) == {-0.5, 0.5}
        assert np.corrcoef(hidden, group)[0, 1] == pytest.approx(0.4, abs=0.02)
        assert (hidden > 0).mean() == pytest.approx(0.4, abs=0.01)
    loading = adata.varm["true_hidden_loading"]
    assert (loading != 0).sum(0).tolist() == [900, 900, 900]
    assert loading[loading != 0].std() == pytest.approx(0.5, rel=0.05)
    assert abs(np.corrcoef(loading.T) - np.eye(3)).max() < 0.06


def test_two_batches_differ_by_the_sd_asked_for_on_the_share_of_genes_asked_for():
    effect = simulate(n_genes=20_000, n_batches=3, batch_share=0.2, batch_sd=0.6).varm["true_batch_effect"]
    np.testing.assert_allclose(effect.sum(1), 0, atol=1e-12)
    hit = effect[:, 0] != 0
    assert hit.sum() == 4000
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        assert (effect[hit, i] - effect[hit, j]).std() == pytest.approx(0.6, rel=0.04)


def test_outliers_are_exactly_the_entries_marked_and_nothing_else_changes():
    plain, dirty = (simulate(n_genes=800, outlier_share=s, outlier_factor=10) for s in (0, 0.05))
    mask = dirty.layers["true_outlier"]
    assert mask.sum(1).tolist() == [40] * 10
    np.testing.assert_array_equal(dirty.X, np.where(mask, 10 * plain.X, plain.X))
    assert len({tuple(row) for row in mask}) == 10
    assert "true_outlier" not in plain.layers


def test_an_outlier_factor_below_one_gives_whole_counts():
    dirty = simulate(n_genes=800, outlier_share=0.5, outlier_factor=0.25)
    plain = simulate(n_genes=800)
    mask = dirty.layers["true_outlier"]
    np.testing.assert_array_equal(dirty.X[mask], np.rint(plain.X[mask] / 4))


@pytest.mark.parametrize(("spread", "factor"), [(1, 1), (2, 1), (30, 0.01)])
def test_depths_have_the_exact_spread_and_geometric_mean(spread, factor):
    depth = simulate(n_genes=50, depth_spread=spread, depth_factor=factor).obs["true_depth"]
    assert depth.max() / depth.min() == pytest.approx(spread, rel=1e-12)
    assert np.exp(np.log(depth).mean()) == pytest.approx(factor, rel=1e-12)


def test_groups_may_have_different_sizes():
    adata = simulate(n_per_group=(3, 12), n_genes=20)
    assert adata.obs["group"].value_counts().to_dict() == {"A": 3, "B": 12}
    assert adata.obs["group"].cat.categories.tolist() == ["A", "B"]
    assert adata.obs_names.is_unique


@pytest.mark.filterwarnings("ignore:The .future.infer_string. option")  # anndata 0.13 writing with pandas 3.1
def test_a_file_keeps_data_truth_and_arguments(tmp_path):
    adata = simulate(n_genes=30, outlier_share=0.1, seed=5, **EVERYTHING)
    adata.write_h5ad(tmp_path / "simulated.h5ad")
    read = anndata.read_h5ad(tmp_path / "simulated.h5ad")
    assert read.X.dtype == np.int32
    np.testing.assert_array_equal(read.X, adata.X)
    np.testing.assert_array_equal(read.varm["true_hidden_loading"], adata.varm["true_hidden_loading"])
    arguments = dict(read.uns["simulation"])
    again = simulate(**(arguments | {"n_per_group": tuple(int(n) for n in arguments["n_per_group"])}))
    np.testing.assert_array_equal(again.X, adata.X)


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [
        ("trend", "mouse", "'yeast', 'gse60450', 'geuvadis'"),
        ("effect_distribution", "cauchy", "'normal', 't3'"),
        ("hidden_kind", "ternary", "'binary', 'continuous'"),
        ("de_share", 1.5, "share between 0 and 1"),
        ("up_share", float("nan"), "share between 0 and 1"),
        ("outlier_share", -0.1, "share between 0 and 1"),
        ("effect_sd", 0.0, "positive number"),
        ("depth_factor", float("inf"), "positive number"),
        ("depth_spread", 0.5, "ratio of 1 or more"),
        ("hidden_correlation", 1.1, "correlation between -1 and 1"),
        ("hidden_balance", 1.0, "above 0 and below 1"),
        ("n_genes", 0, "whole number, 1 or more"),
        ("n_genes", 10.5, "whole number, 1 or more"),
        ("n_hidden", True, "whole number, 0 or more"),
        ("seed", -1, "whole number, 0 or more"),
        ("n_per_group", 1, "2 or more, or a pair"),
        ("n_per_group", (5, 5, 5), "2 or more, or a pair"),
        ("n_per_group", "5", "2 or more, or a pair"),
    ],
)
def test_a_bad_argument_is_refused_by_name_with_what_is_allowed(argument, value, allowed):
    with pytest.raises(ValueError, match=rf"`{argument}` = .*{allowed}"):
        simulate(**{argument: value})


def test_a_batch_without_samples_is_refused():
    with pytest.raises(ValueError, match="`n_batches` = 7 leaves a batch without samples at 2 \\+ 2"):
        simulate(n_per_group=2, n_genes=10, n_batches=7)


def test_an_unreachable_batch_correlation_is_refused():
    with pytest.raises(ValueError, match=r"`batch_correlation` = 0\.95 cannot be reached.*0\.816"):
        simulate(n_per_group=20, n_genes=10, n_batches=3, batch_correlation=0.95)


def test_counts_too_large_to_store_are_refused():
    with pytest.raises(ValueError, match=r"Expected counts reach .*lower `effect_sd`"):
        simulate(n_genes=100, depth_factor=1e7)
