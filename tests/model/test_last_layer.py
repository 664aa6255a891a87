from pathlib import Path

import numpy as np
import pytest

import bulkvi
from bulkvi.arguments import BulkVIWarning
from tests.cohorts import fit, make_cohort
from tests.model.test_query import new_samples


def small(n_per_group: int = 4, **more: object) -> bulkvi.BulkVI:
    adata = bulkvi.datasets.simulate(n_per_group=n_per_group, n_genes=120)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    return fit(adata, max_steps=10, **more)  # type: ignore[arg-type]


def test_the_layer_is_kept_until_the_model_is_trained_again() -> None:
    model = small()
    layer = model.last_layer()
    assert model.last_layer() is layer
    model.train(5, progress_bar=False)
    assert model.last_layer() is not layer


def test_models_without_layer_say_why() -> None:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    with pytest.raises(ValueError, match="has not been trained"):
        bulkvi.BulkVI(adata, n_latent=2).last_layer()
    model = fit(adata, max_steps=5, gene_likelihood="zinb")
    with pytest.raises(ValueError, match="zinb"):
        model.last_layer()
    with pytest.raises(ValueError, match=r"decoder alone, without intervals.*zinb"):
        model.get_normalized_expression(interval=0.9)
    assert np.isfinite(model.get_normalized_expression()).all(axis=None)
    assert np.isfinite(model.get_predictive_log_likelihood()).all(axis=None)


def test_a_query_has_the_layer_of_its_reference(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    query = new_samples(trained.adata)
    direct = trained.get_normalized_expression(query)
    model = bulkvi.BulkVI.load_query_data(query.copy(), trained)
    np.testing.assert_allclose(model.get_normalized_expression(), direct, rtol=1e-5)
    trained.save(tmp_path / "model")
    from_disk = bulkvi.BulkVI.load_query_data(query.copy(), str(tmp_path / "model"))
    np.testing.assert_allclose(from_disk.get_normalized_expression(), direct, rtol=1e-5)


def test_a_saved_model_predicts_without_its_samples(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    query = new_samples(trained.adata)
    expected = trained.get_normalized_expression(query)
    trained.save(tmp_path / "model")
    model = bulkvi.BulkVI.load(tmp_path / "model", adata=trained.adata)
    np.testing.assert_allclose(model.get_normalized_expression(query), expected, rtol=1e-5)
    np.testing.assert_array_equal(model.get_normalized_expression(), trained.get_normalized_expression())


def test_new_batches_are_predicted_by_the_decoder(trained: bulkvi.BulkVI) -> None:
    query = new_samples(trained.adata)
    query.obs["batch"] = "elsewhere"
    model = bulkvi.BulkVI.load_query_data(query, trained)
    model.train(5, progress_bar=False)
    assert np.isfinite(model.get_normalized_expression()).all(axis=None)
    with pytest.raises(ValueError, match=r"decoder alone.*elsewhere"):
        model.get_normalized_expression(interval=0.95)


def test_four_samples_in_two_groups_have_no_directions_but_intervals() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=2, n_genes=120)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=5)
    assert model.last_layer().directions == []
    _, low, high = model.get_normalized_expression(interval=0.95)
    assert (low < high).all(axis=None)


def test_a_warning_where_the_layer_was_not_saved(tmp_path: Path) -> None:
    model = small()
    samples = model.adata.copy()
    model.save(tmp_path / "model")
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=False)
    with pytest.warns(BulkVIWarning, match="decoder's own"):
        loaded.get_normalized_expression(samples[:5].copy())
