from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, chi2

from bulkvi.stats.effects.effect import EffectLikelihood, effect_likelihood, log_p_value, wald_p_value
from bulkvi.stats.effects.likelihood_ratio import ContrastedEffect, compared_sides, handle_separation, omnibus_test
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.nb.regression import coef_log_likelihood, nb_regression


def three_groups(rng, n_per_group, n_genes, share=0.0):
    mean = np.exp(rng.normal(4.5, 1.5, n_genes))
    dispersion = (0.05 + 3 / mean) * np.exp(rng.normal(0, 0.5, n_genes))
    effect = np.where(rng.random(n_genes) < share, rng.normal(0, 0.8, (3, n_genes)), 0.0)
    group = np.repeat(np.arange(3), n_per_group)
    rate = mean * np.exp(effect[group])
    counts = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * rate)).astype(float)
    kept = counts.sum(0) >= 10
    features = np.column_stack([np.ones(group.size), group == 1, group == 2]).astype(float)
    return counts[:, kept], features, effect[:, kept]


def run(counts, features, contrasts, **options):
    given: dict[str, Any] = {"offset": np.zeros(len(counts)), "ridge": effect_ridge(features)}
    fit = fit_genes(counts, features, **given, **options)
    return omnibus_test(counts, features, np.asarray(contrasts, dtype=float), fit, **given, **options)


@pytest.mark.parametrize("n_per_group", [3, 6])
def test_p_values_of_unchanged_genes_are_uniform(rng, n_per_group):
    counts, features, _ = three_groups(rng, n_per_group, 6000)
    test = run(counts, features, [[0, 1, 0], [0, 0, 1]])
    assert test.df == 2
    for level in (0.05, 0.01):
        error = np.sqrt(level * (1 - level) / counts.shape[1])
        assert abs(np.mean(test.p_value < level) - level) < 4 * error + 0.1 * level


def test_changed_genes_are_found(rng):
    counts, features, effect = three_groups(rng, 5, 2000, share=0.3)
    test = run(counts, features, [[0, 1, 0], [0, 0, 1]])
    large = np.ptp(effect, axis=0) > 2
    assert np.mean(test.p_value[large] < 0.01) > 0.8


def test_which_contrasts_span_the_question_does_not_matter(rng):
    counts, features, _ = three_groups(rng, 4, 200, share=0.5)
    one = run(counts, features, [[0, 1, 0], [0, 0, 1]])
    other = run(counts, features, [[0, 1, -1], [0, 1, 1], [0, 2, 0]])
    assert other.df == 2
    np.testing.assert_allclose(other.p_value, one.p_value, rtol=1e-3, atol=1e-12)


def test_at_a_known_dispersion_it_is_the_likelihood_ratio_test(rng):
    counts, features, _ = three_groups(rng, 4, 50, share=0.5)
    given: dict[str, Any] = {"offset": np.zeros(12), "dispersion": np.full(counts.shape[1], 0.1)}
    full = nb_regression(counts, features, ridge=1e-9 * np.ones(3), **given)
    none = nb_regression(counts, features[:, :1], ridge=1e-9 * np.ones(1), **given)
    ratio = 2 * (
        coef_log_likelihood(counts, features, full.coef, **given)
        - coef_log_likelihood(counts, features[:, :1], none.coef, **given)
    )
    fit = fit_genes(counts, features, offset=np.zeros(12), ridge=effect_ridge(features))
    known = fit._replace(nodes=fit.nodes._replace(log_dispersion=np.full_like(fit.nodes.log_dispersion, np.log(0.1))))
    coef = np.broadcast_to(full.coef, known.nodes.coef.shape)
    known = known._replace(nodes=known.nodes._replace(coef=coef))
    test = omnibus_test(counts, features, np.eye(3)[1:], known, offset=np.zeros(12), ridge=1e-9 * np.eye(3))
    np.testing.assert_allclose(test.stat, ratio, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(test.p_value, chi2.sf(ratio, 2), rtol=1e-3, atol=1e-12)


def test_contrasts_must_fit(rng):
    counts, features, _ = three_groups(rng, 3, 30)
    for contrasts in ([[0, 1]], [[0, 0, 0]]):
        with pytest.raises(ValueError, match="contrasts x 3, not all zero"):
            run(counts, features, contrasts)


GROUP = np.array([0.0, 1.0])


def settled(counts, features, contrast=GROUP):
    given: dict[str, Any] = {"offset": np.zeros(len(counts)), "ridge": effect_ridge(features)}
    fit = fit_genes(counts, features, **given)
    effect = effect_likelihood(fit.nodes, contrast)
    return effect, handle_separation(effect, counts, features, contrast, fit, **given)


def poisson_with_silent_side(rng, totals, n=4):
    """Poisson genes, and after them one gene for each total that has all its counts on the first side."""
    features = np.column_stack([np.ones(2 * n), np.repeat([0.0, 1.0], n)])
    others = rng.poisson(200, (2 * n, 500)).astype(float)
    silent = np.zeros((2 * n, len(totals)))
    silent[:n] = np.array(totals) / n
    return np.hstack([others, silent]), features


def test_p_value_is_close_to_the_exact_one(rng):
    totals = [4, 8, 16, 32]
    counts, features = poisson_with_silent_side(rng, totals)
    before, after = settled(counts, features)
    exact = 2 * binom.pmf(0, totals, 0.5)
    p_value = np.exp(after.log_p[-4:])
    # dispersions are nearly, not quite, zero; log p may be off by a third
    np.testing.assert_allclose(np.log(p_value), np.log(exact), rtol=0.35)
    assert (wald_p_value(before)[-2:] > 20 * exact[-2:]).all()
    assert after.separated[-4:].all()
    assert not after.separated[:-4].any()


def test_estimates_are_finite_and_other_genes_stay_as_they_are(rng):
    counts, features = poisson_with_silent_side(rng, [8, 4000])
    before, after = settled(counts, features)
    np.testing.assert_array_equal(after.effect.estimate[:, :-2], before.estimate[:, :-2])
    np.testing.assert_array_equal(after.effect.se[:, :-2], before.se[:, :-2])
    estimate = after.effect.mean()[-2:]
    np.testing.assert_allclose(estimate, np.log(0.5 / np.array([8, 4000])), atol=0.2)
    assert (after.effect.sd()[-2:] < 2).all()


def test_the_silent_side_may_be_either(rng):
    counts, features = poisson_with_silent_side(rng, [8, 40])
    mirrored = features * [1, -1] + [0, 1]
    _, one = settled(counts, features)
    _, other = settled(counts, mirrored)
    np.testing.assert_allclose(other.effect.mean(), -one.effect.mean(), atol=1e-6)
    np.testing.assert_allclose(other.log_p, one.log_p, rtol=1e-5, atol=1e-9)


def test_sides_are_the_samples_that_a_contrast_compares():
    group = np.eye(3)[np.repeat([0, 1, 2], 2)]
    above, below = compared_sides(group, np.array([0.0, 1.0, -1.0]))
    assert above.tolist() == [False, False, True, True, False, False]
    assert below.tolist() == [False, False, False, False, True, True]


def test_an_average_over_two_models_is_one_of_p_values_and_of_estimates(rng):
    def model(n_nodes):
        weight = rng.dirichlet(np.ones(n_nodes), 40).T
        effect = EffectLikelihood(rng.normal(0, 3, (n_nodes, 40)), rng.uniform(0.5, 2, (n_nodes, 40)), weight)
        return ContrastedEffect(effect, log_p_value(effect), rng.random(40) < 0.2)

    one, other = model(4), model(3)
    averaged = one.averaged(other, 0.3)
    np.testing.assert_allclose(averaged.effect.mean(), 0.7 * one.effect.mean() + 0.3 * other.effect.mean())
    np.testing.assert_allclose(np.exp(averaged.log_p), 0.7 * np.exp(one.log_p) + 0.3 * np.exp(other.log_p))
    np.testing.assert_allclose(averaged.log_p, log_p_value(averaged.effect), atol=1e-9)
    np.testing.assert_allclose(averaged.effect.weight.sum(0), 1)
    assert (averaged.separated == one.separated | other.separated).all()
    for probability, only in ((0.0, one), (1.0, other)):
        np.testing.assert_allclose(one.averaged(other, probability).log_p, only.log_p)
