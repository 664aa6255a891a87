import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import t as student

from bulkvi.stats.effects.noise_inflation import standardise, standardised_residuals
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.hidden import hidden_factors
from bulkvi.stats.hidden.hidden_factors import align, held_out_noise, latent_number
from bulkvi.stats.samples.sample_order import sample_order


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


def noise_with_factors(rng, n, n_genes, strengths):
    noise = rng.normal(size=(n, n_genes))
    for strength in strengths:
        noise += strength * np.outer(rng.normal(size=n), rng.normal(size=n_genes))
    return noise


def test_noise_falls_by_what_the_factors_take_and_no_further(rng):
    residuals = noise_with_factors(rng, 40, 2000, [1.0, 1.0])
    noise = np.exp(np.log(held_out_noise(residuals, 0, 6, rng).noise).mean(0))
    assert noise[0] > 2.0
    # beside both factors the noise of variance 1 is left, and that of the loadings: up to 3 / 40 here
    np.testing.assert_allclose(noise[2:], 1.0, atol=0.1)
    assert noise[1] - noise[2] > 0.3


def test_factors_of_noise_take_nothing_off(rng):
    noise, inflation = held_out_noise(rng.normal(size=(12, 3000)), 0, 6, rng)
    noise = np.log(noise).mean(0)
    np.testing.assert_allclose(noise, noise[0], atol=0.02)
    # what is left was chosen to be small, by little where genes are many
    np.testing.assert_allclose(inflation.mean(0), 1.0, atol=0.1)
    assert inflation.mean(0)[6] > inflation.mean(0)[0]


def test_it_is_the_variance_of_a_contrast_given_the_factors(rng):
    # the noise of new contrasts, from the residuals of a design that takes up two of 30 directions
    strengths = [1.5, 0.7, 0.4]
    told, seen = [], []
    for _ in range(20):
        noise = noise_with_factors(rng, 30, 1500, strengths)
        design = np.linalg.qr(np.column_stack([np.ones(30), rng.permutation(np.repeat([0.0, 1.0], 15))]))[0]
        residuals = noise - design @ (design.T @ noise)
        told.append(np.log(held_out_noise(residuals, 2, 3, rng).noise[:, 3]).mean())
        left, values, right = np.linalg.svd(residuals, full_matrices=False)
        loadings = values[:3, None] * right[:3]
        contrast = design[:, 1] @ noise
        contrast -= np.linalg.lstsq(loadings.T, contrast, rcond=None)[0] @ loadings
        seen.append(np.log((contrast**2).mean()))
    spread = np.std(seen) / np.sqrt(len(seen))
    assert abs(np.mean(told) - np.mean(seen)) < 3 * spread + 0.02


@pytest.mark.parametrize("n", [12, 230])
def test_order_of_samples_and_genes_does_not_matter(rng, n):
    residuals = noise_with_factors(rng, n, 600, [1.0])
    shuffled = residuals[rng.permutation(n)][:, rng.permutation(600)]
    first, second = (held_out_noise(matrix, 0, 3, np.random.default_rng(1)) for matrix in (residuals, shuffled))
    np.testing.assert_allclose(first.noise, second.noise, atol=1e-8)
    np.testing.assert_allclose(first.inflation, second.inflation, atol=1e-8)


def test_noise_is_foreseen_on_average_and_its_spread_by_too_few_factors(rng):
    residuals = noise_with_factors(rng, 40, 2000, [0.5, 0.5])
    inflation = held_out_noise(residuals, 0, 3, rng).inflation
    np.testing.assert_allclose(inflation.mean(0)[[0, 2, 3]], 1.0, atol=0.1)
    assert inflation[:, 0].std() > 3 * inflation[:, 2].std()


DELTA = np.array([0.6, -0.3])


def effects(
    rng, *, n_genes=3000, changed=0.1, hit=0.3, delta=DELTA, se=0.15, effect_sd=0.7
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Effects with a sparse part of their own and a part that hidden factors bring along."""
    loadings = np.where(rng.random((2, n_genes)) < hit, rng.normal(0, 0.5, (2, n_genes)), 0.0)
    own = np.where(rng.random(n_genes) < changed, rng.normal(0, effect_sd, n_genes), 0.0)
    errors = se * np.exp(rng.normal(0, 0.3, n_genes))
    return rng.normal(own + delta @ loadings, errors), errors, loadings


@pytest.mark.parametrize("changed", [0.0, 0.1, 0.4])
def test_the_shift_is_found_and_its_uncertainty_is_honest(rng, changed):
    z = []
    for _ in range(20):
        found = align(*effects(rng, n_genes=800, changed=changed), 0.4)
        assert found.accepted
        z.append((found.delta - DELTA) / np.sqrt(np.diag(found.covariance)))
    assert np.abs(np.mean(z)) < 0.5
    assert np.sqrt(np.mean(np.square(z))) < 1.5


def test_no_shift_is_found_where_there_is_none(rng):
    found = align(*effects(rng, delta=np.zeros(2)), 0.4)
    assert np.abs(found.delta).max() < 0.03
    assert found.gain < 0.002
    assert found.near_null > 0.8


def test_dense_effects_along_the_loadings_are_not_explained_away(rng):
    """All genes change, partly along the pathways that also vary between replicates: biology, not a batch."""
    n_genes = 3000
    loadings = rng.normal(0, 0.5, (2, n_genes))
    estimate = 0.8 * loadings[0] + rng.normal(0, 0.6, n_genes)
    found = align(estimate, np.full(n_genes, 0.12), loadings, 0.4)
    assert not found.accepted
    assert found.near_null < 0.2


def test_the_prior_holds_back_what_the_data_do_not_say(rng):
    estimate, se, loadings = effects(rng, n_genes=3000)
    weak = align(estimate, se, 1e-4 * loadings, 0.4)
    assert np.abs(weak.delta).max() < 0.1  # the prior's sd is 0.63
    np.testing.assert_allclose(np.diag(weak.covariance), 0.4, rtol=0.05)


def test_order_of_genes_sign_and_unit_do_not_matter(rng):
    estimate, se, loadings = effects(rng)
    found = align(estimate, se, loadings, 0.4)
    order = rng.permutation(estimate.size)
    np.testing.assert_allclose(align(estimate[order], se[order], loadings[:, order], 0.4).delta, found.delta, atol=1e-6)
    np.testing.assert_allclose(align(-estimate, se, loadings, 0.4).delta, -found.delta, atol=1e-6)
    in_log2 = align(estimate / np.log(2), se / np.log(2), loadings / np.log(2), 0.4)
    np.testing.assert_allclose(in_log2.delta, found.delta, rtol=1e-4)
    assert in_log2.near_null == pytest.approx(found.near_null, abs=1e-4)


def test_a_common_effect_is_left_alone_where_size_factors_decide(rng):
    """Loadings of one sign could explain a change of all genes; without ``common`` they do."""
    loadings = rng.normal(0.3, 0.1, (1, 2000))
    estimate = rng.normal(0.7 + 0.5 * (loadings[0] - 0.3), 0.1)
    explained = align(estimate, np.full(2000, 0.1), loadings, 0.5)
    assert explained.delta[0] * 0.3 > 0.5
    kept = align(estimate, np.full(2000, 0.1), loadings, 0.5, common=True)
    assert kept.delta[0] == pytest.approx(0.5, abs=0.1)
    assert kept.accepted and kept.covariance.shape == (1, 1)


def test_a_common_effect_of_any_size_changes_nothing_else(rng):
    estimate, se, loadings = effects(rng)
    plain = align(estimate, se, loadings, 0.4, common=True)
    for shift in (-3.0, 0.5, 20.0):
        moved = align(estimate + shift, se, loadings, 0.4, common=True)
        np.testing.assert_allclose(moved.delta, plain.delta, atol=2e-3)
        np.testing.assert_allclose(moved.covariance, plain.covariance, rtol=0.05)


def test_the_information_about_a_contrast_is_that_of_students_t(simulate, rng, monkeypatch):
    """Held-out noise being equal, a factor costs what a degree of freedom is worth: Fisher's information of t, integrated."""
    cohort = with_factors(simulate(rng, 5, 600), rng, 1)
    equal = hidden_factors.HeldOut(np.ones((4, 5)), np.ones((4, 5)))
    monkeypatch.setattr(hidden_factors, "held_out_noise", lambda *given: equal)
    found = count(cohort)
    assert found.limit == 4

    def information(df):
        def slope(x):
            return (student.logpdf(x + 1e-4, df) - student.logpdf(x - 1e-4, df)) / 2e-4

        return quad(lambda x: slope(x) ** 2 * student.pdf(x, df), -np.inf, np.inf)[0]

    expected = np.array([information(8 - k) for k in range(5)])
    np.testing.assert_allclose(found.information, expected / expected[0], rtol=1e-5)


def test_the_threshold_is_the_largest_of_three_simulations_and_a_margin(simulate, rng):
    cohort = simulate(rng, 6, 300, share=0.0)
    given = (cohort.counts, cohort.features, cohort.offset)
    fit = fit_genes(*given[:2], offset=cohort.offset, ridge=effect_ridge(cohort.features))
    found = latent_number(*given, fit, np.random.default_rng(3))
    _, mean, dispersion, _, rank = standardised_residuals(*given, fit)
    simulated = []
    draws = np.random.default_rng(3)
    order = sample_order(cohort.counts, cohort.features)
    for _ in range(3):
        counts = np.empty_like(mean)
        counts[order] = draws.poisson(draws.gamma(1 / dispersion, (dispersion * mean)[order]))
        residuals = standardise(counts, mean, dispersion, cohort.features)
        simulated.append(np.linalg.svd(residuals, compute_uv=False)[: 12 - rank])
    np.testing.assert_allclose(found.threshold, 1.05 * np.max(simulated, axis=0), rtol=1e-9)


def test_near_null_is_the_share_of_the_prior_below_one_and_a_half_standard_errors(rng):
    """Effects of 0.5, 1 and 5 standard errors, a third of the genes each: two thirds are near null."""
    size = np.repeat([0.5, 1.0, 5.0], 2000)
    estimate = rng.normal(0, 0.1 * np.hypot(1, size))
    found = align(estimate, np.full(6000, 0.1), rng.normal(0, 0.5, (1, 6000)), 0.4)
    assert found.near_null == pytest.approx(2 / 3, abs=0.08)
    doubled = align(
        rng.normal(0, 0.1 * np.hypot(1, 2 * size + 1)), np.full(6000, 0.1), rng.normal(0, 0.5, (1, 6000)), 0.4
    )
    assert doubled.near_null < 0.2
    assert not doubled.accepted
