import numpy as np
import pytest
from scipy.stats import binom

from bulkvi.stats.hidden.loadings import SCALES, _posterior, loading_information, shrink_loadings


def simulated(
    rng: np.random.Generator, n_genes: int, prior_sd: list[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True loadings, estimates with normal noise, and the information of the latter; genes differ in it by orders of magnitude."""
    n_directions = len(prior_sd)
    truth = rng.normal(size=(n_genes, n_directions)) * prior_sd
    factor = (
        rng.normal(size=(n_genes, n_directions, n_directions + 3)) * np.exp(rng.normal(2, 1, n_genes))[:, None, None]
    )
    information = factor @ np.swapaxes(factor, 1, 2)
    noise = np.linalg.cholesky(np.linalg.inv(information))
    return truth, truth + np.einsum("gij,gj->gi", noise, rng.normal(size=truth.shape)), information


def test_information_is_that_of_the_regression_of_each_gene(rng: np.random.Generator):
    weight, known, state = (
        rng.gamma(2, 2, (20, 6)),
        np.column_stack([np.ones(20), rng.normal(size=20)]),
        rng.normal(size=(20, 3)),
    )
    predictors = np.hstack([known, state])
    blocks = [(weight[:7], predictors[:7]), (weight[7:], predictors[7:])]
    found = loading_information(iter(blocks), 2)
    for gene in range(6):
        covariance = np.linalg.inv(predictors.T @ (weight[:, [gene]] * predictors))
        np.testing.assert_allclose(found[gene], np.linalg.inv(covariance[2:, 2:]), rtol=1e-6)


def test_information_of_a_gene_without_counts_in_a_group_is_finite(rng: np.random.Generator):
    group = np.repeat([0.0, 1.0], 4)
    weight = np.where(group[:, None] > 0, [[0.0, 3.0]], [[2.0, 0.0]])
    predictors = np.column_stack([np.ones(8), group, rng.normal(size=8)])
    found = loading_information(iter([(weight, predictors), (0 * weight, predictors)]), 2)
    assert np.isfinite(found).all()
    assert (found >= 0).all()


def test_the_prior_is_learned_and_a_direction_without_support_vanishes(rng: np.random.Generator):
    _, estimate, information = simulated(rng, 1_500, [0.5, 0.1, 0.0])
    posterior = shrink_loadings(estimate, information)
    np.testing.assert_allclose(posterior.prior_sd[:2], [0.5, 0.1], rtol=0.25)  # scales of genes may take a part
    assert posterior.prior_sd[2] < 0.02
    assert np.abs(posterior.mean[:, 2]).max() < 0.1 * np.abs(estimate[:, 2]).max()


def test_intervals_hold_the_true_loadings_and_the_mean_is_nearer_to_them(rng: np.random.Generator):
    truth, estimate, information = simulated(rng, 1_500, [0.3, 0.1])
    mean, covariance, _ = shrink_loadings(estimate, information)
    sd = np.sqrt(np.einsum("gkk->gk", covariance))
    inside = int((np.abs(mean - truth) < 1.96 * sd).sum())
    low, high = binom.interval(0.999, truth.size, 0.95)
    assert low <= inside <= high
    assert np.square(mean - truth).mean() < 0.8 * np.square(estimate - truth).mean()


def test_a_gene_without_information_has_the_prior(rng: np.random.Generator):
    _, estimate, information = simulated(rng, 300, [0.4, 0.2])
    information[0] = 0
    mean, covariance, prior_sd = shrink_loadings(estimate, information)
    assert not mean[0].any()
    assert not covariance[0, 0, 1]
    assert (np.diag(covariance[0]) >= prior_sd**2).all()


def test_the_few_genes_of_a_direction_keep_their_loadings(rng: np.random.Generator):
    """One normal prior for all genes shrank those of the Y chromosome, which are all that a direction of sex is about."""
    truth, _, information = simulated(rng, 1_500, [0.2, 0.05])
    truth[:4, 1] = [3, -3, 2, -2]
    information[:4] = np.diag([12.0, 12.0])
    noise = np.linalg.cholesky(np.linalg.inv(information))
    estimate = truth + np.einsum("gij,gj->gi", noise, rng.normal(size=truth.shape))
    mean, covariance, _ = shrink_loadings(estimate, information)
    np.testing.assert_allclose(mean[:4, 1], estimate[:4, 1], rtol=0.25)
    away = np.abs(mean - truth) / np.sqrt(np.einsum("gkk->gk", covariance))
    low, high = binom.interval(0.999, truth.size, 0.95)
    assert low <= (away < 1.96).sum() <= high


def test_posterior_is_that_of_draws_from_the_prior(rng: np.random.Generator):
    """Mean and variance of a gene given its estimate, against weighted draws of scales and loadings."""
    score, information, sd = np.array([[4.0, -1.0]]), np.array([[[9.0, 2.0], [2.0, 4.0]]]), np.array([0.3, 0.1])
    weight = np.full(SCALES.size, 1 / SCALES.size)
    found = _posterior(score, information, sd, weight)
    scale = SCALES[rng.integers(SCALES.size, size=400_000), None]
    draws = rng.normal(size=(400_000, 2)) * scale * sd
    log_likelihood = draws @ score[0] - 0.5 * np.einsum("ni,ij,nj->n", draws, information[0], draws)
    likelihood = np.exp(log_likelihood - log_likelihood.max())
    likelihood /= likelihood.sum()
    mean = likelihood @ draws
    np.testing.assert_allclose(found.mean[0], mean, atol=0.01)
    np.testing.assert_allclose(
        found.covariance()[0], (draws - mean).T @ (likelihood[:, None] * (draws - mean)), atol=0.01
    )
    np.testing.assert_allclose(found.square[0], likelihood @ (draws / scale / sd) ** 2, rtol=0.05)


@pytest.mark.parametrize("n_genes", [300, 2_500])
def test_order_of_genes_does_not_matter(rng: np.random.Generator, n_genes: int):
    _, estimate, information = simulated(rng, n_genes, [0.4, 0.2])
    order = rng.permutation(n_genes)
    mean, _, prior_sd = shrink_loadings(estimate, information)
    other, _, other_sd = shrink_loadings(estimate[order], information[order])
    np.testing.assert_allclose(other_sd, prior_sd, rtol=1e-9)
    np.testing.assert_allclose(other, mean[order], rtol=1e-7, atol=1e-12)
