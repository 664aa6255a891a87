from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import bulkvi


def test_rates_are_the_decoded_posterior_mean_and_no_seed_changes_them(trained: bulkvi.BulkVI) -> None:
    rates = trained.get_normalized_expression()
    torch.manual_seed(1)
    np.testing.assert_array_equal(trained.get_normalized_expression(), rates)
    counts = trained.adata.to_df().div(trained.adata.obs["size_factor"], axis=0)
    assert rates.index.equals(counts.index)
    assert rates.columns.equals(counts.columns)
    assert np.corrcoef(np.log(rates.mean()), np.log(counts.mean()))[0, 1] > 0.999


def test_draws_scatter_around_the_rates(trained: bulkvi.BulkVI) -> None:
    torch.manual_seed(0)
    draws = trained.get_normalized_expression(n_samples=100, return_mean=False)
    assert draws.shape == (100, trained.adata.n_obs, trained.adata.n_vars)
    ratio = np.log(np.asarray(draws)).mean(0) - np.log(trained.get_normalized_expression(return_numpy=True))
    assert np.abs(ratio).max() < 0.2


def test_genes_samples_and_scale_are_chosen(trained: bulkvi.BulkVI) -> None:
    genes = list(trained.adata.var_names[[7, 3]])
    chosen = trained.get_normalized_expression(indices=[4, 2], gene_list=genes, library_size=100)
    everything = trained.get_normalized_expression()
    np.testing.assert_allclose(chosen, 100 * everything.iloc[[4, 2]][genes], rtol=1e-5)


def test_samples_can_be_decoded_in_another_batch(trained: bulkvi.BulkVI) -> None:
    first, second = (trained.get_normalized_expression(transform_batch=batch) for batch in ("b1", "b2"))
    in_first = (trained.adata.obs["batch"] == "b1").to_numpy()
    own = trained.get_normalized_expression()
    np.testing.assert_allclose(own[in_first], first[in_first])
    assert np.abs(np.log2(second / first)).to_numpy().max() > 0.5
    both = trained.get_normalized_expression(transform_batch=["b1", "b2"])
    np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-5)


def test_unknown_genes_are_named(trained: bulkvi.BulkVI) -> None:
    with pytest.raises(KeyError, match="BRCA1"):
        trained.get_normalized_expression(gene_list=["BRCA1"])
    with pytest.raises(TypeError, match=r"gene_list must be a list of genes.*Write \['BRCA1'\]"):
        trained.get_normalized_expression(gene_list="BRCA1")


def test_library_size_is_the_size_factor(trained: bulkvi.BulkVI) -> None:
    np.testing.assert_allclose(trained.get_latent_library_size()[:, 0], trained.adata.obs["size_factor"])


def test_importance_weights_are_refused_with_a_reason(trained: bulkvi.BulkVI) -> None:
    with pytest.raises(NotImplementedError, match="posterior mean"):
        trained.get_importance_weights()


def test_reading_leaves_the_random_state_alone_unless_a_draw_is_asked_for(trained: bulkvi.BulkVI) -> None:
    """The network drew a latent state in passing, and the next number of the caller's was another one."""
    readers: list[Callable[[], Any]] = [
        trained.get_latent_representation,
        lambda: trained.get_latent_representation(return_dist=True),
        trained.get_normalized_expression,
        lambda: trained.differential_expression("batch", "b1", "b2"),
        trained.latent_report,
    ]
    for read in readers:
        before = torch.random.get_rng_state()
        read()
        assert torch.equal(torch.random.get_rng_state(), before)
    draws = [trained.get_latent_representation(give_mean=False) for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0
