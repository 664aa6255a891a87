import numpy as np
import pytest
from scipy.stats import chi2, norm

from bulkvi.stats.effects.effect import (
    EffectLikelihood,
    benjamini_hochberg,
    effect_likelihood,
    log_p_value,
    s_value,
    wald_p_value,
)
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.noise_inflation import NoiseInflation, null_inflation, null_variance
from bulkvi.stats.effects.summary import CompositionShift, composition_shift, summarise_effect
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
    assert summary.shift.shift == pytest.approx(-np.log(1.5), abs=0.1)
    assert (summary.adj_p_value < 0.05)[~changed].mean() < 0.03
    assert (summary.adj_p_value < 0.05)[changed].mean() > 0.2
    as_given = summarise_effect(effect_likelihood(fit.nodes, GROUP), shift=CompositionShift())
    np.testing.assert_allclose(as_given.mle - summary.shift.shift, summary.mle)


@pytest.mark.parametrize(("option", "message"), [({"level": 0.0}, "level"), ({"delta": -1.0}, "delta")])
def test_values_out_of_range_are_refused(effect, option, message):
    with pytest.raises(ValueError, match=message):
        summarise_effect(effect, **option)


def effects(rng, *, n=2000, changed=0.6, up=1.0, shift=-0.3, se=0.12) -> EffectLikelihood:
    size = np.where(rng.random(n) < changed, np.abs(rng.normal(0, 0.7, n)), 0.0)
    sign = np.where(rng.random(n) < up, 1.0, -1.0)
    errors = se * np.exp(rng.normal(0, 0.3, n))
    return EffectLikelihood(rng.normal(shift + sign * size, errors)[None], errors[None], np.ones((1, n)))


@pytest.mark.parametrize(("changed", "up", "shift"), [(0.6, 1.0, -0.3), (0.6, 0.1, 0.25), (0.4, 1.0, -0.15)])
def test_the_place_of_unchanged_genes_is_found(rng, changed, up, shift):
    found = composition_shift(effects(rng, changed=changed, up=up, shift=shift))
    assert found.shift == pytest.approx(shift, abs=0.03)


@pytest.mark.parametrize("changed", [0.0, 0.1, 0.6, 1.0])
def test_balanced_effects_have_no_shift(rng, changed):
    assert composition_shift(effects(rng, changed=changed, up=0.5, shift=0.0)).shift == 0


def test_no_pile_of_unchanged_genes_is_no_reason_to_leave_the_size_factors(rng):
    """All genes change a little, as yeast without Snf2: the middle of the effects is not the place of zero."""
    n = 4000
    errors = np.full((1, n), 0.15)
    found = composition_shift(EffectLikelihood(rng.normal(0.06, 0.5, (1, n)), errors, np.ones((1, n))))
    assert found.shift == 0


def test_neither_order_nor_sign_nor_unit_matters(rng):
    effect = effects(rng, n=4500)
    found = composition_shift(effect)
    order = rng.permutation(4500)
    assert composition_shift(EffectLikelihood(*(part[:, order] for part in effect))) == pytest.approx(found)
    mirrored = composition_shift(effect._replace(estimate=-effect.estimate))
    assert mirrored.shift == pytest.approx(-found.shift, abs=0.01)
    tenth = composition_shift(EffectLikelihood(effect.estimate / 10, effect.se / 10, effect.weight))
    assert 10 * tenth.shift == pytest.approx(found.shift, rel=1e-3)


@pytest.mark.parametrize("delta", [0.0, 0.2])
def test_an_expected_width_of_the_null_widens_p_values_and_errors(rng, delta):
    """Statistics of standard deviation 1.4 about a common effect of 0.1: averages over the factors, one by one."""
    estimate = 0.1 + np.where(rng.random(3000) < 0.05, 1.0, 0.0) + rng.normal(0, 0.14, 3000)
    effect = EffectLikelihood(estimate[None], np.full((1, 3000), 0.1), np.ones((1, 3000)))
    expected, options = ExpectedInflation(0.5, 0.4), {"shift": CompositionShift(), "delta": delta}
    summary = summarise_effect(effect, expected=expected, null_centre=0.1, **options)
    inflation = null_inflation((estimate - 0.1) / 0.1, expected)
    mean_factor = inflation.weight @ inflation.factor
    assert summary.null_variance == pytest.approx(mean_factor, rel=1e-6)
    assert 1.5 < summary.null_variance < 2.2
    np.testing.assert_allclose(summary.se, 0.1 * np.sqrt(mean_factor), rtol=1e-6)
    by_factor = [wald_p_value(effect._replace(se=effect.se * np.sqrt(f)), delta) for f in inflation.factor]
    np.testing.assert_allclose(summary.p_value, inflation.weight @ by_factor, rtol=1e-6)
    plain = summarise_effect(effect, **options)
    assert plain.null_variance == 1
    if not delta:
        assert (summary.p_value >= plain.p_value - 1e-12).all()


def wide_null(rng, *, changed, width, n=3000):
    """Effects of a share of the genes; noise that genes share makes all estimates wider than their standard errors."""
    true = np.where(rng.random(n) < changed, rng.normal(0, 1, n), 0.0)
    effect = EffectLikelihood(rng.normal(true, 0.1 * width)[None], np.full((1, n), 0.1), np.ones((1, n)))
    return true, effect


def false_signs(inflation, n_sets):
    """Share of unchanged genes among calls by s-value, mean over contrasts as wide as 8 independent genes make them."""
    rng, found = np.random.default_rng(1), []
    for _ in range(n_sets):
        true, effect = wide_null(rng, changed=0.1, width=np.sqrt(rng.chisquare(8) / 8))
        called = summarise_effect(effect, inflation=inflation, shift=CompositionShift()).s_value < 0.05
        found.append((true[called] == 0).mean())
    return np.mean(found)


@pytest.mark.slow
def test_shared_noise_is_not_taken_for_many_small_effects():
    """On average over contrasts s-values are honest; their sets differ with a standard deviation of .09, of the mean .015."""
    edges = np.array([0.0, 0.6, 0.9, 0.97, 1.0])
    quantiles = chi2(8).ppf((np.arange(10_000) + 0.5) / 10_000) / 8
    factor = [part.mean() for part in np.split(quantiles, (edges[1:-1] * 10_000).astype(int))]
    widths = NoiseInflation(np.array(factor), np.diff(edges))
    believed, doubted = (false_signs(widths._replace(independent=count), 40) for count in (np.inf, 8.0))
    assert doubted < 0.05 + 2 * 0.015
    assert believed > 1.2 * doubted


def test_where_most_genes_change_by_much_few_independent_genes_still_find_them(rng):
    true, effect = wide_null(rng, changed=0.6, width=1.0)
    summary = summarise_effect(effect, inflation=NoiseInflation(np.ones(1), np.ones(1), 8.0), shift=CompositionShift())
    found = summary.s_value < 0.05
    assert found[true != 0].mean() > (summary.adj_p_value < 0.05)[true != 0].mean()
    assert (true == 0)[found].mean() < 0.05


def test_the_prior_counts_independent_genes_of_design_and_latent_columns(rng):
    _, effect = wide_null(rng, changed=0.1, width=1.0, n=1000)
    shared = NoiseInflation(np.ones(1), np.ones(1), 50.0)
    none = CompositionShift()
    assert summarise_effect(effect, shift=none).independent == 1000
    assert summarise_effect(effect, inflation=shared, shift=none).independent == 50
    # the log variance of 8 independent statistics has the standard deviation 1 / 2
    for log_sd, independent in ((0.5, 8), (0.0, 50)):
        expected = ExpectedInflation(0.0, log_sd)
        summary = summarise_effect(effect, inflation=shared, shift=none, expected=expected)
        assert summary.independent == independent


def test_no_informative_gene_has_no_shift_and_no_width(effect):
    assert composition_shift(effect, np.zeros(effect.estimate.shape[1], dtype=bool)) == CompositionShift()
    assert null_variance(np.full(5, np.nan)) == 1.0


def test_the_evidence_for_a_shift_is_that_of_all_genes(rng):
    """Of 12,000 genes every fourth is read: the gain is that of all, and so is the evidence that it takes."""
    true = np.where(rng.random(12_000) < 0.4, 0.0, np.abs(rng.normal(size=12_000))) - 0.3
    effect = EffectLikelihood(rng.normal(true, 0.1)[None], np.full((1, 12_000), 0.1), np.ones((1, 12_000)))
    quarter = EffectLikelihood(*(part[:, ::4] for part in effect))
    whole, part = composition_shift(effect), composition_shift(quarter)
    assert whole.gain / part.gain == pytest.approx(4, rel=0.2)
    assert whole.shift == pytest.approx(part.shift, abs=0.02)


@pytest.mark.parametrize(("shift", "accepted"), [(-0.05, False), (-0.08, True)])
def test_the_evidence_for_a_shift_must_grow_with_the_number_of_genes(rng, shift, accepted):
    """Ten nats are enough for a hundred genes; 6,000 need 0.005 each, that is 30."""
    true = np.where(rng.random(6000) < 0.4, 0.0, np.abs(rng.normal(size=6000))) + shift
    found = composition_shift(
        EffectLikelihood(rng.normal(true, 0.1)[None], np.full((1, 6000), 0.1), np.ones((1, 6000)))
    )
    assert found.best == pytest.approx(shift, abs=0.02)
    assert found.gain > 12
    assert (found.shift != 0) == accepted
