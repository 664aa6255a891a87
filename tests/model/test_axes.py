import numpy as np
import pytest

import bulkvi
from bulkvi.model._axes import compute_axes, coordinates_of, leading_axes, log2_rates
from tests.cohorts import fit, make_cohort


@pytest.mark.parametrize("sizes", [[40], [11, 25, 4]])
def test_blocks_give_the_singular_vectors_of_all_rows(rng: np.random.Generator, sizes: list[int]):
    rows = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 50)) * 3
    found, value = leading_axes(iter(np.split(rows, np.cumsum(sizes)[:-1])), 50)
    _, expected_value, expected = np.linalg.svd(rows, full_matrices=False)
    assert found.shape == (50, 6)
    np.testing.assert_allclose(value, expected_value[:6], rtol=1e-8)
    np.testing.assert_allclose(np.abs((found * expected[:6].T).sum(0)), 1, rtol=1e-8)


def test_nothing_that_varies_has_no_axes():
    found, value = leading_axes(iter([np.zeros((3, 5))]), 5)
    assert found.shape == (5, 0)
    assert value.size == 0


def test_coordinates_times_loadings_are_log2_fold_changes_and_distances_their_root_mean_square(trained: bulkvi.BulkVI):
    axes = compute_axes(trained)
    y = coordinates_of(trained, axes, trained.get_latent_representation(axes="whitened"))
    sd = y.std(0)
    np.testing.assert_allclose(sd, np.sqrt((axes.loadings**2).mean(0)), rtol=1e-4)
    used = sd > 0
    log_fc = y[:, used] / sd[used] @ axes.loadings[:, used].T
    distance = np.square(y[:, None] - y).sum(-1)
    np.testing.assert_allclose(distance, np.square(log_fc[:, None] - log_fc).mean(-1), rtol=1e-3, atol=1e-6)


def test_with_many_counts_the_distance_is_that_of_the_decoded_rates():
    """Nothing is shrunk where the counts say all."""
    adata = make_cohort()
    adata = adata[:, np.asarray(adata.X).mean(0) > 200].copy()
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch")
    model = fit(adata)
    y = model.get_latent_representation()
    rates = np.log2(model.get_normalized_expression(transform_batch="b1", return_numpy=True))
    distance = np.sqrt(np.square(y[:, None] - y).sum(-1))
    decoded = np.sqrt(np.square(rates[:, None] - rates).mean(-1))
    away = ~np.eye(len(y), dtype=bool)
    assert np.corrcoef(distance[away], decoded[away])[0, 1] > 0.95
    assert 0.5 < np.median(distance[away] / decoded[away]) <= 1.02


def test_without_samples_the_axes_are_those_of_the_prior(trained: bulkvi.BulkVI):
    axes = compute_axes(trained, with_samples=False)
    weights = trained.module.decoder.loadings.detach().numpy().astype(float) / np.log(2)
    np.testing.assert_allclose(
        axes.loadings @ axes.loadings.T, weights.T @ weights, atol=1e-4 * np.abs(weights.T @ weights).max()
    )


def test_rates_are_decoded_at_the_mean_covariates(trained: bulkvi.BulkVI):
    z = trained.get_latent_representation(axes="whitened")
    share = float((trained.adata.obs["batch"] == "b2").mean())
    found, first, second = (
        np.concatenate(list(log2_rates(trained, z, {"batch": np.array([value])}))) for value in (share, 0.0, 1.0)
    )
    np.testing.assert_allclose(found, (1 - share) * first + share * second, atol=1e-4)
    effect = trained.module.decoder.covariates.weight["batch"].detach().numpy()[0] / np.log(2)
    np.testing.assert_allclose((second - first)[0], effect, atol=1e-4)
    assert np.abs(effect).max() > 0.5
    np.testing.assert_allclose(compute_axes(trained).centre, found.mean(0), atol=1e-4)
