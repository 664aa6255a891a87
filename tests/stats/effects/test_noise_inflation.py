import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.noise_inflation import (
    LARGEST_VARIANCE,
    NoiseInflation,
    expected_alone,
    is_shared,
    noise_inflation,
    null_inflation,
    null_variance,
    split_inflation,
    widen_log_p,
)
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


def test_two_directions_leave_the_width_of_a_contrast_open(simulate, rng):
    widths = {}
    for size in (2, 3):
        cohort = with_shared_noise(simulate(rng, size, 3000), rng)
        expected = expected_alone(noise_inflation(cohort.counts, cohort.features, cohort.offset, fit(cohort)))
        assert expected is not None
        widths[size] = expected.log_sd
    assert widths[2] > 0.4
    assert widths[2] > 1.2 * widths[3]


def test_independent_genes_leave_no_width_open(simulate, rng):
    cohort = simulate(rng, 2, 3000)
    assert expected_alone(noise_inflation(cohort.counts, cohort.features, cohort.offset, fit(cohort))) is None


def test_shared_noise_leaves_few_independent_genes_whatever_changes(simulate, rng):
    found = []
    for share in (0.0, 0.7):
        alone = simulate(rng, 6, 3000, share=share)
        shared = with_shared_noise(alone, rng)
        found += [noise_inflation(c.counts, c.features, c.offset, fit(c)).independent for c in (alone, shared)]
    assert min(found[0], found[2]) > 300
    assert max(found[1], found[3]) < 30


def test_no_residuals_no_statement(simulate, rng):
    cohort = simulate(rng, 2, 300)
    few = cohort._replace(
        counts=cohort.counts[:3], features=np.column_stack([np.ones(3), [0.0, 0, 1]]), offset=cohort.offset[:3]
    )
    assert noise_inflation(few.counts, few.features, few.offset, fit(few)).factor.tolist() == [1]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("sd", [1.0, 1.3, 2.0])
def test_the_width_of_unchanged_genes_is_found_beside_changed_ones(share, sd):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        effect = np.where(rng.random(5000) < share, rng.normal(0, 6, 5000), 0.0)
        found.append(null_variance(rng.normal(effect, sd)))
    # small effects count as width, at most: an error on the safe side
    assert sd**2 * 0.97 - 0.02 < np.mean(found) < sd**2 * 1.1


def test_it_never_narrows_and_has_a_largest_value(rng):
    assert null_variance(rng.normal(0, 0.5, 3000)) == 1.0
    assert null_variance(rng.normal(0, 3, 3000)) == pytest.approx(9, rel=0.1)
    assert null_variance(rng.normal(0, 3.6, 3000)) <= LARGEST_VARIANCE
    assert null_variance(np.array([np.nan, np.inf])) == 1.0


def test_sign_and_order_do_not_matter(rng):
    z = rng.normal(0, 1.4, 2000)
    assert null_variance(z) == pytest.approx(null_variance(-rng.permutation(z)), rel=1e-6)


def test_widened_p_values_are_those_of_a_wider_normal(rng):
    z = rng.normal(0, 3, 50)
    log_p = np.log(2) + norm.logsf(np.abs(z))
    wide, usual = NoiseInflation(np.array([1.7]), np.ones(1)), NoiseInflation(np.ones(1), np.ones(1))
    np.testing.assert_allclose(
        widen_log_p(log_p, wide), np.log(2) + norm.logsf(np.abs(z), scale=np.sqrt(1.7)), atol=1e-9
    )
    np.testing.assert_allclose(widen_log_p(log_p, usual), log_p, atol=1e-9)
    both = NoiseInflation(np.array([1.0, 1.7]), np.array([0.3, 0.7]))
    mean = 0.3 * np.exp(log_p) + 0.7 * np.exp(widen_log_p(log_p, wide))
    np.testing.assert_allclose(np.exp(widen_log_p(log_p, both)), mean, rtol=1e-9)
    far = NoiseInflation(np.array([2.0]), np.ones(1))
    assert widen_log_p(np.array([-2000.0]), far)[0] == pytest.approx(-1000, rel=0.01)


def mean_factor(z, expected):
    factor, weight = null_inflation(z, expected)[:2]
    assert weight.sum() == pytest.approx(1)
    assert (factor >= 1).all()
    return float(weight @ factor)


def test_a_width_within_reach_is_shared_noise_and_one_beyond_it_small_effects(rng):
    expected = ExpectedInflation(0.05, 0.25)
    within, beyond = (mean_factor(rng.normal(0, sd, 8000), expected) for sd in (1.25, 2.2))
    assert within > 1.3
    assert beyond < 1.25
    # where much is to be expected, the same width is noise
    assert mean_factor(rng.normal(0, 2.2, 8000), ExpectedInflation(0.5, 0.7)) > 2
    # and nothing is taken off where statistics are as narrow as they should be
    assert mean_factor(rng.normal(0, 0.9, 8000), expected) == 1


def test_noise_as_wide_as_expected_keeps_its_error(rng):
    # data sets whose width is drawn from what is expected: p-values below .05 are .05 of all on average
    expected, shares = ExpectedInflation(0.1, 0.3), []
    for _ in range(200):
        z = rng.normal(0, np.exp(rng.normal(0.1, 0.3) / 2), 1000)
        log_p = np.log(2) + norm.logsf(np.abs(z))
        shares.append((widen_log_p(log_p, null_inflation(z, expected)) < np.log(0.05)).mean())
    assert np.mean(shares) < 0.05 + 3 * np.std(shares) / np.sqrt(200)


def test_a_factor_beside_effects_is_split_as_a_truncated_normal(rng):
    expected, wide = ExpectedInflation(0.1, 0.3), NoiseInflation(np.array([1.0, 1.6]), np.array([0.9, 0.1]))
    draws = np.exp(rng.normal(0.1, 0.3, 200_000))
    draws = draws[draws < 1.6]
    for limit in (0.8, 1.2, 1.5, 1.7):
        above, median = split_inflation(limit, wide, expected)
        share = np.mean(draws > limit)
        assert above == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / draws.size))
        assert median == pytest.approx(max(1, np.median(draws[draws < limit])), abs=0.01)
    # a limit, or a width, far below all that is expected
    assert split_inflation(1e-9, wide, expected) == pytest.approx((1.0, 1.0))
    assert split_inflation(1.0, wide, ExpectedInflation(60.0, 0.1)) == (0.0, 1.0)


def test_the_better_explanation_of_a_width_has_even_odds_or_more(rng):
    def explained(sd, log_mean, log_sd):
        expected = ExpectedInflation(log_mean, log_sd)
        return is_shared(null_inflation(rng.normal(0, sd, 5000), expected), expected)

    assert explained(1.15, 0.05, 0.25)
    assert not explained(1.8, 0.05, 0.25)
    # the odds are against shared noise, but one contrast in eight is as wide: nothing is known
    assert explained(1.8, 0.05, 1.0)
    # one contrast in thirty is as wide, but a width this small is rarer still by small effects
    assert explained(1.12, 0.05, 0.09)
