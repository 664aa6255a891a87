"""The offset on its way from a layer into the network."""

from pathlib import Path
from typing import Any

import anndata
import dask.array as da
import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse

import bulkvi
from bulkvi.model._fields import log_offset_means, study_of
from bulkvi.model._start import initialise
from tests.cohorts import fit, make_lengths


@pytest.fixture
def cohort() -> AnnData:
    return make_lengths()


@pytest.fixture(scope="module")
def trained() -> bulkvi.BulkVI:
    """Model with an offset and no design. Do not change it."""
    return fit(set_up(make_lengths()))


def set_up(adata: AnnData, **changes: Any) -> AnnData:
    bulkvi.BulkVI.setup_anndata(adata, **({"size_factor_key": "size_factor", "offset_key": "length"} | changes))
    return adata


def set_offset(adata: AnnData, value: float) -> None:
    adata.layers["length"][3, 5] = value


def set_layer(adata: AnnData, layer: Any) -> None:
    adata.layers["length"] = layer


def without_first(adata: AnnData) -> Any:
    factors = sparse.csr_matrix(adata.layers["length"])
    factors[3, 5] = 0
    factors.eliminate_zeros()
    return factors


# what is done to a good cohort, the arguments, the error and what its message must name
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "no layer": (lambda a: None, {"offset_key": "len"}, KeyError, r"offset_key='len' is not a layer .* \['length'\]"),
    "table": (lambda a: None, {"offset_key": pd.DataFrame()}, TypeError, "must be the name of a layer, not DataFrame"),
    "array": (lambda a: None, {"offset_key": np.ones((12, 300))}, TypeError, "name of a layer, not ndarray: put"),
    "zero": (lambda a: set_offset(a, 0), {}, ValueError, r"adata.layers\['length'\] .*'3' has 0.0 at gene '5'"),
    "negative": (lambda a: set_offset(a, -2), {}, ValueError, "'3' has -2.0 at gene '5'.*exponential"),
    "nan": (lambda a: set_offset(a, np.nan), {}, ValueError, "'3' has nan at gene '5'"),
    "infinite": (lambda a: set_offset(a, np.inf), {}, ValueError, "'3' has inf at gene '5'"),
    "not stored": (
        lambda a: set_layer(a, without_first(a)),
        {},
        ValueError,
        "'3' has 0.0 at gene '5'.*not store are 0",
    ),
    "text": (lambda a: set_layer(a, a.layers["length"].astype(str)), {}, TypeError, "must hold numbers > 0"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_bad_offsets_are_refused_and_nothing_is_changed(
    cohort: AnnData, case: tuple[Any, dict[str, Any], type[Exception], str]
) -> None:
    spoil, arguments, error, message = case
    spoil(cohort)
    layer, before = cohort.layers["length"], cohort.copy()
    with pytest.raises(error, match=f"(?s){message}"):
        set_up(cohort, **arguments)
    assert cohort.layers["length"] is layer or cohort.isbacked
    pd.testing.assert_frame_equal(cohort.obs, before.obs)
    pd.testing.assert_frame_equal(cohort.var, before.var)
    assert set(cohort.uns) == set(before.uns) and not cohort.obsm


def test_new_samples_with_bad_offsets_are_refused_and_unchanged(trained: bulkvi.BulkVI) -> None:
    new = make_lengths(seed=1)
    set_offset(new, 0)
    columns = list(new.obs)
    with pytest.raises(ValueError, match="'3' has 0.0 at gene '5'"):
        trained.get_latent_representation(new)
    assert list(new.obs) == columns and set(new.uns) == {"size_factor_source"}
    del new.layers["length"]
    with pytest.raises(KeyError, match="offset_key='length' is not a layer of adata"):
        trained.get_latent_representation(new)


def test_size_factors_may_be_equal_where_the_offset_holds_the_depth(cohort: AnnData) -> None:
    depth = cohort.obs["size_factor"].to_numpy()[:, None]
    cohort.obs["size_factor"] = 1.0
    with pytest.raises(ValueError, match="is 1 in every sample although"):
        set_up(cohort)
    cohort.layers["factors"] = cohort.layers["length"] * depth
    set_up(cohort, offset_key="factors")


@pytest.fixture(scope="module")
def unaware() -> bulkvi.BulkVI:
    """The same without the offset."""
    adata = make_lengths()
    bulkvi.pp.size_factors(adata)
    return fit(set_up(adata, offset_key=None))


@pytest.mark.parametrize("log_scale", [0.0, 2.0], ids=["ones", "a unit for each gene"])
def test_an_offset_that_is_the_same_in_all_samples_is_none(
    unaware: bulkvi.BulkVI, cohort: AnnData, log_scale: float
) -> None:
    bulkvi.pp.size_factors(cohort)
    of_gene = np.exp(np.random.default_rng(0).normal(0, log_scale, cohort.n_vars)).astype(np.float32)
    cohort.layers["length"] = np.tile(of_gene, (cohort.n_obs, 1))
    np.testing.assert_array_equal(fit(set_up(cohort)).get_latent_representation(), unaware.get_latent_representation())


def test_length_does_not_reach_the_latent_state(trained: bulkvi.BulkVI) -> None:
    """Twice the counts at twice the length is the same sample."""
    longer = trained.adata.copy()
    twice = 2.0 ** np.random.default_rng(0).integers(0, 2, longer.shape)
    longer.X = longer.X * twice
    longer.layers["length"] = longer.layers["length"] * twice
    np.testing.assert_allclose(
        trained.get_latent_representation(longer), trained.get_latent_representation(), atol=1e-4
    )


def change_of_switched(model: bulkvi.BulkVI) -> float:
    """Median log2 fold change of decoded rates, over the genes that switch transcripts, towards the longer ones."""
    log_rates = np.log2(model.get_normalized_expression(return_numpy=True))
    in_b = (model.adata.obs["group"] == "B").to_numpy()
    switch = model.adata.var["switch"].to_numpy()
    return float(np.median((np.sign(switch) * (log_rates[in_b].mean(0) - log_rates[~in_b].mean(0)))[switch != 0]))


def test_decoded_rates_are_free_of_length(trained: bulkvi.BulkVI, unaware: bulkvi.BulkVI) -> None:
    assert abs(change_of_switched(trained)) < 0.1
    assert change_of_switched(unaware) > 1.5


def test_training_starts_from_rates_that_are_free_of_length(cohort: AnnData) -> None:
    model = bulkvi.BulkVI(set_up(cohort), n_latent=2)
    initialise(model.module, model._make_data_loader(adata=cohort))
    model.is_trained_ = True
    assert abs(change_of_switched(model)) < 0.1


def test_mean_of_predictive_draws_is_size_factor_times_relative_offset_times_rate(trained: bulkvi.BulkVI) -> None:
    draws = trained.posterior_predictive_sample(n_samples=60).todense()
    log_length = np.log(trained.adata.layers["length"].astype(float))
    exposure = trained.adata.obs[["size_factor"]].to_numpy() * np.exp(log_length - log_length.mean(0))
    ratio = draws.mean(2) / (exposure * trained.get_normalized_expression(return_numpy=True))
    np.testing.assert_allclose(np.median(ratio, 0)[trained.adata.var["switch"] != 0], 1, atol=0.1)
    np.testing.assert_allclose(np.median(ratio), 1, atol=0.02)


def test_geometric_means_of_the_training_samples_go_with_the_model(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    """Three samples of one group alone: taken relative to their own means, their switched genes would look unchanged."""
    few = make_lengths()[8:11].copy()
    expected = trained.get_latent_representation()[8:11]
    trained.save(tmp_path / "model")
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=few.copy())
    query = bulkvi.BulkVI.load_query_data(few.copy(), trained)
    from_disk = bulkvi.BulkVI.load_query_data(few.copy(), str(tmp_path / "model"))
    for model in (loaded, query, from_disk):
        np.testing.assert_array_equal(log_offset_means(model.registry), log_offset_means(trained.registry))
        np.testing.assert_allclose(model.get_latent_representation(), expected, atol=1e-5)
    np.testing.assert_allclose(trained.get_latent_representation(few), expected, atol=1e-5)
    other_means = fit(set_up(make_lengths()[6:].copy())).get_latent_representation
    assert np.abs(other_means(few) - trained.get_latent_representation(few)).max() > 0.1


def test_genes_that_a_query_lacks_get_the_offset_that_counts_as_one(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    few = make_lengths()[:, :29:-1].copy()
    known = few.var_names
    prepared = bulkvi.BulkVI.prepare_query_anndata(few, trained, inplace=False)
    added = ~prepared.var_names.isin(known)
    assert prepared.var_names.equals(trained.adata.var_names) and added.sum() == 30
    expected = np.exp(np.log(trained.adata.layers["length"].astype(float)).mean(0))
    np.testing.assert_allclose(prepared.layers["length"][:, added], np.tile(expected[added], (12, 1)), rtol=1e-6)
    np.testing.assert_allclose(prepared[:, known].layers["length"], few.layers["length"], rtol=1e-6)
    bulkvi.BulkVI.load_query_data(prepared, trained)
    trained.save(tmp_path / "model")
    bulkvi.BulkVI.prepare_query_anndata(few, str(tmp_path / "model"))
    np.testing.assert_array_equal(few.layers["length"], prepared.layers["length"])
    names = bulkvi.BulkVI.prepare_query_anndata(few, trained, return_reference_var_names=True)
    assert names.equals(trained.adata.var_names)


def test_a_query_of_a_model_without_offset_keeps_its_layers(unaware: bulkvi.BulkVI) -> None:
    query = make_lengths()[:, 10:].copy()
    prepared = bulkvi.BulkVI.prepare_query_anndata(query, unaware, inplace=False)
    assert prepared.layers["length"][:, :10].sum() == 0


STORAGES: dict[str, Any] = {
    "csr": lambda x: sparse.csr_matrix(x),
    "csc array": lambda x: sparse.csc_array(x),
    "fortran": np.asfortranarray,
    "float64": lambda x: x.astype(np.float64),
    "dask": lambda x: da.from_array(x.astype(np.float64), chunks=(5, -1)),
}


@pytest.mark.parametrize("storage", STORAGES)
def test_storage_of_the_offsets_does_not_matter(trained: bulkvi.BulkVI, cohort: AnnData, storage: str) -> None:
    given = cohort.layers["length"] = STORAGES[storage](cohort.layers["length"])
    z = trained.get_latent_representation(cohort)
    assert cohort.layers["length"] is given
    np.testing.assert_allclose(z, trained.get_latent_representation(), atol=1e-5)
    manager = trained.get_anndata_manager(cohort, required=True)
    exposure = study_of(manager.registry, cohort, {}).log_exposure
    np.testing.assert_allclose(exposure, trained.gene_fit().study.log_exposure, rtol=1e-12)


def test_a_backed_file_trains_as_in_memory(trained: bulkvi.BulkVI, cohort: AnnData, tmp_path: Path) -> None:
    cohort.X = sparse.csr_matrix(cohort.X)
    cohort.write_h5ad(tmp_path / "cohort.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cohort.h5ad", backed="r")
    model = fit(set_up(backed))
    np.testing.assert_allclose(model.get_latent_representation(), trained.get_latent_representation(), atol=1e-4)
    backed.file.close()


def test_the_order_of_samples_does_not_matter(trained: bulkvi.BulkVI, cohort: AnnData) -> None:
    order = np.random.default_rng(0).permutation(cohort.n_obs)
    shuffled = set_up(cohort[order].copy())
    own, other = (model.get_normalized_expression(return_numpy=True) for model in (trained, fit(shuffled)))
    np.testing.assert_allclose(np.log2(other), np.log2(own[order]), atol=0.05)


def test_minibatches_hold_their_samples_offsets(cohort: AnnData) -> None:
    model = bulkvi.BulkVI(set_up(cohort), n_latent=2)
    model.train(30, batch_size=5, train_size=0.8, progress_bar=False)
    rates = [model.get_normalized_expression(batch_size=size, return_numpy=True) for size in (1, 5, 12)]
    np.testing.assert_allclose(rates[0], rates[2], rtol=1e-4)
    np.testing.assert_allclose(rates[1], rates[2], rtol=1e-4)


class Minibatches(pl.LightningDataModule):
    """Somebody else's source of minibatches."""

    def __init__(self, model: bulkvi.BulkVI, left_out: str | None = None):
        super().__init__()
        self.n_obs = model.adata.n_obs
        loader = model._make_data_loader(adata=model.adata, batch_size=6, shuffle=False)
        self.batches = [{key: value for key, value in batch.items() if key != left_out} for batch in loader]

    def train_dataloader(self) -> Any:
        return torch.utils.data.DataLoader(self.batches, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> list[Any]:
        return []


def test_a_data_module_brings_offsets_and_the_registry_their_means(trained: bulkvi.BulkVI) -> None:
    model = bulkvi.BulkVI(registry=trained.registry, n_latent=2)
    model.train(60, datamodule=Minibatches(trained), progress_bar=False)
    learned, expected = (one.module.decoder.intercept.detach().numpy() for one in (model, trained))
    np.testing.assert_allclose(learned, expected, atol=0.2)
    other = bulkvi.BulkVI(registry=trained.registry, n_latent=2)
    with pytest.raises(KeyError, match="a minibatch holds only .* must give the offsets of the samples as 'offset'"):
        other.train(2, datamodule=Minibatches(trained, left_out="offset"), progress_bar=False)
