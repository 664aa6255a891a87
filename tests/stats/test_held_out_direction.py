import numpy as np
import pytest

from bulkvi.stats.held_out_direction import held_out_noise


def with_factors(rng, n, n_genes, strengths):
    noise = rng.normal(size=(n, n_genes))
    for strength in strengths:
        noise += strength * np.outer(rng.normal(size=n), rng.normal(size=n_genes))
    return noise


def test_noise_falls_by_what_the_factors_take_and_no_further(rng):
    residuals = with_factors(rng, 40, 2000, [1.0, 1.0])
    noise = np.exp(held_out_noise(residuals, 0, 6, rng))
    assert noise[0] > 2.0
    # beside both factors the noise of variance 1 is left, and that of the loadings: up to 3 / 40 here
    np.testing.assert_allclose(noise[2:], 1.0, atol=0.1)
    assert noise[1] - noise[2] > 0.3


def test_factors_of_noise_take_nothing_off(rng):
    noise = held_out_noise(rng.normal(size=(12, 3000)), 0, 6, rng)
    np.testing.assert_allclose(noise, noise[0], atol=0.02)


def test_it_is_the_variance_of_a_contrast_given_the_factors(rng):
    # the noise of new contrasts, from the residuals of a design that takes up two of 30 directions
    strengths = [1.5, 0.7, 0.4]
    told, seen = [], []
    for _ in range(20):
        noise = with_factors(rng, 30, 1500, strengths)
        design = np.linalg.qr(np.column_stack([np.ones(30), rng.permutation(np.repeat([0.0, 1.0], 15))]))[0]
        residuals = noise - design @ (design.T @ noise)
        told.append(held_out_noise(residuals, 2, 3, rng)[3])
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
    np.testing.assert_allclose(first, second, atol=1e-8)
