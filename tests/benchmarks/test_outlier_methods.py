import numpy as np
import pytest
from anndata import AnnData
from scipy.stats import nbinom

from benchmarks.outlier_methods import (
    autoencoder_scores,
    component_scores,
    gene_wise_scores,
    most_likely_dispersion,
    negative_binomial_p,
)


def make(rng: np.random.Generator) -> AnnData:
    """A hidden factor, and one outlier that is inconspicuous without it."""
    state, loadings = rng.normal(size=(40, 1)), rng.normal(0, 1, 60)
    mean = np.exp(5 + state * loadings)
    x = rng.poisson(rng.gamma(50, mean / 50)).astype(float)
    x[3, 7] = np.round(mean[3, 7] * 4)
    adata = AnnData(x.astype(np.float32))
    adata.obs["size_factor"] = 1.0
    return adata


def test_methods_with_components_find_what_hides_behind_a_factor(rng: np.random.Generator):
    adata = make(rng)
    for score in (component_scores(adata)[1], autoencoder_scores(adata, 1)):
        assert score.argmax() == 3 * score.shape[1] + 7
    assert gene_wise_scores(adata)[3, 7] < 8


def test_dispersions_are_most_likely(rng: np.random.Generator):
    r = np.array([2.0, 20.0])
    mean = np.full((400, 2), 100.0)
    x = rng.poisson(rng.gamma(r, mean / r)).astype(float)
    assert most_likely_dispersion(x, mean) == pytest.approx(1 / r, rel=0.25)


def test_p_values_are_twice_the_smaller_tail():
    x = np.array([[0.0, 300.0]])
    found = negative_binomial_p(x, np.full((1, 2), 100.0), np.array([0.1, 0.1]))[0]
    each = nbinom(10, 10 / 110)
    assert found == pytest.approx([2 * each.cdf(0), 2 * each.sf(299)])
