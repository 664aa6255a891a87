import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import nbinom

from bulkvi.stats.nb.kernels import MAX_STEP, TILE, evaluate, newton_step
from bulkvi.stats.nb.regression import Block, blocks, make_layout

RIDGE = np.array([[0.3, 0.1, 0.0], [0.1, 0.5, 0.0], [0.0, 0.0, 0.2]])
N_GENES = TILE + 6


def make_block(rng, *, weighted: bool, matrix: bool) -> tuple[Block, np.ndarray, np.ndarray]:
    """A block of more than one tile, its features in the order of the block, and dispersions."""
    features = np.column_stack([np.ones(9), np.repeat([0.0, 1.0], [4, 5]), np.tile([0.0, 1.0, 2.0], 3)])
    offset = rng.normal(0, 0.3, (9, N_GENES) if matrix else 9)
    counts = rng.negative_binomial(4, 0.05, (9, N_GENES)).astype(float)
    weights = rng.uniform(0.2, 1, (9, N_GENES)) if weighted else None
    layout, order = make_layout(features, RIDGE)
    return (
        next(blocks(counts, offset, weights, layout, order, N_GENES))[1],
        features[order],
        rng.uniform(0.05, 1, N_GENES),
    )


def terms(block: Block, x: np.ndarray, a: np.ndarray, theta: np.ndarray):
    """Means, weights and residuals of all counts at given coefficients."""
    weight = block.weights if block.weights.size else np.ones(block.counts.shape)
    mean = block.exposure * np.exp(x @ theta)
    return mean, weight, (block.counts - mean) / (1 + a * mean)


def information(block: Block, x: np.ndarray, a: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Observed information plus ridge, genes x p x p."""
    mean, weight, residual = terms(block, x, a, theta)
    return np.einsum("ng,ni,nj->gij", weight * mean * (1 + a * residual) / (1 + a * mean), x, x) + RIDGE


@pytest.mark.parametrize(("weighted", "matrix"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_step_is_newtons_and_its_distance_the_decrement(rng, weighted, matrix):
    block, x, a = make_block(rng, weighted=weighted, matrix=matrix)
    theta = np.vstack([np.full(N_GENES, np.log(60.0)), rng.normal(0, 0.2, (2, N_GENES))])
    _, weight, residual = terms(block, x, a, theta)
    score = x.T @ (weight * residual) - RIDGE @ theta
    step = np.linalg.solve(information(block, x, a, theta), score.T[:, :, None])[:, :, 0].T
    length = np.minimum(1, MAX_STEP / (np.abs(step) * np.abs(x).max(0)[:, None]).sum(0))
    moved, move = theta.copy(), np.zeros(theta.shape)
    gain, distance = np.zeros(N_GENES), np.zeros(N_GENES)
    newton_step(np.arange(N_GENES), *block, a, moved, move, gain, distance)
    np.testing.assert_allclose(moved, theta + length * step, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(move, length * step, rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(gain, length * (score * step).sum(0), rtol=1e-8)
    np.testing.assert_allclose(distance, np.sqrt((score * step).sum(0)), rtol=1e-8)


def test_a_step_that_overshot_is_shortened_by_the_secant_rule(rng):
    block, x, a = make_block(rng, weighted=False, matrix=False)
    move = np.zeros((3, N_GENES))
    move[0] = 2.0
    theta = np.vstack([np.full(N_GENES, np.log(60.0) + 2), np.zeros((2, N_GENES))])
    _, weight, residual = terms(block, x, a, theta)
    slope = 2 * (x.T @ (weight * residual) - RIDGE @ theta)[0]
    before = np.full(N_GENES, 5.0)
    overshot = slope < -0.5 * before
    assert overshot.mean() > 0.8
    shorten = np.maximum(0.1, before / (before - slope))
    moved, gain, distance = theta.copy(), before.copy(), np.zeros(N_GENES)
    newton_step(np.arange(N_GENES), *block, a, moved, move, gain, distance)
    np.testing.assert_allclose(moved[0, overshot], (theta[0] - 2 * (1 - shorten))[overshot], rtol=1e-10)
    np.testing.assert_allclose(gain[overshot], (shorten * before)[overshot], rtol=1e-10)
    assert np.isinf(distance[overshot]).all() and np.isfinite(distance[~overshot]).all()


@pytest.mark.parametrize(("weighted", "matrix"), [(False, False), (True, True)])
def test_the_value_is_the_penalised_likelihood_less_half_the_log_determinant(rng, weighted, matrix):
    block, x, a = make_block(rng, weighted=weighted, matrix=matrix)
    theta = np.vstack([np.full(N_GENES, np.log(60.0)), rng.normal(0, 0.2, (2, N_GENES))])
    value, packed = np.zeros(N_GENES), np.zeros((6, N_GENES))
    evaluate(np.arange(N_GENES), *block, a, theta, value, packed)
    mean, weight, _ = terms(block, x, a, theta)
    # terms of the counts alone, and of the exposure, are left out
    log_pmf = nbinom.logpmf(block.counts, 1 / a, 1 / (1 + a * mean))
    log_pmf += gammaln(block.counts + 1) - block.counts * np.log(block.exposure)
    matrices = information(block, x, a, theta)
    expected = (weight * log_pmf).sum(0) - 0.5 * (theta * (RIDGE @ theta)).sum(0)
    expected -= 0.5 * np.linalg.slogdet(matrices)[1]
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    row, column = np.tril_indices(3)
    np.testing.assert_allclose(packed, np.linalg.inv(matrices)[:, row, column].T, rtol=1e-8, atol=1e-12)


def test_only_the_genes_of_the_index_are_written(rng):
    block, _, a = make_block(rng, weighted=False, matrix=False)
    theta = np.zeros((3, N_GENES))
    value, nothing = np.full(N_GENES, np.nan), np.zeros((0, N_GENES))
    evaluate(np.array([3, TILE + 1]), *block, a, theta, value, nothing)
    assert np.flatnonzero(~np.isnan(value)).tolist() == [3, TILE + 1]
    together = np.zeros(N_GENES)
    evaluate(np.arange(N_GENES), *block, a, theta, together, nothing)
    np.testing.assert_array_equal(value[[3, TILE + 1]], together[[3, TILE + 1]])
