"""Draws of effects against the posterior in closed form, and of what all effects depend on against its moments."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.effect_draws import (
    USUAL_INDEPENDENT,
    USUAL_LOG_SD,
    draw_effects_given_prior,
    draw_independent,
    draw_log_factor,
    draw_prior,
)
from bulkvi.stats.effects.shrinkage import ShrinkagePrior, shrink

N_DRAWS = 40_000


def one_normal(estimate: np.ndarray, se: np.ndarray) -> EffectLikelihood:
    return EffectLikelihood(estimate[None], se[None], np.ones((1, estimate.size)))


def test_drawn_effects_have_the_moments_of_the_posterior(rng: np.random.Generator):
    prior = ShrinkagePrior(np.array([0.0, 0.3, 1.5]), np.array([0.6, 0.3, 0.1]))
    estimate, se = np.array([0.0, 0.3, -1.0, 4.0, 0.2]), np.array([0.5, 0.2, 0.3, 1.0, 5.0])
    expected = shrink(one_normal(estimate, se), prior)
    many = one_normal(np.tile(estimate, N_DRAWS), np.tile(se, N_DRAWS))
    drawn = draw_effects_given_prior(many, prior, rng).reshape(N_DRAWS, -1)
    error = expected.sd / np.sqrt(N_DRAWS)
    assert (np.abs(drawn.mean(0) - expected.mean) < 4 * error).all()
    np.testing.assert_allclose(drawn.std(0), expected.sd, rtol=0.05)
    np.testing.assert_allclose((drawn == 0).mean(0), expected.prob_zero, atol=0.01)


def test_without_a_point_mass_no_effect_is_zero(rng: np.random.Generator):
    prior = ShrinkagePrior(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert (draw_effects_given_prior(one_normal(np.zeros(100), np.ones(100)), prior, rng) != 0).all()


def test_drawn_priors_lie_about_the_truth_and_vary(rng: np.random.Generator):
    true = np.where(rng.random(4000) < 0.8, 0.0, rng.normal(size=4000))
    effect = one_normal(rng.normal(true, 0.1), np.full(4000, 0.1))
    null = np.array([draw_prior(effect, rng).weight[0] for _ in range(12)])
    assert abs(null.mean() - 0.8) < 0.05
    assert 0.001 < null.std() < 0.05


def test_drawn_numbers_of_independent_genes_have_the_mean_of_their_posterior(rng: np.random.Generator):
    """v (m nu + 2) / 2 is chi-squared given nu; log nu is normal."""
    eigenvalues = np.array([0.4, 0.8, 1.2, 1.6])
    log_nu = np.linspace(0, np.log(5000), 20_000)
    factor = (4 * np.exp(log_nu) + 2) / 2
    density = (
        factor * chi2.pdf(eigenvalues.var() * factor, 9) * norm.pdf(log_nu, np.log(USUAL_INDEPENDENT), USUAL_LOG_SD)
    )
    drawn = [draw_independent(eigenvalues, 5000, rng) for _ in range(4000)]
    error = np.std(np.log(drawn)) / np.sqrt(len(drawn))
    assert abs(np.log(drawn).mean() - density @ log_nu / density.sum()) < 4 * error


def test_directions_as_even_as_those_of_independent_genes_count_more_than_the_usual(rng: np.random.Generator):
    genes = rng.standard_normal((4, 5000))
    eigenvalues = np.linalg.eigvalsh(genes @ genes.T)
    assert np.median([draw_independent(eigenvalues, 5000, rng) for _ in range(200)]) > 3 * USUAL_INDEPENDENT


def test_the_smallest_scale_is_kept(rng: np.random.Generator):
    effect = one_normal(rng.normal(0, 0.3, 500), np.full(500, 0.1))
    scale = draw_prior(effect, rng, 0.2).scale
    assert scale[0] == 0
    assert scale[1] >= 0.2
    assert draw_prior(effect, rng, 1e3).scale.size == 2  # the largest stays


@pytest.mark.parametrize(
    ("width", "mean", "sd"),
    [
        pytest.param(100.0, -0.1, 0.2, id="small effects explain the width"),
        pytest.param(np.exp(-0.9), -0.5, 0.2 * np.sqrt(0.5), id="narrower than expected: half-way"),
    ],
)
def test_the_factor_weighs_width_and_expectation(width: float, mean: float, sd: float, rng: np.random.Generator):
    drawn, noise_alone = zip(*(draw_log_factor(width, -0.1, 0.2, rng) for _ in range(4000)), strict=True)
    assert (np.mean(noise_alone) > 0.5) == (width < 1)
    assert np.mean(drawn) == pytest.approx(mean, abs=0.03)
    assert np.std(drawn) == pytest.approx(sd, abs=0.03)


def test_a_width_out_of_reach_gives_a_number(rng: np.random.Generator):
    assert np.isfinite([draw_log_factor(width, 0.0, 0.01, rng)[0] for width in (1e-3, 1e3)]).all()
