import numpy as np
import pytest

from bulkvi.stats.predictive.layer import fit_layer, spread_over, state_of


def factor_counts(
    rng: np.random.Generator, n: int, genes: int, sd: tuple[float, ...], dispersion: float = 0.05
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, state and loadings of a factor model with these standard deviations of the loadings."""
    state = rng.normal(size=(n, len(sd)))
    state = np.linalg.qr(state - state.mean(0))[0] * np.sqrt(n)
    loadings = np.array(sd)[:, None] * rng.normal(size=(len(sd), genes))
    mean = np.exp(rng.normal(5, 1, genes) + state @ loadings)
    return rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean)).astype(float), state, loadings


def test_relevance_is_the_spread_of_the_loadings_and_nearly_zero_for_a_useless_direction() -> None:
    rng = np.random.default_rng(0)
    counts, state, loadings = factor_counts(rng, 24, 1_000, (0.5, 0.1, 0.0))
    layer = fit_layer(counts, np.ones((24, 1)), state, np.full(3, 0.3), offset=np.zeros(24))
    # of a thousand genes the standard deviation has an error of 2 %
    np.testing.assert_allclose(layer.relevance[:2], [0.5, 0.1], rtol=0.1)
    assert layer.relevance[2] < 0.02
    assert np.abs(layer.mean[3]).max() < 0.05


def test_intervals_of_the_loadings_hold_the_truth() -> None:
    rng = np.random.default_rng(1)
    counts, state, loadings = factor_counts(rng, 16, 1_000, (0.3, 0.1))
    layer = fit_layer(counts, np.ones((16, 1)), state, np.full(2, 0.2), offset=np.zeros(16))
    sd = np.sqrt(layer.covariance[[2, 5]])
    inside = (np.abs(layer.mean[1:] - loadings) < 1.96 * sd).mean()
    assert inside == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / loadings.size))


def test_variance_of_a_log_rate_is_the_quadratic_form_of_the_covariance(rng: np.random.Generator) -> None:
    counts, state, _ = factor_counts(rng, 10, 30, (0.4, 0.2))
    layer = fit_layer(counts, np.ones((10, 1)), state, np.full(2, 0.3), offset=np.zeros(10))
    features = rng.normal(size=(4, 3))
    mean, variance = layer.log_rate(features)
    matrix = np.zeros((3, 3))
    row, column = np.tril_indices(3)
    matrix[row, column] = matrix[column, row] = layer.covariance[:, 7]
    np.testing.assert_allclose(variance[:, 7], np.einsum("ni,ij,nj->n", features, matrix, features))
    np.testing.assert_allclose(mean, features @ layer.mean)


def test_order_of_genes_and_samples_and_scale_of_exposure_do_not_matter(rng: np.random.Generator) -> None:
    counts, state, _ = factor_counts(rng, 12, 80, (0.4,))
    offset = rng.normal(0, 0.3, 12)
    layer = fit_layer(counts, np.ones((12, 1)), state, np.ones(1), offset=offset)
    genes, samples = rng.permutation(80), rng.permutation(12)
    other = fit_layer(
        counts[np.ix_(samples, genes)], np.ones((12, 1)), state[samples], np.ones(1), offset=offset[samples] + 2
    )
    np.testing.assert_allclose(other.mean[1], layer.mean[1, genes], atol=2e-3)
    np.testing.assert_allclose(other.mean[0], layer.mean[0, genes] - 2, atol=2e-3)
    np.testing.assert_allclose(other.relevance, layer.relevance, rtol=1e-3)


def test_a_gene_without_counts_has_a_finite_wide_level(rng: np.random.Generator) -> None:
    # levels from none to thousands, as in real studies: the prior of a level is as wide
    state = rng.normal(size=(10, 1))
    counts = rng.negative_binomial(5, 1 / (1 + 0.2 * np.exp(rng.normal(3, 3, (1, 200)) * np.ones((10, 1))))).astype(
        float
    )
    counts[:, 5] = 0
    layer = fit_layer(counts, np.ones((10, 1)), state, np.ones(1), offset=np.zeros(10))
    mean, variance = layer.log_rate(np.array([[1.0, 0.0]]))
    assert mean[0, 5] < np.log(0.5)
    assert 0.1 < variance[0, 5] < 25


def test_states_are_the_principal_coordinates_by_falling_variance(rng: np.random.Generator) -> None:
    state = np.linalg.qr(rng.normal(size=(9, 2)) - 0.0)[0]
    state -= state.mean(0)
    found, size = state_of(state @ np.array([[3.0], [1.0]] * 1).reshape(2, 1) @ rng.normal(size=(1, 50)), 1)
    assert found.shape == (9, 1)
    difference = rng.normal(size=(9, 3)) @ rng.normal(size=(3, 200))
    found, size = state_of(difference, 1)
    np.testing.assert_allclose(found.T @ found / 9, np.eye(3), atol=1e-10)
    assert (np.diff(size) < 0).all()
    strongest = np.abs(found).argmax(0)
    assert (found[strongest, np.arange(3)] > 0).all()
    assert state_of(np.zeros((9, 20)), 1)[0].shape == (9, 0)


def test_directions_leave_residual_degrees_of_freedom(rng: np.random.Generator) -> None:
    assert state_of(rng.normal(size=(6, 100)), 2)[0].shape == (6, 2)
    assert state_of(rng.normal(size=(4, 100)), 3)[0].shape == (4, 0)


def test_chosen_genes_are_spread_over_the_levels_in_any_order(rng: np.random.Generator) -> None:
    level = rng.normal(size=1_000)
    order = rng.permutation(1_000)
    assert set(level[spread_over(level, 50)]) == set(level[order][spread_over(level[order], 50)])
    chosen = level[spread_over(level, 50)]
    assert chosen.min() == level.min()
    assert chosen.max() == level.max()
