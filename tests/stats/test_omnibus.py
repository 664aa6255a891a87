from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from bulkvi.stats.effects.likelihood_ratio import omnibus_test
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
