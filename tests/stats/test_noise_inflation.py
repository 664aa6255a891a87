import numpy as np

from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.genes import effect_ridge, fit_genes


def fit(cohort):
    return fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=effect_ridge(cohort.features))


def with_shared_noise(cohort, rng, spread=0.5):
    """The same cohort with a hidden factor that moves every gene, up or down, unrelated to the groups."""
    n, n_genes = cohort.counts.shape
    factor, loading = rng.normal(size=n), rng.normal(0, spread, n_genes)
    return cohort._replace(counts=rng.poisson(cohort.counts * np.exp(np.outer(factor, loading))).astype(float))


def test_independent_genes_have_none(simulate, rng):
    for effect_sd in (0.8, 3.0):
        cohort = simulate(rng, 6, 3000, share=0.5, effect_sd=effect_sd)
        inflation = noise_inflation(cohort.counts, cohort.features, cohort.offset, fit(cohort))
        assert inflation.factor.tolist() == [1]
        assert inflation.weight.tolist() == [1]


def test_shared_noise_is_seen_and_real_effects_do_not_matter(simulate, rng):
    means = []
    for share in (0.0, 0.7):
        cohort = with_shared_noise(simulate(rng, 6, 3000, share=share), rng)
        inflation = noise_inflation(cohort.counts, cohort.features, cohort.offset, fit(cohort))
        assert inflation.weight.sum() == 1
        assert (np.diff(inflation.factor) > 0).all()
        assert inflation.factor[-1] > 2
        means.append(inflation.factor @ inflation.weight)
    np.testing.assert_allclose(means, 1, atol=0.1)


def test_quantiles_hold_the_spread_of_random_contrasts(simulate, rng):
    """Of many random halves of like samples, the variance of z over genes must fall where the quantiles say."""
    cohort = with_shared_noise(simulate(rng, 8, 1500, share=0.0), rng)
    observed, below = [], []
    for _ in range(40):
        group = rng.permutation(np.repeat([0.0, 1.0], 8))
        halves = cohort._replace(features=np.column_stack([np.ones(16), group]))
        fitted = fit(halves)
        effect = effect_likelihood(fitted.nodes, np.array([0.0, 1.0]))
        inflation = noise_inflation(halves.counts, halves.features, halves.offset, fitted)
        observed.append(np.mean(np.clip(effect.mean() / effect.sd(), -4, 4) ** 2))
        below.append(observed[-1] < inflation.factor[-1])
    assert np.std(observed) > 0.3
    assert np.mean(below) > 0.85


def test_no_residuals_no_statement(simulate, rng):
    cohort = simulate(rng, 2, 300)
    few = cohort._replace(
        counts=cohort.counts[:3], features=np.column_stack([np.ones(3), [0.0, 0, 1]]), offset=cohort.offset[:3]
    )
    assert noise_inflation(few.counts, few.features, few.offset, fit(few)).factor.tolist() == [1]
