import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.stats import nbinom

import bulkvi
from tests.cohorts import fit, make_cohort
from tests.model.test_query import new_samples


def truth(
    n_train: int = 16, n_new: int = 40, genes: int = 300, noisy: float = 0.0
) -> tuple[AnnData, AnnData, np.ndarray]:
    """Counts of a factor model with two directions, new samples of the same, and the rates of the latter."""
    rng = np.random.default_rng(4)
    n = n_train + n_new
    log_rate = rng.normal(5, 1.2, genes) + rng.normal(size=(n, 2)) @ (
        np.array([[0.5], [0.2]]) * rng.normal(size=(2, genes))
    )
    a = np.exp(rng.normal(-3.5, 0.4, genes)) * np.exp(np.where(np.arange(n) >= n_train, noisy, 0.0))[:, None]
    depth = np.exp(rng.normal(0, 0.2, n))
    mean = depth[:, None] * np.exp(log_rate)
    adata = AnnData(rng.negative_binomial(1 / a, 1 / (1 + a * mean)).astype(np.float32))
    adata.obs_names, adata.var_names = [f"s{k}" for k in range(n)], [f"g{k}" for k in range(genes)]
    adata.obs["size_factor"] = depth
    train, new = adata[:n_train].copy(), adata[n_train:].copy()
    bulkvi.BulkVI.setup_anndata(train, size_factor_key="size_factor")
    return train, new, np.exp(log_rate[n_train:])


@pytest.mark.slow
@pytest.mark.parametrize("noisy", [0.0, 1.0])
def test_intervals_of_new_samples_hold_their_rates_and_counts(noisy: float) -> None:
    train, new, rates = truth(noisy=noisy)
    model = fit(train, max_steps=400)
    _, low, high = model.get_normalized_expression(new, interval=0.95, return_numpy=True)
    # the errors of a gene's coefficients are shared by all new samples: 300 genes count, not 12,000 rates
    assert ((rates > low) & (rates < high)).mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 300))
    half, other = list(new.var_names[::2]), list(new.var_names[1::2])
    drawn = model.posterior_predictive_sample(new, gene_list=other, n_samples=400).todense()
    counts = new[:, other].X[..., None]
    place = (drawn < counts).mean(2) + np.random.default_rng(0).random(counts.shape[:2]) * (drawn == counts).mean(2)
    for level in (0.5, 0.95):
        assert (np.abs(place - 0.5) < level / 2).mean() == pytest.approx(level, abs=4 * np.sqrt(0.25 / 1_500))
    honest = model.get_predictive_log_likelihood(new, given_genes=half, gene_list=other).to_numpy().mean()
    # no model does better on average than the true one, and one negative binomial per gene does worse
    size, x = new.obs["size_factor"].to_numpy()[:, None], new[:, other].X
    mean = train[:, other].X.mean(0) * size
    a = np.maximum(
        ((train[:, other].X / train.obs["size_factor"].to_numpy()[:, None]).var(0) / train[:, other].X.mean(0) ** 2),
        0.01,
    )
    assert honest > nbinom.logpmf(x, 1 / a, 1 / (1 + a * mean)).mean() + 0.1


def test_interval_holds_its_rate_and_widens_with_its_level(trained: bulkvi.BulkVI) -> None:
    rate, low, high = trained.get_normalized_expression(interval=0.95)
    _, narrow, _ = trained.get_normalized_expression(interval=0.5)
    assert ((low < narrow) & (narrow < rate) & (rate < high)).all(axis=None)
    np.testing.assert_allclose(np.log(rate / low), np.log(high / rate), rtol=1e-2, atol=1e-4)
    np.testing.assert_array_equal(rate, trained.get_normalized_expression())
    assert isinstance(trained.get_normalized_expression(interval=0.5, return_numpy=True).low, np.ndarray)


def test_rates_of_query_and_order_of_genes(trained: bulkvi.BulkVI) -> None:
    query = new_samples(trained.adata)
    together = trained.get_normalized_expression(query)
    np.testing.assert_allclose(
        trained.get_normalized_expression(query[[3, 1, 9, 5, 7, 14, 2, 0]].copy()),
        together.iloc[[3, 1, 9, 5, 7, 14, 2, 0]],
        rtol=1e-4,
    )
    genes = list(query.var_names[[9, 2]])
    np.testing.assert_allclose(trained.get_normalized_expression(query, gene_list=genes), together[genes], rtol=1e-6)


def test_likelihood_is_that_of_the_counts_and_its_arguments_choose(trained: bulkvi.BulkVI) -> None:
    likelihood = trained.get_predictive_log_likelihood()
    assert likelihood.shape == trained.adata.shape
    assert (likelihood < 0).all(axis=None)
    genes = list(trained.adata.var_names[[4, 0]])
    part = trained.get_predictive_log_likelihood(indices=[5, 2], gene_list=genes)
    np.testing.assert_allclose(part, likelihood.iloc[[5, 2]][genes])
    given = trained.get_predictive_log_likelihood(given_genes=genes)
    assert given.to_numpy().mean() < likelihood.to_numpy().mean()
    with pytest.raises(KeyError, match="BRCA1"):
        trained.get_predictive_log_likelihood(given_genes=["BRCA1"])
    with pytest.raises(TypeError, match="given_genes must be a list"):
        trained.get_predictive_log_likelihood(given_genes="BRCA1")


def test_arguments_that_exclude_each_other(trained: bulkvi.BulkVI) -> None:
    with pytest.raises(ValueError, match="interval: give one of"):
        trained.get_normalized_expression(interval=0.9, n_samples=3)
    with pytest.raises(ValueError, match="interval: give one of"):
        trained.get_normalized_expression(interval=0.9, transform_batch=["b1", "b2"])
    with pytest.raises(ValueError, match="one batch"):
        trained.posterior_predictive_sample(transform_batch=["b1", "b2"])


def test_draws_depend_on_torchs_seed_alone_and_have_scvi_tools_shapes(trained: bulkvi.BulkVI) -> None:
    draws = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            draws.append(trained.posterior_predictive_sample(n_samples=3).todense())
    assert draws[0].shape == (*trained.adata.shape, 3)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    assert trained.posterior_predictive_sample(indices=[1, 2]).shape == (2, trained.adata.n_vars)


def test_a_deep_decoder_has_a_last_layer_too() -> None:
    adata = make_cohort(n_per_group=5)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=20, decoder="deep")
    rate, low, high = model.get_normalized_expression(interval=0.9)
    assert ((low < rate) & (rate < high)).all(axis=None)
