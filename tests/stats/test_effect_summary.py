import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.effect import benjamini_hochberg, effect_likelihood, log_p_value, s_value, wald_p_value
from bulkvi.stats.effects.noise_inflation import NoiseInflation
from bulkvi.stats.effects.summary import CompositionShift, summarise_effect
from bulkvi.stats.genes import effect_ridge, fit_genes

GROUP = np.array([0.0, 1.0])
SHARED = NoiseInflation(np.array([0.7, 1.2, 2.0]), np.array([0.6, 0.3, 0.1]))


@pytest.fixture
def effect(simulate, rng):
    cohort = simulate(rng, 4, 800, share=0.3)
    ridge = effect_ridge(cohort.features)
    return effect_likelihood(fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=ridge).nodes, GROUP)


@pytest.mark.parametrize("inflation", [NoiseInflation(np.ones(1), np.ones(1)), SHARED])
def test_shrinkage_never_turns_an_effect_or_makes_it_larger(effect, inflation):
    summary = summarise_effect(effect, inflation=inflation)
    assert (summary.mean * summary.mle >= 0).all()
    assert (np.abs(summary.mean) <= np.abs(summary.mle) + 1e-9).all()
    assert ((summary.low <= summary.mean + 1e-9) & (summary.mean <= summary.high + 1e-9)).all()


def test_columns_agree_with_each_other(effect):
    summary = summarise_effect(effect, inflation=SHARED)
    np.testing.assert_allclose(2 * norm.sf(np.abs(summary.stat)), summary.p_value, rtol=1e-8)
    np.testing.assert_array_equal(np.sign(summary.stat), np.sign(summary.mle))
    np.testing.assert_allclose(summary.adj_p_value, benjamini_hochberg(summary.p_value))
    np.testing.assert_allclose(summary.s_value, s_value(summary.lfsr))
    np.testing.assert_allclose(summary.p_value, wald_p_value(effect))


def test_tiny_p_values_keep_their_order(effect):
    strong = effect._replace(estimate=np.sign(effect.estimate) * (np.abs(effect.estimate) + 60 * effect.se))
    summary = summarise_effect(strong, shift=CompositionShift())
    assert (summary.p_value == 0).any()
    assert np.isfinite(summary.stat).all()
    assert np.unique(summary.stat).size == summary.stat.size


def test_shared_noise_makes_signs_less_sure_and_leaves_p_values(effect):
    alone, shared = summarise_effect(effect), summarise_effect(effect, inflation=SHARED)
    np.testing.assert_array_equal(alone.p_value, shared.p_value)
    sure = alone.lfsr < 0.05
    assert sure.sum() > 20
    assert shared.lfsr[sure].mean() > 1.1 * alone.lfsr[sure].mean()


def test_genes_without_a_count_are_not_tested(effect):
    tested = np.arange(effect.estimate.shape[1]) % 3 > 0
    summary = summarise_effect(effect, tested=tested)
    assert (summary.p_value[~tested] == 1).all()
    assert (summary.adj_p_value[~tested] == 1).all()
    np.testing.assert_allclose(summary.adj_p_value[tested], benjamini_hochberg(summary.p_value[tested]))


def test_the_test_of_a_minimum_effect_holds_its_level(rng):
    """Every effect is exactly delta: at most 5 % of p-values may be under 0.05, and hardly fewer."""
    from bulkvi.stats.effects.effect import EffectLikelihood

    se = np.full((1, 20_000), 0.2)
    at_edge = EffectLikelihood(rng.normal(0.5, 0.2, (1, 20_000)), se, np.ones((1, 20_000)))
    share = np.mean(wald_p_value(at_edge, 0.5) < 0.05)
    assert 0.045 < share < 0.055
    np.testing.assert_allclose(
        log_p_value(at_edge, 0.0), np.log(2 * norm.sf(np.abs(at_edge.estimate[0]) / 0.2)), rtol=1e-9
    )


def test_a_shift_is_taken_off_everything(simulate, rng):
    cohort = simulate(rng, 5, 1500, share=0.0)
    counts = cohort.counts.copy()
    changed = rng.random(counts.shape[1]) < 0.6
    kept = rng.uniform(0.1, 1.0, changed.sum())
    counts[:5, changed] = rng.binomial(counts[:5, changed].astype(int), kept)
    offset = cohort.offset + np.log(np.repeat([1.0, 1.5], 5))  # what a median of ratios would do
    fit = fit_genes(counts, cohort.features, offset=offset, ridge=effect_ridge(cohort.features))
    summary = summarise_effect(effect_likelihood(fit.nodes, GROUP))
    assert summary.shift.shift == pytest.approx(-np.log(1.5), abs=0.05)
    assert (summary.adj_p_value < 0.05)[~changed].mean() < 0.03
    assert (summary.adj_p_value < 0.05)[changed].mean() > 0.2
    as_given = summarise_effect(effect_likelihood(fit.nodes, GROUP), shift=CompositionShift())
    np.testing.assert_allclose(as_given.mle - summary.shift.shift, summary.mle)


@pytest.mark.parametrize(("option", "message"), [({"level": 0.0}, "level"), ({"delta": -1.0}, "delta")])
def test_values_out_of_range_are_refused(effect, option, message):
    with pytest.raises(ValueError, match=message):
        summarise_effect(effect, **option)
