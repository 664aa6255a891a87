import numpy as np

from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.own_count import without_own_count
from bulkvi.stats.predictive.state import infer_states
from tests.stats.predictive.test_state import draw, known_layer


def left_out(counts: np.ndarray, layer: GeneLayer, gene: int) -> tuple[float, float]:
    """Mean and variance of the log mean of a gene, its sample's state inferred without it."""
    others = np.delete(np.arange(counts.shape[1]), gene)
    states = infer_states(counts[:, others], layer.genes(others), np.ones((1, 1)), offset=np.zeros(1))
    loadings = layer.mean[1:, gene]
    mean = layer.mean[0, gene] + states.mean[0] @ loadings
    return float(mean), float(loadings @ states.covariance[0] @ loadings)


def test_equals_the_state_inferred_without_the_gene(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 80, 2)
    counts = draw(rng, layer, rng.normal(size=(1, 2)))
    states = infer_states(counts, layer, np.ones((1, 1)), offset=np.zeros(1))
    log_mean, variance = without_own_count(counts, layer, states, np.ones((1, 1)), offset=np.zeros(1))
    with_it = layer.mean[0] + states.mean @ layer.mean[1:]
    exact = np.array([left_out(counts, layer, gene) for gene in range(80)])
    error, moved = log_mean[0] - exact[:, 0], with_it[0] - exact[:, 0]
    # one step removes most of what the own count does
    assert np.sqrt((error**2).mean()) < 0.3 * np.sqrt((moved**2).mean())
    np.testing.assert_allclose(variance[0], exact[:, 1], rtol=0.25)
    # and most of what it takes off the variance of the state
    spread = np.einsum("kg,kl,lg->g", layer.mean[1:], states.covariance[0], layer.mean[1:])
    left = np.abs(np.log((variance[0] - layer.log_rate(np.hstack([np.ones((1, 1)), states.mean]))[1][0]) / exact[:, 1]))
    assert left.mean() < 0.5 * np.abs(np.log(spread / exact[:, 1])).mean()


def test_without_directions_nothing_is_left_out(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 20, 0, 0.01)
    counts = np.ones((2, 20))
    offset = np.array([0.0, 1.0])
    states = infer_states(counts, layer, np.ones((2, 1)), offset=offset)
    log_mean, variance = without_own_count(counts, layer, states, np.ones((2, 1)), offset=offset)
    np.testing.assert_allclose(log_mean, layer.mean + offset[:, None])
    np.testing.assert_allclose(variance, 0.01)


def test_an_outlier_has_no_leverage(rng: np.random.Generator) -> None:
    layer = known_layer(rng, 200, 2)
    counts = draw(rng, layer, rng.normal(size=(1, 2)))
    before = infer_states(counts, layer, np.ones((1, 1)), offset=np.zeros(1))
    counts[0, 7] *= 1_000
    after = infer_states(counts, layer, np.ones((1, 1)), offset=np.zeros(1))
    log_mean, _ = without_own_count(counts, layer, after, np.ones((1, 1)), offset=np.zeros(1))
    expected = layer.mean[0, 7] + before.mean[0] @ layer.mean[1:, 7]
    assert abs(log_mean[0, 7] - expected) < 0.1
