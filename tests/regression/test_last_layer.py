import pickle

import numpy as np
import pytest

import bulkvi
from bulkvi.regression.last_layer import LastLayer, last_layer
from tests.cohorts import fit, make_cohort, make_hidden


def layer_of(model: bulkvi.BulkVI) -> LastLayer:
    return model.last_layer()


@pytest.fixture(scope="module")
def trained() -> bulkvi.BulkVI:
    """Model of samples that two hidden factors tell apart."""
    return fit(make_hidden(), max_steps=20)


def test_names_scale_and_order_of_the_directions(trained: bulkvi.BulkVI) -> None:
    layer = layer_of(trained)
    assert layer.directions == ["latent_0", "latent_1"]
    assert layer.relevance.is_monotonic_decreasing
    np.testing.assert_allclose((layer.state**2).mean(), 1)
    mean, sd = layer.loadings()
    assert mean.index.equals(trained.adata.var_names)
    assert (sd > 0).all(axis=None)
    assert list(mean.columns) == list(sd.columns) == layer.directions == list(layer.relevance.index)


def test_a_record_holds_plain_values_and_all_of_the_layer(trained: bulkvi.BulkVI) -> None:
    layer = layer_of(trained)
    again = LastLayer.from_record(pickle.loads(pickle.dumps(layer.to_record())))
    study = trained.gene_fit().study
    assert again.is_of(study)
    np.testing.assert_array_equal(again.infer(study).mean, layer.infer(study).mean)


def test_inferred_states_of_the_training_samples_are_near_those_of_training(trained: bulkvi.BulkVI) -> None:
    layer = layer_of(trained)
    found = layer.infer(trained.gene_fit().study).mean
    for k in range(2):
        assert np.corrcoef(found[:, k], layer.state.iloc[:, k])[0, 1] > 0.9


def test_levels_that_training_samples_lack_are_named() -> None:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch")
    model = bulkvi.BulkVI(adata, n_latent=2)
    study = model.gene_fit().study
    only = study.obs.assign(batch=study.obs["batch"].iloc[0])
    layer = last_layer(study, np.zeros(adata.shape))
    assert layer.state.shape == (adata.n_obs, 0)
    assert layer.design(study, only).shape == (adata.n_obs, 2)
    part = adata[adata.obs["batch"] == "b1"].copy()
    fewer = bulkvi.BulkVI.load_query_data(part, _trained(model)).gene_fit().study
    of_one_batch = last_layer(fewer, np.zeros(part.shape))
    with pytest.raises(ValueError, match=r"batch\[T.b2\].*no effect"):
        of_one_batch.design(study)


def _trained(model: bulkvi.BulkVI) -> bulkvi.BulkVI:
    model.train(5, progress_bar=False)
    return model
