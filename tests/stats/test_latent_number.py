import numpy as np
import pytest

from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.hidden.hidden_factors import latent_number


def count(cohort, seed=0):
    fit = fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=effect_ridge(cohort.features))
    return latent_number(cohort.counts, cohort.features, cohort.offset, fit, np.random.default_rng(seed))


def with_factors(cohort, rng, number, share=0.3):
    n, n_genes = cohort.counts.shape
    factors = rng.choice([-0.5, 0.5], size=(n, number))
    loadings = np.where(rng.random((number, n_genes)) < share, rng.normal(0, 0.7, (number, n_genes)), 0.0)
    return cohort._replace(counts=rng.poisson(cohort.counts * np.exp(factors @ loadings)).astype(float))


@pytest.mark.parametrize("number", [0, 1, 3])
def test_factors_are_counted(simulate, rng, number):
    cohort = with_factors(simulate(rng, 10, 2000, share=0.3), rng, number)
    assert count(cohort).number == number


def test_independent_genes_have_none_at_any_size(simulate, rng):
    for n_per_group in (4, 6, 15):
        for seed in range(3):
            assert count(simulate(rng, n_per_group, 800, share=0.5), seed).number == 0


def test_few_samples_have_no_room(simulate, rng):
    cohort = with_factors(simulate(rng, 3, 1000), rng, 1)
    found = count(cohort)
    assert found.limit == 0
    assert found.number == 0
    assert found.singular_values.size == 4
    assert count(with_factors(simulate(rng, 5, 1000), rng, 2)).limit == 4


def test_weak_factors_behind_strong_ones_are_taken_where_they_are_worth_it(simulate, rng):
    # parallel analysis alone misses them: the strong one makes all noise look large
    cohort = simulate(rng, 15, 2000, share=0.0)
    n, n_genes = cohort.counts.shape
    factors = rng.choice([-0.5, 0.5], size=(n, 3))
    loadings = rng.normal(size=(3, n_genes)) * np.array([[2.2], [0.22], [0.22]])
    found = count(cohort._replace(counts=rng.poisson(cohort.counts * np.exp(factors @ loadings)).astype(float)))
    assert (found.singular_values > found.threshold).sum() == 1
    assert found.number == 3
    assert found.information[3] > found.information[1] > found.information[0] == 1
    assert found.information.size == found.limit + 1
