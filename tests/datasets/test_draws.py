import numpy as np
import pytest

from bulkvi.datasets._draws import TRENDS, draw_continuous, draw_effects, draw_levels, draw_loadings


@pytest.mark.parametrize("sizes", [(5, 5), (12, 30), (50, 50), (200, 200)])
@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.5])
@pytest.mark.parametrize("share", [(0.5, 0.5), (0.4, 0.6), (1 / 3, 1 / 3, 1 / 3)])
def test_levels_follow_the_group_up_to_rounding_to_whole_samples(sizes, correlation, share, rng):
    group = np.repeat([0, 1], sizes)
    level = draw_levels(group, np.array(share), correlation, "correlation", rng)
    # Rounding moves less than one sample per level and group.
    assert abs(np.corrcoef(level, group)[0, 1] - correlation) < 1.5 / min(sizes)
    np.testing.assert_allclose(np.bincount(level) / group.size, share, atol=1.01 / min(sizes))


def test_levels_without_correlation_are_spread_evenly_over_equal_groups(rng):
    group = np.repeat([0, 1], 7)
    level = draw_levels(group, np.full(3, 1 / 3), 0.0, "correlation", rng)
    np.testing.assert_array_equal(np.bincount(level[:7]), np.bincount(level[7:]))


def test_full_correlation_confounds_levels_with_the_group(rng):
    group = np.repeat([0, 1], 4)
    np.testing.assert_array_equal(draw_levels(group, np.array([0.5, 0.5]), 1.0, "correlation", rng), group)
    np.testing.assert_array_equal(draw_levels(group, np.array([0.5, 0.5]), -1.0, "correlation", rng), 1 - group)


def test_levels_fall_on_different_samples_with_each_seed():
    group = np.repeat([0, 1], 50)
    a, b = (draw_levels(group, np.array([0.5, 0.5]), 0.0, "r", np.random.default_rng(s)) for s in (0, 1))
    assert 0.2 < np.mean(a != b) < 0.8


def test_a_correlation_out_of_reach_is_refused_with_the_largest_possible_one(rng):
    group = np.repeat([0, 1], 100)
    # One fifth at the upper level: at most sqrt(.2 / .8) = .5.
    with pytest.raises(ValueError, match=r"`hidden_correlation` = 0\.6 cannot be reached.*0\.500"):
        draw_levels(group, np.array([0.8, 0.2]), 0.6, "hidden_correlation", rng)
    level = draw_levels(group, np.array([0.8, 0.2]), 0.5, "hidden_correlation", rng)
    assert np.corrcoef(level, group)[0, 1] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("correlation", [-1.0, -0.4, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [(2, 2), (5, 9)])
def test_a_continuous_factor_has_the_exact_correlation_and_unit_variance(correlation, sizes, rng):
    group = np.repeat([0, 1], sizes)
    factor = draw_continuous(group, correlation, rng)
    assert np.corrcoef(factor, group)[0, 1] == pytest.approx(correlation, abs=1e-12)
    assert (factor.mean(), factor.std()) == pytest.approx((0, 1), abs=1e-12)


def test_effects_of_both_shapes_have_the_same_sd_but_t3_has_heavier_tails():
    n = 400_000
    normal, t3 = (draw_effects(n, 1.0, 0.5, d, 0.8, np.random.default_rng(0)) for d in ("normal", "t3"))
    assert normal.std() == pytest.approx(0.8, rel=0.01)
    assert t3.std() == pytest.approx(0.8, rel=0.05)
    assert np.mean(abs(t3) > 3.2) > 20 * np.mean(abs(normal) > 3.2)
    # Quartiles of a t with 3 degrees of freedom scaled to variance 1.
    assert np.median(abs(t3)) == pytest.approx(0.8 * 0.7649 / np.sqrt(3), rel=0.01)


def test_a_larger_share_of_changed_genes_contains_the_smaller_one(rng):
    few, many = (draw_effects(1000, s, 1.0, "normal", 1.0, np.random.default_rng(3)) for s in (0.1, 0.4))
    changed = few != 0
    np.testing.assert_array_equal(few[changed], many[changed])
    assert (many != 0).sum() == 400


def test_loadings_hit_an_exact_share_of_genes_with_the_sd_asked_for(rng):
    loading = draw_loadings(20_000, 2, 0.3, 0.7, rng)
    hit = (loading != 0).all(1)
    assert hit.sum() == (loading != 0).any(1).sum() == 6000
    assert loading[hit].std() == pytest.approx(0.7, rel=0.03)


@pytest.mark.parametrize("trend", TRENDS.values(), ids=TRENDS)
def test_base_means_are_the_mixture_within_the_range_seen(trend, rng):
    log_mean = np.log(trend.draw_base_mean(200_000, rng))
    assert log_mean.min() >= trend.log_range[0] - 1e-9
    assert log_mean.max() <= trend.log_range[1] + 1e-9
    weight, mean, sd = map(np.array, (trend.weight, trend.log_mean, trend.log_sd))
    inside = np.median(log_mean)
    grid = np.linspace(-20, 30, 50_001)
    density = (weight * np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2) / sd).sum(1)
    median = grid[np.searchsorted(np.cumsum(density) / density.sum(), 0.5)]
    assert inside == pytest.approx(median, abs=0.03)
    assert weight.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("trend", TRENDS.values(), ids=TRENDS)
def test_dispersions_scatter_log_normally_around_the_trend(trend, rng):
    base_mean = np.exp(rng.uniform(*trend.log_range, size=100_000))
    residual = np.log(trend.draw_dispersion(base_mean, rng)) - np.log(trend.asymptote + trend.extra_poisson / base_mean)
    assert residual.mean() == pytest.approx(0, abs=0.02)
    assert residual.std() == pytest.approx(trend.scatter, rel=0.02)
    assert abs(np.corrcoef(residual, np.log(base_mean))[0, 1]) < 0.02
