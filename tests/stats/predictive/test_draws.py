import numpy as np
import pytest

from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.draws import draw_counts, draw_log_rates
from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.noise import LOG_SCALES
from bulkvi.stats.predictive.state import SampleStates


def layer_and_states(rng: np.random.Generator) -> tuple[GeneLayer, SampleStates]:
    root = rng.normal(0, 0.2, (3, 2, 2))
    covariance = np.einsum("gij,gkj->gik", root, root)
    packed = np.array([covariance[:, 0, 0], covariance[:, 1, 0], covariance[:, 1, 1]])
    layer = GeneLayer(rng.normal(3, 0.5, (2, 3)), packed, np.full(3, -2.0), np.full(3, 0.3), np.ones(1))
    noise = np.zeros((2, len(LOG_SCALES)))
    noise[:, 2:5] = [0.3, 0.4, 0.3]
    return layer, SampleStates(np.array([[0.3], [-0.5]]), np.full((2, 1, 1), 0.04), noise)


def test_draws_have_the_moments_of_the_posterior(rng: np.random.Generator) -> None:
    layer, states = layer_and_states(rng)
    drawn = np.array(list(draw_log_rates(layer, np.ones((2, 1)), states, 4_000, rng)))
    mean, variance = layer.log_rate(np.hstack([np.ones((2, 1)), states.mean]))
    # the state's own variance acts through the loadings and their variance
    variance = variance + 0.04 * (layer.mean[1] ** 2 + layer.covariance[2])
    np.testing.assert_allclose(drawn.mean(0), mean, atol=4 * np.sqrt(variance.max() / 4_000))
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.12)


def test_samples_of_a_draw_share_coefficients(rng: np.random.Generator) -> None:
    layer, states = layer_and_states(rng)
    certain = states._replace(mean=np.zeros((2, 1)), covariance=np.zeros((2, 1, 1)))
    drawn = np.array(list(draw_log_rates(layer, np.ones((2, 1)), certain, 50, rng)))
    np.testing.assert_allclose(drawn[:, 0], drawn[:, 1], atol=1e-4)


def test_counts_are_drawn_from_the_predicted_distribution(rng: np.random.Generator) -> None:
    layer, states = layer_and_states(rng)
    log_mean = np.array([[1.0, 3.0, 5.0], [0.0, 2.0, 4.0]])
    drawn = np.array([draw_counts(log_mean, layer, states.noise, rng) for _ in range(4_000)])
    predicted = PredictedCounts(log_mean, np.zeros((2, 3)), layer.log_dispersion, layer.log_dispersion_sd, states.noise)
    for probability in (0.1, 0.5, 0.9):
        at = predicted.quantile(probability)
        expected = predicted.cdf(at)
        assert np.abs((drawn <= at).mean(0) - expected).max() == pytest.approx(0, abs=4 * np.sqrt(0.25 / 4_000))
