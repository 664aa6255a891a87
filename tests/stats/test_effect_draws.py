import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.shrinkage import SpikeAndNormal, draw_effects, spike_and_normal


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
