import numpy as np
import pytest

import bulkvi
from bulkvi.reference._held_out import layer_alone, layer_of, score_held_out
from bulkvi.stats.reference.genes import ReferenceGenes


def truth(rng: np.random.Generator, n_genes: int, sd: float, dispersion: float = 0.05) -> ReferenceGenes:
    """What an endless cohort would teach: one direction with this standard deviation of the log rates."""
    loadings = rng.normal(0, sd, (1, n_genes))
    near = np.full(n_genes, 1e-3)
    inside, alone = (
        np.full(n_genes, np.log(dispersion)),
        np.log(np.expm1(loadings[0] ** 2) * (1 + dispersion) + dispersion),
    )
    return ReferenceGenes(
        rng.normal(5, 1, n_genes), loadings, np.full((1, n_genes), 1e-3), inside, near, inside, alone, near, alone
    )


def draw(rng: np.random.Generator, values: ReferenceGenes, n: int, size_factors: np.ndarray) -> np.ndarray:
    state = rng.normal(size=(n, 1))
    mean = np.exp(values.level + state @ values.loadings) * size_factors[:, None]
    alpha = np.exp(values.log_dispersion)
    return rng.negative_binomial(1 / alpha, 1 / (1 + alpha * mean)).astype(float)


def test_directions_that_exist_are_gained_from_and_those_that_do_not_are_not(rng: np.random.Generator) -> None:
    factors = np.exp(rng.normal(0, 0.3, 6))
    for sd, least, most in ((0.4, 0.05, 1.0), (0.0, -0.001, 0.001)):
        values = truth(rng, 400, sd)
        held = score_held_out(
            draw(rng, values, 6, factors), values, np.full(400, 1e-3), np.array([max(sd, 1e-3)]), np.log(factors)
        )
        assert (held.n_samples, held.n_genes) == (6, 400)
        assert least < held.log_likelihood - held.log_likelihood_alone < most


def test_genes_that_a_state_is_inferred_from_are_not_those_that_are_predicted(rng: np.random.Generator) -> None:
    """Directions that do not exist would fit the noise of the genes that they are inferred from, and predict no other."""
    values = truth(rng, 60, 0.0, dispersion=0.2)
    counts = draw(rng, values, 30, np.ones(30))
    loadings = rng.normal(0, 0.3, (10, 60))
    wrong = values._replace(loadings=loadings, loadings_sd=np.full((10, 60), 1e-3))
    held = score_held_out(counts, wrong, np.full(60, 1e-3), np.full(10, 0.3), np.zeros(30))
    assert held.log_likelihood < held.log_likelihood_alone


def test_order_of_samples_and_genes_does_not_matter(rng: np.random.Generator) -> None:
    values, sd = truth(rng, 200, 0.4), np.full(200, 1e-3)
    counts = draw(rng, values, 5, np.ones(5))
    genes, samples = rng.permutation(200), rng.permutation(5)
    one = score_held_out(counts, values, sd, np.array([0.4]), np.zeros(5))
    other = score_held_out(counts[np.ix_(samples, genes)], values.at(genes), sd[genes], np.array([0.4]), np.zeros(5))
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_variance_of_a_rate_is_that_of_level_and_loadings(rng: np.random.Generator) -> None:
    values, sd = truth(rng, 20, 0.4), np.full(20, 0.1)
    layer = layer_of(values, sd, np.array([0.4]))
    mean, variance = layer.log_rate(np.array([[1.0, 2.0]]))
    np.testing.assert_allclose(mean[0], values.level + 2 * values.loadings[0])
    np.testing.assert_allclose(variance[0], sd**2 + 4 * values.loadings_sd[0] ** 2)
    alone = layer_alone(values, sd)
    assert alone.n_design == 1
    np.testing.assert_allclose(alone.log_rate(np.ones((1, 1)))[1][0], sd**2)


def test_samples_outside_the_cohort_are_scored_and_those_inside_refused(
    reference: bulkvi.Reference, cohort_model: bulkvi.BulkVI
) -> None:
    adata = cohort_model.adata
    with pytest.raises(ValueError, match="2 of the 2 held-out samples are in the reference"):
        reference.score_held_out(adata.X[:2], adata.var_names)
    with pytest.raises(ValueError, match="are in the reference"):
        bulkvi.Reference.from_model(cohort_model, name="x", held_out=adata[:3].copy())
    other = adata[:6].copy()
    counts = np.array(other.X)
    other.X = counts + np.random.default_rng(0).poisson(1 + 0.1 * counts)
    made = bulkvi.Reference.from_model(cohort_model, name="x", held_out=other)
    assert made.held_out == reference.score_held_out(other.X, other.var_names)
    assert made.held_out.log_likelihood > made.held_out.log_likelihood_alone
