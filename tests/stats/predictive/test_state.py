import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import nbinom

from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.noise import usual_noise
from bulkvi.stats.predictive.state import SampleStates, _settle, infer_states


def known_layer(rng: np.random.Generator, genes: int, k: int, variance: float = 0.0) -> GeneLayer:
    """A layer of one level and k directions whose coefficients have this variance."""
    mean = np.vstack([rng.normal(5, 1, genes), rng.normal(0, 0.3, (k, genes))])
    row, column = np.tril_indices(k + 1)
    covariance = np.where(row == column, variance, 0.0)[:, None] * np.ones(genes)
    return GeneLayer(mean, covariance, np.full(genes, -2.5), np.full(genes, 1e-6), np.full(k, 0.3))


def draw(rng: np.random.Generator, layer: GeneLayer, state: np.ndarray, centre: float = 0.0) -> np.ndarray:
    mean = np.exp(np.hstack([np.ones((len(state), 1)), state]) @ layer.mean)
    a = np.exp(layer.log_dispersion + centre)
    return rng.negative_binomial(1 / a, 1 / (1 + a * mean)).astype(float)


def test_state_is_the_mode_of_the_posterior(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 60, 2)
    counts = draw(rng, layer, rng.normal(size=(1, 2)))
    states = SampleStates(np.zeros((1, 2)), np.zeros((1, 2, 2)), usual_noise(1))
    _settle(counts, layer, np.ones((1, 1)), np.zeros((1, 60)), states)

    def objective(z: np.ndarray) -> float:
        r = np.exp(-layer.log_dispersion)
        mean = np.exp(layer.mean[0] + z @ layer.mean[1:])
        return float(-nbinom.logpmf(counts[0], r, r / (r + mean)).sum() + 0.5 * z @ z)

    best = minimize(objective, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9})
    np.testing.assert_allclose(states.mean[0], best.x, atol=1e-3)


@pytest.mark.parametrize("centre", [0.0, 1.5])
def test_intervals_of_the_state_hold_the_truth_whatever_the_noise_of_the_sample(centre: float) -> None:
    rng = np.random.default_rng(2)
    layer = known_layer(rng, 400, 2)
    state = rng.normal(size=(150, 2))
    states = infer_states(draw(rng, layer, state, centre), layer, np.ones((150, 1)), offset=np.zeros(150))
    sd = np.sqrt(np.diagonal(states.covariance, axis1=1, axis2=2))
    inside = (np.abs(states.mean - state) < 1.96 * sd).mean()
    assert inside == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 300))


def test_uncertain_loadings_and_outlying_counts_move_the_state_less(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 400, 1)
    counts = draw(rng, layer, np.zeros((1, 1)))
    given = {"design": np.ones((1, 1)), "offset": np.zeros(1)}
    plain = infer_states(counts, layer, **given)
    vague = infer_states(counts, known_layer(np.random.default_rng(0), 400, 1, 0.2)._replace(mean=layer.mean), **given)
    assert vague.covariance[0, 0, 0] > 1.5 * plain.covariance[0, 0, 0]
    counts[0, layer.mean[1].argmax()] *= 1_000
    moved = infer_states(counts, layer, **given)
    assert np.abs(moved.mean - plain.mean).max() < 0.3


def test_samples_and_order_of_genes_do_not_change_a_state(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 100, 2, 0.01)
    counts, offset = draw(rng, layer, rng.normal(size=(5, 2))), rng.normal(0, 0.2, 5)
    together = infer_states(counts, layer, np.ones((5, 1)), offset=offset)
    alone = infer_states(counts[3:4], layer, np.ones((1, 1)), offset=offset[3:4])
    np.testing.assert_allclose(alone.mean[0], together.mean[3], atol=1e-8)
    order = rng.permutation(100)
    other = infer_states(counts[:, order], layer.genes(order), np.ones((5, 1)), offset=offset)
    np.testing.assert_allclose(other.mean, together.mean, atol=1e-8)


def test_without_genes_or_directions_the_state_is_the_prior(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 20, 2)
    none = infer_states(np.zeros((2, 0)), layer.genes(np.arange(0)), np.ones((2, 1)), offset=np.zeros(2))
    np.testing.assert_array_equal(none.mean, 0)
    np.testing.assert_allclose(none.covariance, np.tile(np.eye(2), (2, 1, 1)))
    flat = known_layer(rng, 20, 0)
    assert infer_states(np.ones((2, 20)), flat, np.ones((2, 1)), offset=np.zeros(2)).mean.shape == (2, 0)


def test_hostile_counts_give_finite_states(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 50, 2, 0.1)
    counts = np.vstack([np.zeros(50), np.full(50, 1e9), np.where(np.arange(50) == 0, 1e12, 0.0)])
    states = infer_states(counts, layer, np.ones((3, 1)), offset=np.zeros(3))
    assert all(np.isfinite(part).all() for part in states)
