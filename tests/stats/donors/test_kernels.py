import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import nbinom

from bulkvi.stats.donors.donors import DonorData, donor_blocks, regress_at_nodes
from bulkvi.stats.nb.kernels import TILE

RIDGE = np.array([[0.02, 0.005], [0.005, 0.05]])
N_GENES = TILE + 5
DONOR = np.array([0, 0, 1, 1, 1, 2, 3, 3])


@pytest.fixture(params=[False, True], ids=["plain", "weights and offsets"])
def data(request, rng) -> DonorData:
    features = np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4)])
    counts = rng.negative_binomial(5, 5 / (5 + 60 * np.exp(rng.normal(0, 0.5, (4, N_GENES)))[DONOR])).astype(float)
    offset = rng.normal(0, 0.2, (8, N_GENES)) if request.param else rng.normal(0, 0.2, 8)
    weights = rng.uniform(0.3, 1, counts.shape) if request.param else None
    return next(donor_blocks(counts, features, DONOR, offset, RIDGE, weights, N_GENES))[1]


def start(data: DonorData) -> tuple[np.ndarray, np.ndarray]:
    return data.start_coef(), np.zeros((4, N_GENES))


def test_the_likelihoods_are_laplaces_at_a_mode_without_slope(data, rng):
    """All terms by their definitions, with the information of coefficients and donors in one matrix."""
    log_dispersion, log_variance = rng.normal(-2, 0.5, (1, N_GENES)), rng.normal(-1.5, 0.5, (1, N_GENES))
    coef, effect = start(data)
    fit = regress_at_nodes(data, log_dispersion, log_variance, coef, effect, tol=1e-7)
    assert fit.converged.all()
    np.testing.assert_array_equal(fit.coef[0], coef)
    member = (DONOR[:, None] == np.arange(4)).astype(float)
    weight = data.weights if data.weights.size else np.ones(data.counts.shape)
    for g in range(0, N_GENES, 7):
        a, variance = np.exp(log_dispersion[0, g]), np.exp(log_variance[0, g])
        exposure = data.exposure[:, g if data.exposure.shape[1] > 1 else 0]
        y, w, joint = data.counts[:, g], weight[:, g], np.hstack([data.features, member])
        mode = np.concatenate([coef[:, g], effect[:, g]])
        mean = exposure * np.exp(joint @ mode)
        penalty = np.zeros((6, 6))
        penalty[:2, :2], penalty[2:, 2:] = RIDGE, np.eye(4) / variance
        slope = joint.T @ (w * (y - mean) / (1 + a * mean)) - penalty @ mode
        curvature = (joint.T * (w * mean * (1 + a * y) / (1 + a * mean) ** 2)) @ joint + penalty
        assert np.sqrt(slope @ np.linalg.solve(curvature, slope)) < 1e-6
        row, column = np.tril_indices(2)
        np.testing.assert_allclose(fit.covariance[0, :, g], np.linalg.inv(curvature)[:2, :2][row, column], rtol=1e-6)
        log_pmf = nbinom.logpmf(y, 1 / a, 1 / (1 + a * mean)) + gammaln(y + 1) - y * np.log(exposure)
        level = (w * log_pmf).sum() - 0.5 * mode @ penalty @ mode - 0.5 * 4 * np.log(variance)
        marginal = level - 0.5 * np.linalg.slogdet(curvature[2:, 2:])[1]
        assert fit.marginal[0, g] == pytest.approx(marginal, rel=1e-8)
        assert fit.log_likelihood[0, g] == pytest.approx(level - 0.5 * np.linalg.slogdet(curvature)[1], rel=1e-8)


def test_neither_the_route_nor_the_neighbours_change_a_node(data, rng):
    log_dispersion = np.linspace(-3, -1, 3)[:, None] + rng.normal(0, 0.2, N_GENES)
    log_variance = np.linspace(-1, -3, 3)[:, None] + np.zeros(N_GENES)
    first = regress_at_nodes(data, log_dispersion, log_variance, *start(data), tol=1e-6)
    route = np.array([[2, 1, 0], [2, 2, 1], [2, 2, 1], [2, 2, 2]])
    other = regress_at_nodes(data, log_dispersion, log_variance, *start(data), route=route, tol=1e-6)
    np.testing.assert_allclose(other.log_likelihood, first.log_likelihood, rtol=1e-8)
    np.testing.assert_allclose(other.coef, first.coef, atol=1e-6)
    index = np.array([2, TILE + 1])
    alone = regress_at_nodes(data, log_dispersion, log_variance, *start(data), index=index, tol=1e-6)
    np.testing.assert_array_equal(alone.log_likelihood[:, index], first.log_likelihood[:, index])
    brief = regress_at_nodes(data, log_dispersion, log_variance, *start(data), tol=1e-6, keep=False)
    assert brief.coef.size == brief.covariance.size == 0
    np.testing.assert_array_equal(brief.log_likelihood, first.log_likelihood)


def test_genes_without_steps_enough_are_not_converged(data):
    at = np.full((1, N_GENES), -2.0)
    assert not regress_at_nodes(data, at, at, *start(data), tol=1e-9, max_iter=1).converged.any()
