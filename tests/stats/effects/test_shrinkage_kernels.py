import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.shrinkage_kernels import TILE, marginal_likelihoods, summarise

SCALES = np.array([0.0, 0.3, 1.0, 4.0])
PRIOR = np.array([0.5, 0.2, 0.2, 0.1])
N_GENES = TILE + 7


@pytest.fixture
def effect(rng):
    """Estimates, standard errors and weights of three nodes."""
    weight = rng.dirichlet(np.ones(3), N_GENES).T.copy()
    return rng.normal(0, 1.5, (3, N_GENES)), rng.uniform(0.1, 0.8, (3, N_GENES)), weight


def components(effect):
    """Probability, mean and standard deviation of each component of the posterior, (node, scale) x genes."""
    estimate, se, weight = (part[:, None] for part in effect)
    variance = se**2 + SCALES[:, None] ** 2
    part = weight * PRIOR[:, None] * norm.pdf(estimate, 0, np.sqrt(variance))
    part /= part.sum((0, 1))
    mean, sd = estimate * SCALES[:, None] ** 2 / variance, se * SCALES[:, None] / np.sqrt(variance)
    return (array.reshape(-1, N_GENES) for array in (part, mean, sd))


def test_marginal_likelihoods_are_normal_densities_relative_to_the_largest(effect):
    estimate, se, weight = effect
    out = np.zeros((SCALES.size, N_GENES))
    marginal_likelihoods(estimate, se, weight, SCALES, out)
    sd = np.sqrt(se**2 + SCALES[:, None, None] ** 2)
    expected = (weight * norm.pdf(estimate, 0, sd)).sum(1)
    np.testing.assert_allclose(out, expected / expected.max(0), rtol=1e-11)


@pytest.mark.parametrize("delta", [0.0, 0.4])
def test_moments_and_probabilities_are_those_of_the_mixture(effect, delta):
    out = np.zeros((8, N_GENES))
    summarise(*effect, SCALES, PRIOR, 0.025, delta, out)
    part, mean, sd = components(effect)
    zero = (part * (sd == 0)).sum(0)
    wide = np.where(sd > 0, sd, 1.0)
    positive = (part * np.where(sd > 0, norm.sf(0, mean, wide), 0)).sum(0)
    first = (part * mean).sum(0)
    np.testing.assert_allclose(out[0], first, atol=1e-9)
    np.testing.assert_allclose(out[1], np.sqrt((part * (sd**2 + mean**2)).sum(0) - first**2), atol=1e-8)
    np.testing.assert_allclose(out[4], zero + np.minimum(positive, 1 - zero - positive), atol=1e-9)
    np.testing.assert_allclose(out[5], zero, atol=1e-9)
    np.testing.assert_allclose(out[6], positive, atol=1e-9)
    beyond = np.where(sd > 0, norm.sf(delta, mean, wide) + norm.cdf(-delta, mean, wide), 0)
    np.testing.assert_allclose(out[7], (part * beyond).sum(0), atol=1e-9)


@pytest.mark.parametrize("tail", [0.005, 0.025, 0.25])
def test_the_ends_of_the_interval_leave_the_tail_outside_or_lie_in_the_point_mass(effect, tail):
    out = np.zeros((8, N_GENES))
    summarise(*effect, SCALES, PRIOR, tail, 0.0, out)
    part, mean, sd = components(effect)
    wide = np.where(sd > 0, sd, 1.0)

    def below(x):
        return (part * np.where(sd > 0, norm.cdf(x, mean, wide), x >= 0)).sum(0)

    for end, target in ((out[2], tail), (out[3], 1 - tail)):
        at_mass = end == 0
        np.testing.assert_allclose(below(end)[~at_mass], target, atol=1e-8)
        before, after = below(np.full(N_GENES, -1e-12)), below(np.zeros(N_GENES))
        assert ((before <= target + 1e-9) & (target - 1e-9 <= after))[at_mass].all()
    assert (out[2] == 0).any() and (out[2] < 0).any()
