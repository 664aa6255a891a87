import json

import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.names import EFFECT_COLUMNS
from tests.cohorts import fit, make_cohort


@pytest.fixture(scope="module")
def with_design() -> bulkvi.BulkVI:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group")
    return fit(adata)


NUMBERS = [name for name in EFFECT_COLUMNS if name not in ("flag", "contrast")]


def test_table_has_a_row_for_every_gene_in_order(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", "B", "A")
    assert list(table.columns) == list(EFFECT_COLUMNS)
    assert table.index.equals(with_design.adata.var_names)
    assert set(table["contrast"]) == {"group: B vs A"}
    adata = with_design.adata
    normalised = np.asarray(adata.X) / adata.obs["size_factor"].to_numpy()[:, None]
    np.testing.assert_allclose(table["base_mean"], normalised.mean(0), rtol=1e-6)
    assert np.isfinite(table[NUMBERS].to_numpy()).all()


def test_calls_are_right_and_intervals_hold_the_truth(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", "B", "A")
    truth = with_design.adata.var["true_log_fc"]
    called = table["adj_p_value"] < 0.05
    assert called.sum() > 15
    assert (truth[called] == 0).sum() <= 4  # of about 25 calls 0.05 are 1.2: more than 4 has probability 0.01
    held = (table["log_fc_low"] <= truth) & (truth <= table["log_fc_high"])
    assert held.mean() > 0.9
    assert (np.sign(table["log_fc"]) == np.sign(truth))[called & (truth != 0)].all()
    assert (table["log_fc"].abs() <= table["log_fc_mle"].abs() + 1e-9).all()


def test_the_table_remembers_what_was_asked(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", np.str_("B"), "A", delta=0.5, level=0.9)
    asked = table.attrs["query"]
    assert (asked["groupby"], asked["group1"], asked["group2"], asked["contrast"]) == ("group", "B", "A", None)
    assert (asked["delta"], asked["level"], asked["effect"], asked["latent_columns"]) == (0.5, 0.9, "direct", "auto")
    assert json.loads(json.dumps(table.attrs)) == table.attrs
    columns = with_design.get_design_matrix().columns
    table = with_design.differential_expression(contrast=[0] * (len(columns) - 1) + [2])
    assert table.attrs["query"]["contrast"] == {columns[-1]: 2.0}


def test_groups_and_columns_are_two_ways_to_say_the_same(with_design: bulkvi.BulkVI) -> None:
    by_group = with_design.differential_expression("group", "B", "A")
    by_column = with_design.differential_expression(contrast={"group[T.B]": 1})
    by_vector = with_design.differential_expression(contrast=[0, 1, 0])
    assert list(with_design.get_design_matrix().columns) == ["Intercept", "group[T.B]", "batch[T.b2]"]
    for other in (by_column, by_vector):
        for column in [name for name in NUMBERS if name != "log_fc_decoded"]:
            np.testing.assert_allclose(other[column], by_group[column], atol=1e-5, err_msg=column)
    assert by_column["contrast"].iloc[0] == "+1 * group[T.B]"
    # of groups the decoder compares mean rates, of columns mean log rates
    np.testing.assert_allclose(by_column["log_fc_decoded"], by_group["log_fc_decoded"], atol=0.4)
    assert np.corrcoef(by_column["log_fc_decoded"], by_group["log_fc_decoded"])[0, 1] > 0.99


def test_the_effect_of_a_covariate_is_per_unit(cohort: AnnData) -> None:
    cohort.obs["age"] = np.linspace(20, 60, cohort.n_obs)
    cohort.obs["decades"] = cohort.obs["age"] / 10
    tables = {}
    for unit in ("age", "decades"):
        bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design=f"~ group + {unit}")
        tables[unit] = fit(cohort).differential_expression(contrast={unit: 1}, latent_columns=0)
    for column in ("log_fc", "log_fc_low", "log_fc_mle", "log_fc_se"):
        np.testing.assert_allclose(10 * tables["age"][column], tables["decades"][column], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(tables["age"]["stat"], tables["decades"]["stat"], rtol=1e-5, atol=1e-6)


def test_interaction_is_the_difference_of_differences() -> None:
    adata = make_cohort()
    adata.obs["site"] = np.where(np.arange(adata.n_obs) % 2, "x", "y")
    expressed = int(np.argmax(np.asarray(adata.X).mean(0)))
    both = ((adata.obs["group"] == "B") & (adata.obs["site"] == "x")).to_numpy()
    adata.X[both, expressed] *= 8
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group * site")
    model = fit(adata)
    columns = model.get_design_matrix().columns
    interaction = next(name for name in columns if ":" in name)
    row = model.differential_expression(contrast={interaction: 1}).iloc[expressed]
    assert abs(row["log_fc"]) == pytest.approx(3, abs=0.7)
    assert row["adj_p_value"] < 0.01


def test_coding_of_the_design_changes_nothing() -> None:
    adata = make_cohort()
    tables = []
    for design, contrast in (
        ("~ group + site", None),
        ("~ 0 + group + site", None),
        ("~ C(group, contr.treatment('B')) + site", None),
        ("~ 0 + group + site", {"group[B]": 1, "group[A]": -1}),
    ):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
        model = fit(adata)
        if contrast is None:
            tables.append(model.differential_expression("group", "B", "A", latent_columns=0))
        else:
            tables.append(model.differential_expression(contrast=contrast, latent_columns=0))
    for other in tables[1:]:
        for column in ("log_fc", "log_fc_sd", "log_fc_mle", "stat", "lfsr", "dispersion"):
            np.testing.assert_allclose(other[column], tables[0][column], rtol=2e-4, atol=2e-5, err_msg=column)


def test_swapping_groups_changes_signs_only(with_design: bulkvi.BulkVI) -> None:
    forward = with_design.differential_expression("group", "B", "A")
    backward = with_design.differential_expression("group", "A", "B")
    for column in ("log_fc", "log_fc_mle", "stat"):
        np.testing.assert_allclose(backward[column], -forward[column], atol=1e-8)
    for column in ("log_fc_sd", "log_fc_se", "p_value", "adj_p_value", "lfsr", "s_value"):
        np.testing.assert_allclose(backward[column], forward[column], atol=1e-8)
    np.testing.assert_allclose(backward["log_fc_low"], -forward["log_fc_high"], atol=1e-6)


def test_order_of_samples_and_genes_changes_nothing() -> None:
    adata = make_cohort()
    rng = np.random.default_rng(3)
    tables = []
    for cohort in (adata, adata[rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)].copy()):
        bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
        model = fit(cohort, max_steps=10)
        tables.append(model.differential_expression("group", "B", "A", latent_columns=0))
    shuffled = tables[1].loc[tables[0].index]
    for column in (
        "base_mean",
        "log_fc",
        "log_fc_sd",
        "log_fc_mle",
        "stat",
        "p_value",
        "lfsr",
        "s_value",
        "dispersion",
    ):
        np.testing.assert_allclose(shuffled[column], tables[0][column], rtol=1e-6, atol=1e-8, err_msg=column)


def test_a_larger_delta_calls_fewer_genes(with_design: bulkvi.BulkVI) -> None:
    calls = [
        (with_design.differential_expression("group", "B", "A", delta=delta)["adj_p_value"] < 0.05).sum()
        for delta in (0.0, 0.5, 1.5)
    ]
    assert calls[0] > calls[1] > calls[2]
    truth = with_design.adata.var["true_log_fc"].abs()
    table = with_design.differential_expression("group", "B", "A", delta=0.5)
    assert (truth[table["adj_p_value"] < 0.05] > 0.5).mean() > 0.9
    assert table["prob_effect"][truth > 1.5].mean() > 0.8


def test_a_wider_interval_holds_the_narrower(with_design: bulkvi.BulkVI) -> None:
    narrow, wide = (with_design.differential_expression("group", "B", "A", level=level) for level in (0.5, 0.99))
    assert (wide["log_fc_low"] <= narrow["log_fc_low"] + 1e-9).all()
    assert (wide["log_fc_high"] >= narrow["log_fc_high"] - 1e-9).all()
    assert (wide["log_fc_high"] > narrow["log_fc_high"]).mean() > 0.8


def test_one_sided_changes_are_measured_from_where_unchanged_genes_stand() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=5, n_genes=2000, de_share=0.6, up_share=1.0, seed=1)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=10)
    with pytest.warns(UserWarning, match="Unchanged genes have"):
        table = model.differential_expression("group", "B", "A")
    unchanged = adata.var["true_log_fc"] == 0
    assert table.attrs["composition_shift"] < -0.2
    assert abs(np.average(table["log_fc_mle"][unchanged], weights=table["log_fc_se"][unchanged] ** -2)) < 0.03
    called = table["adj_p_value"] < 0.05
    assert unchanged[called].mean() < 0.06
    assert abs(np.median((table["log_fc_decoded"] - table["log_fc_mle"])[table["base_mean"] > 50])) < 0.05


def test_flags_say_why_an_answer_is_weak(cohort: AnnData) -> None:
    counts = cohort.X
    group_b = (cohort.obs["group"] == "B").to_numpy()
    silenced, absent, single = (int(gene) for gene in np.argsort(-np.asarray(counts).mean(0))[[5, 20, 40]])
    counts[group_b, silenced] = 0
    counts[:, [absent, single]] = 0
    counts[0, single] = 1
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    table = fit(cohort, max_steps=10).differential_expression("group", "B", "A")
    assert "separated" in table["flag"].iloc[silenced]
    assert table["log_fc_high"].iloc[silenced] < -1
    assert table["adj_p_value"].iloc[silenced] < 1e-3
    assert "constant" in table["flag"].iloc[absent]
    assert table["p_value"].iloc[absent] == table["adj_p_value"].iloc[absent] == 1
    assert "low_information" in table["flag"].iloc[single]
    assert table["p_value"].iloc[single] > 0.05
    assert np.isfinite(table[NUMBERS].to_numpy()).all()
    others = table.drop(index=table.index[[silenced, absent, single]])
    assert (others["flag"] == "").mean() > 0.9


def test_no_residual_degrees_of_freedom_is_said(cohort: AnnData) -> None:
    few = cohort[[0, 1, 12, 13]].copy()
    few.obs["pair"] = ["p", "q", "p", "q"]
    bulkvi.BulkVI.setup_anndata(few, size_factor_key="size_factor", design="~ group * pair")
    model = fit(few, max_steps=10)
    with pytest.raises(ValueError, match="no residual degrees of freedom.*Add replicates"):
        model.differential_expression("group", "B", "A")


def test_true_effects_are_found_in_log2_and_with_their_sign(with_design: bulkvi.BulkVI) -> None:
    table = with_design.differential_expression("group", "B", "A")
    truth = with_design.adata.var["true_log_fc"]
    expressed = (table["base_mean"] > 20) & (truth != 0)
    slope, _ = np.polyfit(truth[expressed], table["log_fc_decoded"][expressed], 1)
    assert slope == pytest.approx(1, abs=0.15)
    assert np.corrcoef(truth[expressed], table["log_fc_decoded"][expressed])[0, 1] > 0.9


def test_groups_need_not_be_in_the_design(trained: bulkvi.BulkVI) -> None:
    table = trained.differential_expression("group", "B", "A")
    assert list(table.columns) == list(EFFECT_COLUMNS)
    truth = trained.adata.var["true_log_fc"]
    expressed = (table["base_mean"] > 20) & (truth.abs() > 0.5)
    assert np.corrcoef(truth[expressed], table["log_fc_decoded"][expressed])[0, 1] > 0.7


def test_swapping_the_groups_changes_the_sign_only(with_design: bulkvi.BulkVI) -> None:
    forward = with_design.differential_expression("group", "B", "A")["log_fc_decoded"]
    backward = with_design.differential_expression("group", "A", "B")["log_fc_decoded"]
    np.testing.assert_allclose(backward, -forward, atol=1e-6)


def test_contrasts_add_up_along_three_groups(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", categorical_covariate_keys=["site"])
    model = fit(cohort)

    def effect(group1: str, group2: str) -> np.ndarray:
        return model.differential_expression("site", group1, group2)["log_fc_decoded"].to_numpy()

    np.testing.assert_allclose(effect("site0", "site1") + effect("site1", "site2"), effect("site0", "site2"), atol=1e-5)


def test_an_unbalanced_batch_is_not_an_effect() -> None:
    adata = bulkvi.datasets.simulate(
        n_per_group=10, n_genes=400, de_share=0.0, n_batches=2, batch_share=1.0, batch_sd=1.5, batch_correlation=0.6
    )
    adata = adata[:, adata.X.mean(0) >= 50].copy()
    bulkvi.pp.size_factors(adata)
    spread = {}
    for batch_key in (None, "batch"):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key=batch_key, design="~ group")
        table = fit(adata).differential_expression("group", "B", "A")
        spread[batch_key] = table["log_fc_decoded"].std()
    assert spread["batch"] < 0.5 * spread[None]


def test_the_model_decodes_what_is_in_a_gene_absent_from_one_group(cohort: AnnData) -> None:
    silent = cohort.X.mean(0).argmax()
    cohort.X[(cohort.obs["group"] == "A").to_numpy(), silent] = 0
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    effect = fit(cohort).differential_expression("group", "B", "A")["log_fc_decoded"].iloc[silent]
    assert 5 < effect < 40


def test_a_gene_without_any_count_is_no_obstacle(cohort: AnnData) -> None:
    cohort.X[:, 7] = 0
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group")
    table = fit(cohort).differential_expression("group", "B", "A")
    assert np.isfinite(table[["base_mean", "log_fc_decoded"]]).all(axis=None)
    assert table["base_mean"].iloc[7] == 0
    assert abs(table["log_fc_decoded"].iloc[7]) < 0.5
