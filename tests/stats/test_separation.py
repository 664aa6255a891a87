from typing import Any

import numpy as np
from scipy.stats import binom

from bulkvi.stats.effects.effect import effect_likelihood, wald_p_value
from bulkvi.stats.effects.likelihood_ratio import compared_sides, handle_separation
from bulkvi.stats.genes import effect_ridge, fit_genes

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
