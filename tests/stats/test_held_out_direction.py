import numpy as np
import pytest

from bulkvi.stats.hidden.hidden_factors import held_out_noise


def with_factors(rng, n, n_genes, strengths):
    noise = rng.normal(size=(n, n_genes))
    for strength in strengths:
        noise += strength * np.outer(rng.normal(size=n), rng.normal(size=n_genes))
    return noise


def test_noise_falls_by_what_the_factors_take_and_no_further(rng):
    residuals = with_factors(rng, 40, 2000, [1.0, 1.0])
    noise = np.exp(np.log(held_out_noise(residuals, 0, 6, rng).noise).mean(0))
    assert noise[0] > 2.0
    # beside both factors the noise of variance 1 is left, and that of the loadings: up to 3 / 40 here
    np.testing.assert_allclose(noise[2:], 1.0, atol=0.1)
    assert noise[1] - noise[2] > 0.3


def test_factors_of_noise_take_nothing_off(rng):
    noise, inflation = held_out_noise(rng.normal(size=(12, 3000)), 0, 6, rng)
    noise = np.log(noise).mean(0)
    np.testing.assert_allclose(noise, noise[0], atol=0.02)
    # what is left was chosen to be small, by little where genes are many
    np.testing.assert_allclose(inflation.mean(0), 1.0, atol=0.1)
    assert inflation.mean(0)[6] > inflation.mean(0)[0]


def test_it_is_the_variance_of_a_contrast_given_the_factors(rng):
    # the noise of new contrasts, from the residuals of a design that takes up two of 30 directions
    strengths = [1.5, 0.7, 0.4]
    told, seen = [], []
    for _ in range(20):
        noise = with_factors(rng, 30, 1500, strengths)
        design = np.linalg.qr(np.column_stack([np.ones(30), rng.permutation(np.repeat([0.0, 1.0], 15))]))[0]
        residuals = noise - design @ (design.T @ noise)
        told.append(np.log(held_out_noise(residuals, 2, 3, rng).noise[:, 3]).mean())
        left, values, right = np.linalg.svd(residuals, full_matrices=False)
        loadings = values[:3, None] * right[:3]
        contrast = design[:, 1] @ noise
        contrast -= np.linalg.lstsq(loadings.T, contrast, rcond=None)[0] @ loadings
        seen.append(np.log((contrast**2).mean()))
    spread = np.std(seen) / np.sqrt(len(seen))
    assert abs(np.mean(told) - np.mean(seen)) < 3 * spread + 0.02


@pytest.mark.parametrize("n", [12, 230])
def test_order_of_samples_and_genes_does_not_matter(rng, n):
    residuals = with_factors(rng, n, 600, [1.0])
    shuffled = residuals[rng.permutation(n)][:, rng.permutation(600)]
    first, second = (held_out_noise(matrix, 0, 3, np.random.default_rng(1)) for matrix in (residuals, shuffled))
    np.testing.assert_allclose(first.noise, second.noise, atol=1e-8)
    np.testing.assert_allclose(first.inflation, second.inflation, atol=1e-8)


def test_noise_is_foreseen_on_average_and_its_spread_by_too_few_factors(rng):
    residuals = with_factors(rng, 40, 2000, [0.5, 0.5])
    inflation = held_out_noise(residuals, 0, 3, rng).inflation
    np.testing.assert_allclose(inflation.mean(0)[[0, 2, 3]], 1.0, atol=0.1)
    assert inflation[:, 0].std() > 3 * inflation[:, 2].std()
