import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.shrinkage import (
    ShrinkagePrior,
    SpikeAndNormal,
    draw_effects,
    marginal_likelihoods,
    mixture_weights,
    scale_grid,
    shrink,
    shrinkage_prior,
    spike_and_normal,
)


def effects(rng, n_genes=2000, share=0.2, sd=1.0, n_nodes=5):
    """Effects seen with noise whose size is itself uncertain."""
    truth = np.where(rng.random(n_genes) < share, rng.normal(0, sd, n_genes), 0.0)
    se = np.exp(rng.normal(-1.2, 0.5, n_genes))
    nodes = np.exp(np.linspace(-0.4, 0.4, n_nodes) if n_nodes > 1 else np.zeros(1))[:, None]
    estimate = (
        truth + se * rng.normal(size=n_genes) * np.ones((n_nodes, 1)) + 0.02 * rng.normal(size=(n_nodes, n_genes))
    )
    weight = rng.dirichlet(np.full(n_nodes, 3.0), size=n_genes).T
    return EffectLikelihood(estimate, se * nodes, np.ascontiguousarray(weight)), truth


PRIOR = ShrinkagePrior(np.array([0.0, 0.1, 0.6, 2.0]), np.array([0.5, 0.2, 0.0, 0.3]))


def density(effect, prior, g):
    """Unnormalised posterior of one gene: the continuous part as a function, and the mass at zero."""

    def likelihood(x):
        return sum(
            w * norm.pdf(b, x, s)
            for b, s, w in zip(effect.estimate[:, g], effect.se[:, g], effect.weight[:, g], strict=True)
        )

    def continuous(x):
        return likelihood(x) * sum(
            w * norm.pdf(x, 0, s) for s, w in zip(prior.scale, prior.weight, strict=True) if s > 0
        )

    return continuous, likelihood(0.0) * prior.weight[0]


def test_posterior_is_likelihood_times_prior_by_numerical_integration(rng):
    effect, _ = effects(rng, 12, share=0.7, sd=1.5)
    post = shrink(effect, PRIOR, delta=0.4)
    x = np.concatenate([-np.logspace(1.1, -9, 100_000), [0.0], np.logspace(-9, 1.1, 100_000)])
    for g in range(12):
        continuous, zero = density(effect, PRIOR, g)
        height = continuous(x)
        mass = np.append(0, np.cumsum(np.diff(x) * (height[1:] + height[:-1]) / 2))
        mean, square = np.trapezoid(x * height, x), np.trapezoid(x * x * height, x)
        total = mass[-1] + zero
        below, above = mass[100_000] / total, (mass[-1] - mass[100_000]) / total
        np.testing.assert_allclose(post.mean[g], mean / total, atol=1e-7)
        np.testing.assert_allclose(post.sd[g], np.sqrt(square / total - (mean / total) ** 2), atol=1e-6)
        np.testing.assert_allclose(post.prob_zero[g], zero / total, atol=1e-7)
        np.testing.assert_allclose(post.prob_positive[g], above, atol=1e-7)
        np.testing.assert_allclose(post.lfsr[g], zero / total + min(above, below), atol=1e-7)
        inside = np.interp(0.4, x, mass) - np.interp(-0.4, x, mass)
        np.testing.assert_allclose(post.prob_effect[g], (mass[-1] - inside) / total, atol=1e-6)
        for end, tail in ((post.low[g], 0.025), (post.high[g], 0.975)):
            before = (np.interp(end, x, mass) + zero * (end > 0)) / total
            assert before - 1e-6 <= tail <= before + zero / total * (end == 0) + 1e-6


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_interval_of_a_plain_normal_posterior_is_the_textbook_one(level):
    effect = EffectLikelihood(np.array([[1.0, -3.0]]), np.array([[0.5, 0.2]]), np.ones((1, 2)))
    post = shrink(effect, ShrinkagePrior(np.array([0.0, 1.0]), np.array([0.0, 1.0])), level=level)
    mean, sd = effect.estimate[0] / (1 + effect.se[0] ** 2), effect.se[0] / np.sqrt(1 + effect.se[0] ** 2)
    np.testing.assert_allclose(post.low, norm.ppf((1 - level) / 2, mean, sd), rtol=1e-7)
    np.testing.assert_allclose(post.high, norm.ppf((1 + level) / 2, mean, sd), rtol=1e-7)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("heavy", [False, True])
def test_weights_beat_a_long_run_of_em_and_satisfy_the_optimality_conditions(seed, heavy):
    """Heavy tails: full Newton steps emptied the one wide component that explained a few large effects, and stalled."""
    rng = np.random.default_rng(seed)
    effect, truth = effects(rng, share=0.1)
    if heavy:
        large = np.where(truth != 0, rng.standard_t(2, truth.size), 0.0)
        effect = effect._replace(estimate=effect.estimate - truth + large, se=0.4 * effect.se)
    likelihood = marginal_likelihoods(effect, scale_grid(effect))
    weight, converged = mixture_weights(likelihood, null_count=9.0)
    assert converged

    def objective(weight):
        return np.log(weight @ likelihood).sum() + 9.0 * np.log(weight[0])

    em = np.full(len(likelihood), 1 / len(likelihood))
    for _ in range(1000):
        share = likelihood * em[:, None]
        em = (share / share.sum(0)).sum(1)
        em[0] += 9.0
        em /= em.sum()
    assert objective(weight) >= objective(em) - 1e-3
    gain = (likelihood / (weight @ likelihood)).sum(1)
    gain[0] += 9.0 / weight[0]
    total = likelihood.shape[1] + 9.0
    assert gain.max() <= total * (1 + 1e-5)
    np.testing.assert_allclose(gain[weight > 1e-3], total, rtol=1e-3)
    np.testing.assert_allclose(weight.sum(), 1)


def test_weights_that_ran_out_of_rounds_say_so(rng):
    effect, _ = effects(rng)
    assert not mixture_weights(marginal_likelihoods(effect, scale_grid(effect)), max_iter=2)[1]


def test_prior_finds_the_share_and_the_size_of_the_effects(rng):
    effect, truth = effects(rng, 20_000, share=0.3, sd=1.5, n_nodes=1)
    prior = shrinkage_prior(effect)
    far = prior.weight[prior.scale > 0.5].sum()
    assert abs(far - 0.3) < 0.06
    assert abs((prior.weight * prior.scale**2).sum() / np.var(truth) - 1) < 0.1


def test_without_effects_the_point_mass_takes_nearly_all(rng):
    effect, _ = effects(rng, 5000, share=0.0, n_nodes=1)
    prior = shrinkage_prior(effect)
    assert (prior.weight * prior.scale**2).sum() < 0.002


def test_posterior_mean_has_the_sign_of_the_estimate_and_is_never_larger(rng):
    effect, _ = effects(rng, n_nodes=1)
    post = shrink(effect, shrinkage_prior(effect))
    assert (post.mean * effect.estimate[0] >= 0).all()
    assert (np.abs(post.mean) <= np.abs(effect.estimate[0]) + 1e-12).all()


def test_turning_all_signs_around_turns_the_answers_around(rng):
    effect, _ = effects(rng)
    prior = shrinkage_prior(effect)
    one, other = shrink(effect, prior), shrink(effect._replace(estimate=-effect.estimate), prior)
    np.testing.assert_allclose(one.mean, -other.mean, atol=1e-12)
    np.testing.assert_allclose(one.low, -other.high, atol=1e-8)
    np.testing.assert_allclose(one.lfsr, other.lfsr, atol=1e-12)


def test_interval_that_ends_inside_the_point_mass_ends_at_zero_exactly():
    effect = EffectLikelihood(np.full((1, 3), [0.1, 2.0, -2.0]), np.full((1, 3), 0.8), np.ones((1, 3)))
    post = shrink(effect, ShrinkagePrior(np.array([0.0, 1.0]), np.array([0.9, 0.1])))
    assert post.low[1] == 0.0
    assert post.high[1] > 1
    assert post.high[2] == 0.0
    assert post.low[2] < -1


def test_hopeless_likelihoods_and_enormous_effects_stay_finite():
    estimate = np.array([[0.0, 30.0, -25.0, 1e-9, 8.0]])
    effect = EffectLikelihood(estimate, np.array([[10.0, 0.01, 0.02, 10.0, 0.001]]), np.ones((1, 5)))
    post = shrink(effect, shrinkage_prior(effect), delta=0.5)
    assert all(np.isfinite(part).all() for part in post)
    assert (post.low <= post.mean).all()
    assert (post.mean <= post.high).all()
    np.testing.assert_allclose(post.mean[[1, 2]], [30, -25], rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"), [({"level": 1.0}, "`level` is 1.0"), ({"delta": -1.0}, "`delta` is -1.0")]
)
def test_bad_settings_are_refused(rng, change, message):
    effect, _ = effects(rng, 10)
    with pytest.raises(ValueError, match=message):
        shrink(effect, PRIOR, **change)


def moments(parts: SpikeAndNormal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation and lfsr of a point mass and a normal curve."""
    share = 1 - parts.zero
    mean = share * parts.mean
    sd = np.sqrt(share * (parts.sd**2 + parts.mean**2) - mean**2)
    return mean, sd, parts.zero + share * norm.cdf(-np.abs(parts.mean) / parts.sd)


def test_a_point_mass_and_a_curve_are_found_again():
    rng = np.random.default_rng(0)
    true = SpikeAndNormal(rng.uniform(0, 0.9, 200), rng.normal(0, 3, 200), rng.uniform(0.2, 1, 200))
    np.testing.assert_allclose(moments(spike_and_normal(*moments(true))), moments(true), atol=1e-6)


def test_mean_and_sd_hold_where_no_curve_has_that_lfsr():
    for lfsr in (0.0, 1.0):
        parts = spike_and_normal(np.array([1.0, -2.0]), np.array([1.0, 0.5]), np.full(2, lfsr))
        mean = (1 - parts.zero) * parts.mean
        np.testing.assert_allclose(mean, [1.0, -2.0], rtol=1e-9)
        second = (1 - parts.zero) * (parts.sd**2 + parts.mean**2)
        np.testing.assert_allclose(np.sqrt(second - mean**2), [1.0, 0.5], rtol=1e-6)


def test_draws_have_the_mean_sd_and_lfsr_they_were_made_from():
    mean, sd, lfsr = np.array([0.3, -2.0]), np.array([0.5, 0.8]), np.array([0.55, 0.03])
    draws = draw_effects(spike_and_normal(mean, sd, lfsr), 40_000, np.random.default_rng(1))
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * sd.max() / 200)
    np.testing.assert_allclose(draws.std(0), sd, rtol=0.03)
    wrong = np.array([(draws[:, 0] <= 0).mean(), (draws[:, 1] >= 0).mean()])
    np.testing.assert_allclose(wrong, lfsr, atol=5 * 0.5 / 200)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_generator_gives_the_same_draws(seed: int):
    parts = SpikeAndNormal(np.array([0.5]), np.array([1.0]), np.array([1.0]))
    one, other = (draw_effects(parts, 5, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_nine_genes_without_effect_are_added_to_the_point_mass():
    """Twenty genes that only the point mass explains, and ten that only the other component does."""
    likelihood = np.repeat(np.eye(2), [20, 10], axis=1) + 1e-12
    weight, converged = mixture_weights(likelihood)
    assert converged
    np.testing.assert_allclose(weight, [29 / 39, 10 / 39], rtol=1e-4)
    np.testing.assert_allclose(mixture_weights(likelihood, 0.0)[0], [2 / 3, 1 / 3], rtol=1e-4)


@pytest.fixture
def wide_effects(rng):
    """A tenth of the genes changed; the estimates of all are 1.3 times as wide as their standard errors."""
    true = np.where(rng.random(3000) < 0.1, rng.normal(size=3000), 0.0)
    return EffectLikelihood(rng.normal(true, 0.13)[None], np.full((1, 3000), 0.1), np.ones((1, 3000)))


@pytest.mark.parametrize("independent", [3.0, 30.0])
def test_the_prior_is_the_mean_over_the_share_of_genes_without_effect(wide_effects, independent):
    """Against the integral at 200 places."""
    prior, worth = shrinkage_prior(wide_effects, independent=independent), 3000 / independent
    likelihood = marginal_likelihoods(wide_effects, prior.scale)
    counts = 9 + worth * np.append(0.0, np.geomspace(1e-3, 1e3, 199))
    weight = np.stack([mixture_weights(likelihood, count)[0] for count in counts])
    log_likelihood = (np.log(weight @ likelihood).sum(1) + 9 * np.log(weight[:, 0])) / worth
    density = np.exp(log_likelihood - log_likelihood.max())
    width = np.gradient(weight[:, 0])
    expected = (density * width) @ weight / (density @ width)
    assert weight[0, 0] < 0.42 < 0.55 < prior.weight[0]
    assert prior.weight[0] == pytest.approx(expected[0], abs=0.02)
    assert prior.weight.sum() == pytest.approx(1)


def test_fewer_independent_genes_leave_more_of_them_without_effect(wide_effects):
    share = [shrinkage_prior(wide_effects, independent=number).weight[0] for number in (np.inf, 3000, 300, 30, 3)]
    assert share[0] == share[1] < share[2] < share[3] < share[4]


def test_the_least_share_of_genes_without_effect_holds(wide_effects):
    free, held = shrinkage_prior(wide_effects), shrinkage_prior(wide_effects, least_null=0.5)
    assert free.weight[0] < 0.5 == held.weight[0]
    np.testing.assert_allclose(held.weight[1:] / (1 - held.weight[0]), free.weight[1:] / (1 - free.weight[0]))
    only_null = EffectLikelihood(np.zeros((1, 50)), np.ones((1, 50)), np.ones((1, 50)))
    assert shrinkage_prior(only_null, independent=2.0, least_null=0.5).weight[0] == pytest.approx(1, abs=0.01)
