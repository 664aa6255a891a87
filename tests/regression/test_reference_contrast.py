import numpy as np
import pandas as pd
import pytest

from bulkvi.reference_names import CARRIED_P_VALUE, DISPERSION_TRUST, REFERENCE
from bulkvi.regression.reference_contrast import CARRIED, effect_beside_reference, move
from tests.reference_cohorts import draw_study, model_of

COMPARED = ("group", "B", "A")


def test_direct_and_latent_add_up_to_total(rng):
    drawn = draw_study(rng, 3)
    model = model_of(drawn.adata, drawn.reference)
    direct, latent, total = (
        model.differential_expression(*COMPARED, effect=kind, composition_shift=False)["log_fc_mle"]
        for kind in ("direct", "latent", "total")
    )
    np.testing.assert_allclose(direct + latent, total, atol=1e-10)
    assert np.abs(latent).mean() > 0.05


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
    report = model.latent_report()
    assert report.loc["reference_0", "moved_by"] == "group[T.B]"
    assert abs(report.loc["reference_0", "move"] - 3) < 0.3 > abs(report.loc["reference_1", "move"])


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


def added_variance(beside, kind):
    """Variance that an effect has beyond the regression beside the states, genes."""
    weights = pd.Series([0.0, 1.0], beside.plain.features.columns)
    given = effect_beside_reference(beside, weights, kind, 0, common=False)
    return given.regression.effect(weights).se[0] ** 2 - beside.beside.effect(weights).se[0] ** 2


def test_total_has_the_variance_of_groups_that_differ_by_chance(rng):
    drawn = draw_study(rng, 4)
    beside = model_of(drawn.adata, drawn.reference).gene_fit().reference_variation
    assert beside is not None
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


def test_latent_columns_of_the_studys_own_enter_beside_the_directions(rng):
    drawn = draw_study(rng, 6, 1000)
    beyond = rng.normal(size=12)
    own = np.where(rng.random(1000) < 0.5, rng.normal(0, 0.7, 1000), 0.0)
    drawn.adata.X = rng.poisson(drawn.adata.X * np.exp(np.outer(beyond, own))).astype(np.float32)
    model = model_of(drawn.adata, drawn.reference)
    tables = {
        kind: model.differential_expression(*COMPARED, effect=kind, composition_shift=False)
        for kind in ("direct", "latent", "total")
    }
    assert tables["direct"].attrs["n_latent_columns"] == 1
    together = tables["direct"]["log_fc_mle"] + tables["latent"]["log_fc_mle"]
    np.testing.assert_allclose(together, tables["total"]["log_fc_mle"], atol=1e-8)
    null = drawn.log_fc == 0
    assert 0.02 < (tables["direct"]["p_value"][null] < 0.05).mean() < 0.09
