import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import bulkvi
from bulkvi.reference_names import CARRIED_P_VALUE, DISPERSION_TRUST, N_DIRECTIONS, N_GENES, REFERENCE, SCALE
from bulkvi.regression.reference import CARRIED, move
from tests.reference_cohorts import draw_study, model_of

COMPARED = ("group", "B", "A")


def found(table, log_fc):
    """Share of the changed genes before the false discovery proportion exceeds 5 %."""
    changed = log_fc != 0
    order = np.argsort(table["p_value"].to_numpy(), kind="stable")
    within = np.cumsum(~changed[order]) <= 0.05 * np.arange(1, len(order) + 1)
    return changed[order][: np.flatnonzero(within).max(initial=-1) + 1].sum() / changed.sum()


def test_direct_and_latent_add_up_to_total(rng):
    drawn = draw_study(rng, 3)
    model = model_of(drawn.adata, drawn.reference)
    direct, latent, total = (
        model.differential_expression(*COMPARED, effect=kind, composition_shift=False)["log_fc_mle"]
        for kind in ("direct", "latent", "total")
    )
    np.testing.assert_allclose(direct + latent, total, atol=1e-10)
    assert np.abs(latent).mean() > 0.05


def test_two_replicates_with_a_reference_find_more_than_five_without_at_the_rate_promised(rng):
    calls = false = 0
    gained = []
    for _ in range(4):
        drawn = draw_study(rng, 2, 3000)
        with_it = model_of(drawn.adata, drawn.reference).differential_expression(*COMPARED)
        more = draw_study(rng, 5, 3000)
        without = model_of(more.adata).differential_expression(*COMPARED, latent_columns=0)
        gained.append(found(with_it, drawn.log_fc) - found(without, more.log_fc))
        called = (with_it["adj_p_value"] < 0.05).to_numpy()
        calls, false = calls + called.sum(), false + (called & (drawn.log_fc == 0)).sum()
    assert np.mean(gained) > 0
    assert calls > 200
    assert binom.sf(false - 1, calls, 0.05) > 1e-3


def test_null_p_values_beside_a_reference_are_uniform(rng):
    small = []
    for _ in range(4):
        drawn = draw_study(rng, 3, 1500, share=0.0)
        table = model_of(drawn.adata, drawn.reference).differential_expression(*COMPARED, effect="direct")
        small.append((table["p_value"] < 0.05).mean())
    # genes share the groups' position along the directions, so that sets differ by more than a binomial
    assert 0.025 < np.mean(small) < 0.07


def test_a_reference_of_other_genes_changes_nothing_and_the_trust_says_so(rng):
    drawn = draw_study(rng, 3)
    without = model_of(drawn.adata).differential_expression(*COMPARED, latent_columns=0)
    wrong = model_of(drawn.adata, drawn.reference.permuted(rng)).differential_expression(*COMPARED, latent_columns=0)
    assert wrong.attrs[REFERENCE][DISPERSION_TRUST] < 0.1
    moved = np.abs(np.log10(wrong["p_value"]) - np.log10(without["p_value"]))
    assert moved.quantile(0.9) < 0.3
    right = model_of(drawn.adata, drawn.reference).differential_expression(*COMPARED, latent_columns=0)
    assert right.attrs[REFERENCE][DISPERSION_TRUST] > 0.7


def test_a_treatment_along_a_direction_is_kept_and_said(rng):
    state = rng.normal(size=(6, 2)) * 0.1
    state[3:, 0] += 3
    drawn = draw_study(rng, 3, state=state, share=0.0)
    model = model_of(drawn.adata, drawn.reference)
    table = model.differential_expression(*COMPARED)
    assert table.attrs["query"]["effect"] == "total"
    assert table.attrs[REFERENCE][CARRIED_P_VALUE] < CARRIED
    truth = 3 * drawn.reference.known.loadings[0] / np.log(2)
    assert np.corrcoef(table["log_fc_mle"], truth)[0, 1] > 0.9
    assert (table["adj_p_value"] < 0.05).sum() > 300
    held = (table["log_fc_low"] <= truth) & (truth <= table["log_fc_high"])
    assert held.mean() > 0.9
    latent = model.differential_expression(*COMPARED, effect="latent")
    assert np.corrcoef(latent["log_fc_mle"], truth)[0, 1] > 0.99


def test_a_hidden_batch_that_goes_along_with_the_groups_is_removed(rng):
    """Two of three against one of three: no test without the reference can tell it from an effect at that size."""
    batch = np.array([1, -1, -1, 1, 1, -1.0])
    rates = []
    for _ in range(3):
        state = np.column_stack([batch, rng.normal(size=6)])
        drawn = draw_study(rng, 3, state=state)
        table = model_of(drawn.adata, drawn.reference).differential_expression(*COMPARED)
        assert table.attrs["query"]["effect"] == "direct"
        called = (table["adj_p_value"] < 0.05).to_numpy()
        rates.append((called & (drawn.log_fc == 0)).sum() / called.sum())
    assert np.mean(rates) < 0.07


def test_genes_that_the_reference_lacks_have_the_analysis_without(rng):
    drawn = draw_study(rng, 3)
    reference = drawn.reference._replace(genes=drawn.reference.genes.where(np.arange(2000) % 2 == 0, "other"))
    reference = reference._replace(
        genes=pd.Index([f"{name}{k}" if name == "other" else name for k, name in enumerate(reference.genes)])
    )
    table = model_of(drawn.adata, reference).differential_expression(*COMPARED)
    assert table.attrs[REFERENCE][N_GENES] == 1000
    assert table.attrs[REFERENCE][N_DIRECTIONS] == 2
    without = model_of(drawn.adata).differential_expression(*COMPARED, latent_columns=0, composition_shift=False)
    table = model_of(drawn.adata, reference).differential_expression(*COMPARED, composition_shift=False)
    lacking = np.arange(2000) % 2 == 1
    np.testing.assert_allclose(table["log_fc_mle"][lacking], without["log_fc_mle"][lacking], atol=0.1)
    assert table["p_value"].notna().all()


def test_moving_a_contrast_into_the_offset_changes_no_rate(rng):
    drawn = draw_study(rng, 3, 300)
    regression = model_of(drawn.adata).gene_fit().regression
    psi = pd.DataFrame([[0.0, 1.0]], columns=regression.features.columns)
    shift, variance = rng.normal(size=(1, 300)), rng.random((1, 300))
    moved = move(regression, psi, shift, variance)

    def log_rates(fitted):
        offset = fitted.offset if fitted.offset.ndim == 2 else fitted.offset[:, None]
        return offset + fitted.features.to_numpy() @ fitted.fit.nodes.coef

    np.testing.assert_allclose(log_rates(moved), log_rates(regression), atol=1e-12)
    weights = psi.iloc[0]
    before, after = regression.effect(weights), moved.effect(weights)
    np.testing.assert_allclose(after.estimate, before.estimate - shift, atol=1e-12)
    np.testing.assert_allclose(after.se**2, before.se**2 + variance, atol=1e-10)


def test_latent_effect_of_a_comparison_in_which_nearly_all_genes_change_is_refused(rng):
    drawn = draw_study(rng, 4, share=0.95)
    model = model_of(drawn.adata, drawn.reference)
    assert model.differential_expression(*COMPARED).attrs["query"]["effect"] == "total"
    with pytest.raises(ValueError, match="nearly all genes change"):
        model.differential_expression(*COMPARED, effect="latent")


def test_the_report_names_directions_by_use_and_by_column(rng):
    lane = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    state = np.column_stack([2.0 * lane - 1, np.zeros(8)])
    drawn = draw_study(rng, 4, state=state)
    drawn.adata.obs["lane"] = lane.astype(str)
    report = model_of(drawn.adata, drawn.reference).latent_report()
    assert report.index[:2].tolist() == ["reference_0", "reference_1"]
    assert report.loc["reference_0", "strongest_with"] == "lane"
    assert report.loc["reference_0", "strength"] > 0.99
    assert report.loc["reference_0", SCALE] > 0.8 > 0.2 > report.loc["reference_1", SCALE]
    assert report.loc["reference_0", "singular_value"] > 10 * report.loc["reference_0", "singular_value_by_chance"]
    assert report.loc["reference_1", "singular_value"] < 3 * report.loc["reference_1", "singular_value_by_chance"]
    assert report["enters"].iloc[:2].all()
    assert 0.2 < report.loc["reference_0", "variance_share"] < 1


def test_omnibus_beside_a_reference_of_one_column_agrees_with_the_contrast(rng):
    drawn = draw_study(rng, 4)
    fit = model_of(drawn.adata, drawn.reference).gene_fit()
    omnibus = fit.omnibus("group")
    table = fit.contrast(*COMPARED, composition_shift=False)
    assert table.attrs["query"]["effect"] == "direct"
    assert np.corrcoef(np.log(omnibus["p_value"] + 1e-12), np.log(table["p_value"] + 1e-12))[0, 1] > 0.97


def test_calibration_permutes_labels_beside_the_reference(rng):
    drawn = draw_study(rng, 4, 800)
    model = model_of(drawn.adata, drawn.reference)
    report = model.calibrate(*COMPARED, n_permutations=6, progress_bar=False)
    expected = model.differential_expression(*COMPARED, latent_columns=0)["p_value"]
    np.testing.assert_allclose(report.genes["p_value"], expected, rtol=1e-6)
    relabelled = report.relabellings.query("threshold == 0.05 and score == 'adj_p_value'")
    assert relabelled["calls"].mean() < 0.2 * (expected < 0.001).sum()


def test_donors_beside_a_reference(rng):
    drawn = draw_study(rng, 4)
    drawn.adata.obs["donor"] = np.tile(["d0", "d1", "d2", "d3"], 2)
    bulkvi.BulkVI.setup_anndata(drawn.adata, size_factor_key="size_factor", design="~ group", donor_key="donor")
    model = bulkvi.BulkVI(drawn.adata, n_latent=2, reference=drawn.reference)
    model.train(max_steps=2, progress_bar=False)
    beside = found(model.differential_expression(*COMPARED), drawn.log_fc)
    alone = found(model_of(drawn.adata).differential_expression(*COMPARED, latent_columns=0), drawn.log_fc)
    # dispersions beside donors are the study's own
    assert beside > 1.2 * alone


def added_variance(beside, kind):
    """Variance that an effect has beyond the regression beside the states, genes."""
    weights = pd.Series([0.0, 1.0], beside.plain.features.columns)
    given = beside.effect(weights, kind, 0, common=False)
    return given.regression.effect(weights).se[0] ** 2 - beside.beside.effect(weights).se[0] ** 2


def test_total_has_the_variance_of_groups_that_differ_by_chance(rng):
    drawn = draw_study(rng, 4)
    beside = model_of(drawn.adata, drawn.reference).gene_fit().reference_variation
    loadings, spread = drawn.reference.known.loadings, beside.states.spread
    # two groups of four
    expected = np.einsum("kg,kl,lg->g", loadings, spread, loadings) / 2
    np.testing.assert_allclose(added_variance(beside, "total"), expected, atol=1e-8)
    assert expected.mean() > 0.05


def test_uncertain_loadings_widen_direct_effects_of_groups_that_stand_far_apart(rng):
    state = rng.normal(size=(6, 2)) * 0.2
    state[3:, 0] += 2
    drawn = draw_study(rng, 3, state=state)
    unsure = drawn.reference._replace(
        known=drawn.reference.known._replace(loadings_sd=np.full_like(drawn.reference.known.loadings, 0.1))
    )
    sure, wide = (
        added_variance(model_of(drawn.adata, reference).gene_fit().reference_variation, "direct").mean()
        for reference in (drawn.reference, unsure)
    )
    # about 2^2 x 0.1^2, less what chance makes
    assert 0.025 < wide - sure < 0.045
