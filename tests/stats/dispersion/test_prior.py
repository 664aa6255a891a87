import numpy as np
import pytest
from scipy.stats import binom

from bulkvi.stats.dispersion.prior import PRIOR_GENES, KnownDeviation, dispersion_prior, hat_basis
from bulkvi.stats.effects.effect import effect_likelihood, wald_p_value
from bulkvi.stats.genes import effect_ridge, fit_genes
from tests.stats.dispersion.profiles import Given, profile_of
from tests.stats.splines import spline_at


@pytest.mark.parametrize("n_per_group", [3, 10])
def test_prior_is_the_one_the_dispersions_were_drawn_from(simulate, rng, n_per_group):
    cohort = simulate(rng, n_per_group, 4000, log_mean=(5.0, 1.5), scatter=0.6)
    profile, log_mean = profile_of(cohort)
    prior = dispersion_prior(profile, log_mean)
    assert prior.converged
    assert abs(np.log(prior.variance / 0.36)) < 0.2
    known = (log_mean > 3) & (log_mean < 8)
    truth = np.log(0.05 + 2 / np.exp(log_mean))
    assert np.abs(prior.log_trend - truth)[known].mean() < 0.08
    z = (prior.mean - np.log(cohort.dispersion)) / prior.sd
    assert abs(np.mean(np.abs(z[known]) < 1.96) - 0.95) < 0.02


def test_variance_and_trend_are_where_the_marginal_likelihood_is_highest(simulate, rng):
    cohort = simulate(rng, 4, 3000, scatter=0.7)
    profile, log_mean = profile_of(cohort)
    prior = dispersion_prior(profile, log_mean, tol=1e-4, max_iter=200)
    nodes = prior.mean + np.linspace(-6, 6, 61)[:, None] * prior.sd
    place = np.log1p(np.exp(nodes) * profile.largest) * profile.root_df / profile.spacing - profile.first
    value = spline_at(profile.log_likelihood, place)

    def log_marginal(trend, variance):
        log_prior = -0.5 * (nodes - trend) ** 2 / variance - 0.5 * np.log(variance)
        return np.log((np.exp(value + log_prior) * prior.sd).sum(0)).sum()

    best = log_marginal(prior.log_trend, prior.variance)
    for trend, variance in [(0, 1.15), (0, 1 / 1.15), (0.08, 1), (-0.08, 1)]:
        assert log_marginal(prior.log_trend + trend, prior.variance * variance) < best


def test_the_trend_of_genes_with_few_counts_is_not_lost():
    """Cut at 4 sd of their own small spread, the few that show overdispersion were left out, and FDR was 0.09."""
    rng = np.random.default_rng(2)
    mean = np.exp(rng.normal(5, 2, 8000))
    dispersion = np.exp(np.log(0.01 + 0.5 / mean) + rng.normal(0, 0.7, mean.size))
    pair, treated = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    rate = mean * np.exp(rng.normal(0, 0.4, (4, mean.size)))[pair]
    counts = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * rate)).astype(float)
    kept = counts.sum(0) >= 10
    features = np.column_stack([np.ones(8), pair[:, None] == [1, 2, 3], treated]).astype(float)
    fit = fit_genes(counts[:, kept], features, offset=np.zeros(8), ridge=effect_ridge(features))
    few = (fit.base_mean > 5) & (fit.base_mean < 20)
    error = fit.prior.log_trend - np.log(0.01 + 0.5 / mean[kept])
    assert few.sum() > 500
    assert abs(error[few].mean()) < 0.3


def drawn(rng, n_per_group, mean, log_dispersion):
    """Two groups of negative binomial counts without a difference."""
    dispersion = np.exp(log_dispersion)
    counts = rng.poisson(rng.gamma(1 / dispersion, dispersion * mean, (2 * n_per_group, mean.size))).astype(float)
    group = np.repeat([0.0, 1.0], n_per_group)
    return Given(counts, np.column_stack([np.ones(group.size), group]), np.zeros(group.size))


def two_sided(rng, skewness, sd, size):
    """Deviations whose sides are half-normal with sds in the ratio of 1 + skewness to 1 - skewness; mean 0, variance sd^2."""
    up = rng.random(size) < (1 + skewness) / 2
    value = np.abs(rng.normal(size=size)) * np.where(up, 1 + skewness, skewness - 1)
    return sd * (value - 4 * skewness / np.sqrt(2 * np.pi)) / np.sqrt(1 + (3 - 8 / np.pi) * skewness**2)


@pytest.mark.parametrize("skewness", [-0.4, 0.0, 0.4])
@pytest.mark.parametrize(("n_per_group", "error"), [(3, 0.15), (10, 0.1)])
def test_skewness_is_learned_from_the_genes_and_their_tails_are_not_made_heavier(rng, n_per_group, error, skewness):
    mean = np.exp(rng.normal(6, 1, 4000))
    prior = dispersion_prior(
        *profile_of(drawn(rng, n_per_group, mean, np.log(0.1) + two_sided(rng, skewness, 0.9, mean.size))), shaped=True
    )
    assert abs(prior.skewness - skewness) < error
    assert prior.inverse_df < 0.03


def test_heavy_tails_are_learned_from_the_genes(rng):
    mean = np.exp(rng.normal(6, 1, 4000))
    prior = dispersion_prior(
        *profile_of(drawn(rng, 10, mean, np.log(0.1) + 0.5 * rng.standard_t(5, mean.size))), shaped=True
    )
    assert prior.inverse_df > 0.07
    assert abs(prior.skewness) < 0.3


def test_few_genes_without_a_trend_get_a_flat_one_and_many_the_one_that_they_follow(rng):
    log_mean = rng.normal(5, 1.5, 80)
    noise = rng.normal(0, 1.2, 80)
    flat = dispersion_prior(*profile_of(drawn(rng, 3, np.exp(log_mean), noise - 2)))
    steep = dispersion_prior(*profile_of(drawn(rng, 3, np.exp(log_mean), 0.2 * noise - 2 - 0.7 * (log_mean - 5))))
    assert np.ptp(flat.log_trend) < 0.8
    slope = np.polyfit(log_mean, steep.log_trend, 1)[0]
    assert -0.95 < slope < -0.4


def test_few_genes_leave_the_prior_open_and_many_close_it(rng):
    few, many = (
        dispersion_prior(*profile_of(drawn(rng, 2, np.full(n, 200.0), rng.normal(-2, 0.8, n))), shaped=True)
        for n in (30, 3000)
    )
    assert 0.2 < few.inverse_df <= 0.2 + 1 / PRIOR_GENES
    assert many.inverse_df < 0.03
    assert np.mean(few.trend_variance) > 5 * np.mean(many.trend_variance)


@pytest.mark.slow
def test_small_p_values_of_skewed_dispersions_are_as_frequent_as_they_say(rng):
    """With normal sides twice as many genes without effect are below 1e-4."""
    n_genes, p_value = 40_000, []
    cohort = drawn(rng, 3, np.exp(rng.normal(6, 1, n_genes)), np.log(0.1) + two_sided(rng, 0.5, 0.9, n_genes))
    for part in np.split(np.arange(n_genes), 4):
        fit = fit_genes(
            cohort.counts[:, part], cohort.features, offset=cohort.offset, ridge=effect_ridge(cohort.features)
        )
        p_value.append(wald_p_value(effect_likelihood(fit.nodes, np.array([0.0, 1.0]))))
    for level in (1e-3, 1e-4):
        assert (np.concatenate(p_value) < level).sum() <= binom.ppf(0.99, n_genes, 1.1 * level)


@pytest.mark.slow
def test_panels_of_two_replicates_do_not_trust_their_prior(rng):
    """Of 24,000 genes 43 have p < 1e-3 under the true prior; with ten free knots and a variance taken as known 79 had."""
    p_value = []
    for _ in range(300):
        cohort = drawn(rng, 2, np.exp(rng.normal(4, 1.5, 80)), rng.normal(-2, 1.4, 80))
        fit = fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=effect_ridge(cohort.features))
        p_value.append(wald_p_value(effect_likelihood(fit.nodes, np.array([0.0, 1.0]))))
    assert (np.concatenate(p_value) < 1e-3).sum() <= binom.ppf(0.99, 300 * 80, 2.2e-3)


def test_wild_genes_do_not_widen_the_prior_of_the_others(simulate, rng):
    cohort = simulate(rng, 5, 3000)
    clean = dispersion_prior(*profile_of(cohort)).variance
    counts = cohort.counts.copy()
    counts[3, ::50] = 50 * counts[3, ::50] + 100
    profile, log_mean = profile_of(cohort._replace(counts=counts))
    wild, uncut = (dispersion_prior(profile, log_mean, tail=tail).variance for tail in (4.0, 30.0))
    assert np.log(wild / clean) < 0.25 * np.log(uncut / clean)


def test_cutting_the_tails_does_not_bias_the_variance(simulate, rng):
    profile, log_mean = profile_of(simulate(rng, 10, 4000))
    cut, uncut = (dispersion_prior(profile, log_mean, tail=tail).variance for tail in (2.0, 30.0))
    assert abs(np.log(cut / uncut)) < 0.07


def test_prior_that_ran_out_of_rounds_says_so(cohort):
    assert not dispersion_prior(*profile_of(cohort), max_iter=1).converged


def test_genes_that_say_nothing_follow_the_prior_and_leave_it_alone(simulate, rng):
    cohort = simulate(rng, 5, 2000)
    empty = np.zeros((10, 500))
    empty[0] = 1.0
    with_empty = cohort._replace(counts=np.column_stack([cohort.counts, empty]))
    plain, more = dispersion_prior(*profile_of(cohort)), dispersion_prior(*profile_of(with_empty))
    assert abs(np.log(more.variance / plain.variance)) < 0.1
    assert np.all(more.sd[-500:] > 0.9 * np.sqrt(more.variance))


def test_trend_stays_bounded_where_no_gene_says_anything(rng):
    """Genes with hardly a count, whose likelihood rises with the dispersion, once pulled the trend up to exp(200)."""
    mean, dispersion = np.exp(rng.normal(3, 3, 300)), np.exp(rng.normal(-1, 2, 300))
    counts = rng.poisson(rng.gamma(1 / dispersion, 1, (16, 300)) * dispersion * mean).astype(float)
    counts[:, ::10] = 0.0
    profile = profile_of(Given(counts, rng.normal(size=(16, 6)), np.zeros(16)))[0]
    prior = dispersion_prior(profile, np.log(np.maximum(counts.mean(0), 1e-3)))
    assert np.isfinite(prior.mean).all()
    assert -7 < prior.log_trend.min() < prior.log_trend.max() < 3


def sparse(seed: int, n_samples: int, sparsity: tuple[float, float]) -> Given:
    """Counts as of 16S: most genes in few samples, at any depth."""
    rng = np.random.default_rng(seed)
    present = rng.random((n_samples, 400)) < rng.beta(*sparsity, 400)
    mean = rng.lognormal(2, 2, 400) * rng.lognormal(0, 0.6, (n_samples, 1)) * present
    counts = rng.poisson(rng.gamma(0.5, 2, mean.shape) * mean).astype(float)
    counts = counts[:, counts.sum(0) >= 10]
    return Given(counts, np.column_stack([np.ones(n_samples), np.arange(n_samples) % 2]), np.zeros(n_samples))


@pytest.mark.parametrize("sparsity", [(0.3, 1.5), (0.1, 2.0)])
@pytest.mark.parametrize("seed", range(4))
def test_the_trend_of_sparse_counts_settles(seed: int, sparsity: tuple[float, float]):
    """One gene at the edge of the cut went in and out for ever, or the variance grew to 12,000."""
    given = sparse(seed, 30, sparsity)
    prior = dispersion_prior(*profile_of(given))
    assert prior.converged
    assert prior.variance <= 4
    assert np.isfinite(prior.mean).all() and prior.mean.max() < 7
    fit = fit_genes(given.counts, given.features, offset=given.offset, ridge=effect_ridge(given.features))
    assert all(np.isfinite(part).all() for part in (fit.nodes.weight, fit.nodes.coef, fit.nodes.covariance))


def test_a_single_gene_that_says_nothing_leaves_the_start_as_it_is():
    same = Given(np.full((8, 1), 7.0), np.ones((8, 1)), np.zeros(8))
    prior = dispersion_prior(*profile_of(same))
    assert np.isfinite([prior.variance, *prior.mean, *prior.sd, *prior.log_trend]).all()


def test_genes_are_informed_by_their_own_counts_or_by_the_prior(cohort):
    prior = dispersion_prior(*profile_of(cohort))
    share = prior.sd**2 / prior.variance
    np.testing.assert_array_equal(prior.informed, share <= 0.5)


def test_order_of_genes_does_not_matter(cohort, rng):
    order = rng.permutation(cohort.counts.shape[1])
    plain = dispersion_prior(*profile_of(cohort))
    mixed = dispersion_prior(*profile_of(cohort._replace(counts=cohort.counts[:, order])))
    np.testing.assert_allclose(mixed.mean, plain.mean[order], atol=1e-8)


def test_hat_functions_add_up_to_one_and_interpolate():
    knots = np.array([0.0, 1.0, 4.0])
    x = np.array([-5.0, 0.25, 1.0, 3.0, 9.0])
    basis = hat_basis(x, knots)
    np.testing.assert_allclose(basis.sum(1), 1)
    np.testing.assert_allclose(basis @ knots, np.clip(x, 0, 4))


def known_of(cohort, log_mean, rng, *, right, noise=0.6):
    """What a cohort says of deviations of sd 0.8: those that this cohort was drawn with and other differences, or of other genes."""
    deviation = np.log(cohort.dispersion / (0.05 + 2 / np.exp(log_mean)))
    told = deviation if right else rng.normal(0, 0.8, deviation.size)
    return KnownDeviation(told + rng.normal(0, noise, deviation.size), np.full(deviation.size, 0.1))


@pytest.mark.parametrize("told", [True, False])
def test_trust_in_a_reference_is_learned(simulate, rng, told):
    cohort = simulate(rng, 3, 3000, log_mean=(5.0, 1.0), scatter=0.8)
    profile, log_mean = profile_of(cohort)
    reference = known_of(cohort, log_mean, rng, right=told)
    plain = dispersion_prior(profile, log_mean)
    prior = dispersion_prior(profile, log_mean, reference=reference)
    assert prior.converged
    error = np.abs(prior.mean - np.log(cohort.dispersion)).mean()
    if told:
        # the regression of the truth on what is told: 0.64 / (0.64 + 0.36), and the variance about it is 0.64 x 0.36
        assert abs(prior.trust - 0.64) < 0.08
        assert abs(np.log(prior.variance / 0.23)) < 0.25
        assert error < 0.85 * np.abs(plain.mean - np.log(cohort.dispersion)).mean()
        z = (prior.mean - np.log(cohort.dispersion)) / prior.sd
        assert abs(np.mean(np.abs(z) < 1.96) - 0.95) < 0.03
    else:
        assert prior.trust < 0.1
        assert abs(np.log(prior.variance / plain.variance)) < 0.05
        np.testing.assert_allclose(prior.mean, plain.mean, atol=0.25)


def test_genes_that_a_reference_lacks_keep_the_prior_without(simulate, rng):
    cohort = simulate(rng, 3, 3000, log_mean=(5.0, 1.0), scatter=0.8)
    profile, log_mean = profile_of(cohort)
    reference = known_of(cohort, log_mean, rng, right=True)
    lacking = np.arange(log_mean.size) % 2 == 0
    half = KnownDeviation(np.where(lacking, np.nan, reference.mean), np.where(lacking, np.nan, reference.sd))
    plain, prior = dispersion_prior(profile, log_mean), dispersion_prior(profile, log_mean, reference=half)
    spread = np.sqrt(prior.variance + prior.trend_variance)
    assert abs(np.log(spread[lacking].mean() ** 2 / plain.variance)) < 0.25
    assert spread[~lacking].mean() < 0.75 * spread[lacking].mean()
    assert np.corrcoef(prior.mean[lacking], plain.mean[lacking])[0, 1] > 0.99


def test_a_reference_that_lacks_all_genes_is_none(simulate, rng):
    cohort = simulate(rng, 3, 500)
    profile, log_mean = profile_of(cohort)
    nothing = KnownDeviation(*np.full((2, log_mean.size), np.nan))
    prior, plain = dispersion_prior(profile, log_mean, reference=nothing), dispersion_prior(profile, log_mean)
    np.testing.assert_allclose(prior.mean, plain.mean, atol=1e-6)
