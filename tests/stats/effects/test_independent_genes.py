import numpy as np
import pytest
from scipy.stats import chi2

from bulkvi.stats.effects.independent_genes import independent_genes, variance_of_next_direction


@pytest.mark.parametrize("true", [8, 30, 1000])
@pytest.mark.parametrize("directions", [2, 4, 10, 18])
def test_the_number_of_independent_genes_is_that_of_a_wishart_matrix(rng, directions, true):
    """In the mean of the logs over many draws; two directions are pulled towards the middle of what may be, 54."""
    found = [
        np.log(independent_genes(np.linalg.eigvalsh(draw @ draw.T), 3000))
        for draw in rng.normal(size=(300, directions, true))
    ]
    error = np.exp(np.mean(found)) / true
    assert (0.3 if directions == 2 else 0.75) < error < (2.5 if directions == 2 else 1.35)


def test_the_number_of_independent_genes_is_a_posterior_mean():
    """Against quadrature on a grid of its own; the unit of the eigenvalues does not matter."""
    eigenvalues, n_genes = np.array([0.3, 0.8, 1.1, 1.8]), 500
    log_nu = np.linspace(0, np.log(n_genes), 20_001)
    scaled = np.var(eigenvalues / eigenvalues.mean()) * (4 * np.exp(log_nu) + 2) / 2
    # density of chi-squared in its own logarithm, of the deviations given nu
    weight = chi2(9).pdf(scaled) * scaled
    expected = np.exp(weight @ log_nu / weight.sum())
    assert independent_genes(eigenvalues, n_genes) == pytest.approx(expected, rel=0.01)
    assert independent_genes(7 * eigenvalues, n_genes) == pytest.approx(independent_genes(eigenvalues, n_genes))


def test_one_direction_leaves_the_number_of_independent_genes_open():
    assert independent_genes(np.array([5.0]), 400) == pytest.approx(20)


@pytest.mark.parametrize("directions", [2, 4])
def test_variance_of_the_next_direction_is_predicted(rng, directions):
    """A direction more of the same Wishart matrices; the true number of independent genes is drawn from the prior."""
    outside = []
    for _ in range(400):
        true = int(np.exp(rng.uniform(0, np.log(500))) + 0.5)
        draw = rng.normal(size=(directions + 1, true))
        seen = draw[:-1] @ draw[:-1].T
        expected = variance_of_next_direction(np.linalg.eigvalsh(seen), 500)
        ratio = np.log((draw[-1] @ draw[-1]) / (np.trace(seen) / directions))
        outside.append((ratio - expected.log_mean) / expected.log_sd)
    # the distribution of the logarithm has its long tail below
    assert 0.01 < np.mean(np.array(outside) > 1.645) < 0.075
    assert 0.8 < np.std(outside) < 1.2
