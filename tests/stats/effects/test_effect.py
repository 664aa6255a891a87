from typing import Any

import numpy as np
import pytest
from scipy.stats import false_discovery_control, norm

from bulkvi.stats.effects.effect import EffectLikelihood, benjamini_hochberg, effect_likelihood, s_value, wald_p_value
from bulkvi.stats.genes import NodeFit, fit_genes


@pytest.fixture
def fit(rng):
    """Node regressions of 3 features with known full covariances."""
    root = rng.normal(size=(5, 4, 3, 3))
    covariance = root @ root.transpose(0, 1, 3, 2)
    row, column = np.tril_indices(3)
    weight = rng.dirichlet(np.ones(5), size=4).T
    nodes = NodeFit(
        np.zeros((5, 4)),
        weight,
        rng.normal(size=(5, 3, 4)),
        covariance[:, :, row, column].transpose(0, 2, 1),
        np.ones(4, bool),
        np.zeros(4),
    )
    return nodes, covariance


@pytest.mark.parametrize("contrast", [[0, 1, 0], [0, 1, -1], [1, 0.5, 2], [0, 0, 0.1]])
def test_effect_has_mean_and_variance_of_the_contrast_at_every_node(fit, rng, contrast):
    nodes, covariance = fit
    spread = rng.normal(size=(3, 3))
    spread = spread @ spread.T
    plain, uncertain = effect_likelihood(nodes, contrast), effect_likelihood(nodes, contrast, spread)
    for k in range(5):
        for g in range(4):
            theta = nodes.coef[k, :, g]
            variance = np.array(contrast) @ covariance[k, g] @ contrast
            np.testing.assert_allclose(plain.estimate[k, g], np.dot(contrast, theta))
            np.testing.assert_allclose(plain.se[k, g], np.sqrt(variance))
            np.testing.assert_allclose(uncertain.se[k, g], np.sqrt(variance + theta @ spread @ theta))


def test_mean_and_standard_error_are_those_of_the_mixture(rng):
    effect = EffectLikelihood(np.array([[1.0], [2.0]]), np.array([[0.5], [1.0]]), np.array([[0.25], [0.75]]))
    draws = rng.normal(size=400_000) * 1.0
    first = rng.random(400_000) < 0.25
    draws = np.where(first, 1 + 0.5 * draws, 2 + draws)
    assert abs(effect.mean()[0] - draws.mean()) < 0.01
    assert abs(effect.sd()[0] - draws.std()) < 0.01


def test_p_value_is_the_weighted_two_sided_tail(rng):
    effect = EffectLikelihood(rng.normal(size=(5, 7)), rng.normal(size=(5, 7)), rng.dirichlet(np.ones(5), size=7).T)
    effect = effect._replace(se=np.abs(effect.se) + 0.1)
    by_hand = (effect.weight * 2 * norm.sf(np.abs(effect.estimate) / effect.se)).sum(0)
    np.testing.assert_allclose(wald_p_value(effect), by_hand, rtol=1e-12)


def test_opposite_contrast_is_the_opposite_effect(fit):
    nodes, _ = fit
    one, other = effect_likelihood(nodes, np.array([0, 1, -2])), effect_likelihood(nodes, np.array([0, -1, 2]))
    np.testing.assert_array_equal(one.estimate, -other.estimate)
    np.testing.assert_array_equal(wald_p_value(one), wald_p_value(other))


def test_the_same_model_in_other_columns_gives_the_same_effects(rng):
    """Three groups coded against a reference or a mean each: with a negligible ridge nothing but the coding changes."""
    group = np.repeat(np.arange(3), 4)
    counts = rng.negative_binomial(8, 0.05, size=(12, 60)).astype(float)
    coded = np.column_stack([np.ones(12), group == 1, group == 2]).astype(float)
    means = (group[:, None] == np.arange(3)).astype(float)
    kwargs: dict[str, Any] = {"offset": np.zeros(12), "ridge": np.full(3, 1e-9)}
    one = effect_likelihood(fit_genes(counts, coded, **kwargs).nodes, np.array([0, -1, 1]))
    two = effect_likelihood(fit_genes(counts, means, **kwargs).nodes, np.array([0, -1, 1]))
    np.testing.assert_allclose(one.mean(), two.mean(), atol=1e-6)
    np.testing.assert_allclose(wald_p_value(one), wald_p_value(two), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(([1, 0],), "one weight for each of the 3 features"), (([1, 0, 0], np.eye(2)), "give 3 x 3")],
)
def test_contrast_of_the_wrong_shape_is_refused(fit, arguments, message):
    with pytest.raises(ValueError, match=message):
        effect_likelihood(fit[0], *arguments)


def test_adjusted_p_values_are_those_of_scipy_and_skip_nan(rng):
    p = rng.integers(1, 40, 100) / 40  # ties on purpose
    with_nan = np.insert(p, [3, 50], np.nan)
    adjusted = benjamini_hochberg(with_nan)
    np.testing.assert_array_equal(np.isnan(adjusted), np.isnan(with_nan))
    np.testing.assert_allclose(adjusted[~np.isnan(adjusted)], false_discovery_control(p))


def test_s_value_is_the_mean_doubt_of_all_genes_at_least_as_sure(rng):
    lfsr = rng.integers(0, 6, 50) / 12
    by_definition = [lfsr[lfsr <= value].mean() for value in lfsr]
    with_nan = np.append(lfsr, np.nan)
    np.testing.assert_allclose(s_value(with_nan)[:-1], by_definition)
    assert np.isnan(s_value(with_nan)[-1])


@pytest.mark.parametrize(("function", "name"), [(benjamini_hochberg, "p_value"), (s_value, "lfsr")])
def test_rates_outside_zero_and_one_are_refused(function, name):
    with pytest.raises(ValueError, match=f"`{name}` must lie in"):
        function(np.array([0.1, 1.2]))


@pytest.mark.parametrize("function", [benjamini_hochberg, s_value])
def test_nothing_in_nothing_out(function):
    assert function(np.array([])).shape == (0,)
