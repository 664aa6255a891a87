"""Effects beside a hidden batch, through the trained model."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from threadpoolctl import threadpool_limits

import bulkvi
from bulkvi.regression.hidden import chance_covariance, effect_given_latent
from bulkvi.stats.effects.effect import wald_p_value
from tests.cohorts import fit, make_cohort


def hidden_cohort(correlation: float = 0.6, **options) -> AnnData:
    adata = bulkvi.datasets.simulate(
        n_per_group=10, n_genes=1200, n_hidden=1, hidden_correlation=correlation, seed=3, **options
    )
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    return adata


@pytest.fixture(scope="module")
def model() -> bulkvi.BulkVI:
    adata = hidden_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return fit(adata, max_steps=100, n_latent=3)


def false_share(table, adata) -> float:
    called = table["adj_p_value"] < 0.05
    return (adata.var["true_log_fc"][called] == 0).mean()


def test_a_hidden_batch_does_not_pass_for_the_effect(model: bulkvi.BulkVI) -> None:
    naive = model.differential_expression("group", "B", "A", latent_columns=0)
    table = model.differential_expression("group", "B", "A")
    assert table.attrs["n_latent_columns"] == 1
    assert false_share(naive, model.adata) > 0.3
    assert false_share(table, model.adata) < 0.12
    changed = model.adata.var["true_log_fc"].abs() > 1
    assert (table["adj_p_value"] < 0.05)[changed].mean() > 0.5
    truth = model.adata.var["true_log_fc"]
    assert ((table["log_fc_low"] <= truth) & (truth <= table["log_fc_high"])).mean() > 0.93


def test_an_omnibus_test_holds_hidden_factors_fixed_too(model: bulkvi.BulkVI) -> None:
    naive, held = (model.omnibus_test("group", latent_columns=number) for number in (0, "auto"))
    assert false_share(naive, model.adata) > 0.3
    assert false_share(held, model.adata) < 0.12
    direct = model.differential_expression("group", "B", "A")
    assert np.corrcoef(np.sqrt(held["stat"]), direct["stat"].abs())[0, 1] > 0.95


def test_direct_and_latent_add_up_to_total(model: bulkvi.BulkVI) -> None:
    direct, latent, total = (
        model.differential_expression("group", "B", "A", effect=effect) for effect in ("direct", "latent", "total")
    )
    usual = ~total["flag"].str.contains("separated")
    np.testing.assert_allclose(
        (direct["log_fc_mle"] + latent["log_fc_mle"])[usual], total["log_fc_mle"][usual], atol=1e-8
    )
    # what a latent column carries is as uncertain as its chance differences between groups
    assert (latent["p_value"] < 1e-4).sum() == 0
    loading = np.abs(model.adata.varm["true_hidden_loading"][:, 0])
    assert np.corrcoef(latent["log_fc_mle"].abs(), loading)[0, 1] > 0.7


def test_without_a_decoded_direction_all_is_the_design_alone() -> None:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=5)
    with torch.no_grad():
        model.module.decoder.loadings.zero_()
    assert model.latent_report().empty
    assert model.latent_report()["enters"].sum() == 0
    alone = model.differential_expression("group", "B", "A", latent_columns=0)
    for number in (1, 2):
        given = model.differential_expression("group", "B", "A", latent_columns=number)
        pd.testing.assert_frame_equal(given, alone)
        assert given.attrs["n_latent_columns"] == 0
    with pytest.raises(ValueError, match="empty where training found no direction"):
        model.differential_expression("group", "B", "A", latent_columns=2, effect="latent")


def test_nothing_hidden_changes_nothing() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=8, n_genes=1200, seed=3)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=30, n_latent=3)
    table = model.differential_expression("group", "B", "A")
    without = model.differential_expression("group", "B", "A", latent_columns=0)
    assert table.attrs["n_latent_columns"] == 0
    assert table.equals(without)
    with pytest.raises(ValueError, match="no latent column enters"):
        model.differential_expression("group", "B", "A", effect="latent")


def test_a_number_of_latent_columns_can_be_asked_for(model: bulkvi.BulkVI) -> None:
    tables = [model.differential_expression("group", "B", "A", latent_columns=number) for number in (1, 3)]
    # two of the three directions of the model are not supported by the samples
    assert [table.attrs["n_latent_columns"] for table in tables] == [1, 1]
    np.testing.assert_allclose(
        tables[0]["log_fc"], model.differential_expression("group", "B", "A")["log_fc"], atol=1e-12
    )


def test_the_hidden_batch_is_named_in_the_report(model: bulkvi.BulkVI) -> None:
    adata = model.adata
    adata.obs["operator"] = np.where(adata.obs.pop("true_hidden_0") > 0, "x", "y")
    report = model.latent_report()
    assert report["enters"].tolist() == [True]
    assert report["strongest_with"].iloc[0] == "operator"
    assert report["strength"].iloc[0] > 0.6


def test_groups_outside_the_design_are_compared_through_the_latent_state() -> None:
    adata = hidden_cohort(correlation=0.0, de_share=0.4, effect_sd=1.5)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = fit(adata, max_steps=100, n_latent=2)
    table = model.differential_expression("group", "B", "A")
    truth = adata.var["true_log_fc"]
    assert (table["adj_p_value"] < 0.05).sum() > 20
    assert (np.sign(table["log_fc"]) == np.sign(truth))[(table["adj_p_value"] < 0.05) & (truth != 0)].mean() > 0.95
    rng = np.random.default_rng(0)
    calls = []
    for _ in range(8):
        adata.obs["random"] = rng.permutation(np.repeat(["x", "y"], 10))
        calls.append((model.differential_expression("random", "x", "y")["adj_p_value"] < 0.05).sum())
    assert np.median(calls) == 0
    adata.obs["single"] = ["one"] + ["other"] * 19
    with pytest.raises(ValueError, match="A group with one sample"):
        model.differential_expression("single", "one", "other")
    with pytest.raises(ValueError, match="no direct effect"):
        model.differential_expression("group", "B", "A", effect="direct")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"effect": "indirect"}, "effect must be one of"), ({"latent_columns": 9}, "whole number from 0 to n_latent = 3")],
)
def test_unknown_choices_are_refused(model: bulkvi.BulkVI, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.differential_expression("group", "B", "A", **arguments)


def test_a_deep_decoder_serves_as_well() -> None:
    adata = hidden_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=150, n_latent=2, decoder="deep")
    table = model.differential_expression("group", "B", "A")
    assert table.attrs["n_latent_columns"] == 1
    assert false_share(table, adata) < 0.12


def test_neither_order_nor_threads_move_the_table() -> None:
    adata = hidden_cohort()
    rng = np.random.default_rng(3)
    samples, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    tables = []
    for cohort, threads in ((adata, 1), (adata[samples].copy(), 1), (adata[:, genes].copy(), 1), (adata, 2)):
        bulkvi.pp.size_factors(cohort)
        bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
        with threadpool_limits(threads):
            table = fit(cohort, max_steps=60).differential_expression("group", "B", "A")
        assert table.attrs["n_latent_columns"] > 0
        tables.append(table.loc[adata.var_names])
    for other in tables[1:]:
        assert np.abs(np.log10(other["p_value"]) - np.log10(tables[0]["p_value"])).max() < 1e-6
        assert np.abs(other["log_fc_decoded"] - tables[0]["log_fc_decoded"]).max() < 1e-6


def test_no_latent_column_below_eight_samples() -> None:
    adata = make_cohort(n_per_group=3)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    table = fit(adata, max_steps=10).differential_expression("group", "B", "A")
    assert table.attrs["n_latent_columns"] == 0


@pytest.mark.parametrize("hidden", [0, 1])
def test_three_against_three_are_widened_by_the_noise_that_genes_share(hidden: int) -> None:
    adata = bulkvi.datasets.simulate(
        n_per_group=3, n_genes=1500, de_share=1.0, effect_sd=0.3, n_hidden=hidden, hidden_share=0.5, seed=5
    )
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    gene_fit = fit(adata, max_steps=20, n_latent=1).gene_fit()
    table = gene_fit.contrast("group", "B", "A")
    plain = wald_p_value(gene_fit.regression.effect(gene_fit.contrast_weights("group", "B", "A")))
    usual = ~table["flag"].str.contains("separated").to_numpy()
    wider = table["p_value"].to_numpy()[usual] / plain[usual]
    assert table.attrs["n_latent_columns"] == 0
    if hidden:
        assert table.attrs["null_variance"] > 1.02
        assert (wider > 1 - 1e-9).all()
        assert np.median(wider) > 1.01
    else:
        assert table.attrs["null_variance"] == 1
        np.testing.assert_allclose(wider, 1, rtol=1e-6)
    again = gene_fit.contrast("group", "B", "A", latent_columns=0)
    np.testing.assert_array_equal(again["p_value"], table["p_value"])


@pytest.mark.parametrize("number", [1, 2])
def test_the_chance_variance_has_the_residual_degrees_of_freedom_of_the_design(
    model: bulkvi.BulkVI, number: int
) -> None:
    """A latent column is what the design leaves of a hidden variable: its variance has n - rank(design) degrees of freedom."""
    kept = model.gene_fit()
    weights = kept.contrast_weights("group", "B", "A")
    total = effect_given_latent(kept._hidden, weights, "total", number, common=False)
    design = kept.regression.features.to_numpy()
    n, rank = design.shape[0], np.linalg.matrix_rank(design)
    coefficient_variance = weights.to_numpy() @ np.linalg.inv(design.T @ design) @ weights.to_numpy()
    covariance = pd.DataFrame(total.covariance)
    for name in covariance.columns:
        z = total.regression.features[name].to_numpy()
        residual = z - design @ np.linalg.lstsq(design, z, rcond=None)[0]
        expected = (residual @ residual) / (n - rank) * coefficient_variance
        assert covariance.loc[name, name] == pytest.approx(expected, rel=1e-9)


def test_chance_differences_of_a_hidden_variable_have_the_variance_that_is_allowed_for() -> None:
    """2,000 hidden variables that have nothing to do with the groups: (contrast / allowed sd)^2 is t^2 on 6 df, mean 1.5."""
    rng = np.random.default_rng(0)
    design = pd.DataFrame({"Intercept": 1.0, "b": np.repeat([0.0, 1.0], 4)})
    weights = pd.Series({"Intercept": 0.0, "b": 1.0})
    hidden = rng.normal(size=(8, 2000))
    coefficient, *_ = np.linalg.lstsq(design, hidden, rcond=None)
    residual = hidden - design.to_numpy() @ coefficient
    mean_square = (residual**2).mean(0)
    allowed = chance_covariance(design.assign(latent_0=residual[:, 0]), weights)
    ratio = coefficient[1] ** 2 / mean_square / allowed.item()
    assert ratio.mean() == pytest.approx(1.5, abs=4 * ratio.std() / np.sqrt(2000))
