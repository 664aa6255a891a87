from copy import deepcopy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, make_hidden
from tests.model.test_query import new_samples


def flipped(model: bulkvi.BulkVI) -> bulkvi.BulkVI:
    """The same model with the latent dimensions in another order and the other way round."""
    other = deepcopy(model)
    decoder, encoder = other.module.decoder, other.module.z_encoder
    with torch.no_grad():
        decoder.loadings.copy_(-decoder.loadings.flip(0))
        for name, buffer in decoder.named_buffers(recurse=False):
            if name == "relevance":
                buffer.copy_(buffer.flip(0))
        for layer in (encoder.linear_mean, encoder.mean):
            layer.weight.copy_(-layer.weight.flip(0))
            layer.bias.copy_(-layer.bias.flip(0))
    other.axes_ = None
    return other


def test_axes_are_ordered_by_variance_and_uncorrelated(trained: bulkvi.BulkVI) -> None:
    y = trained.get_latent_representation()
    variance = y.var(0)
    assert (np.diff(variance) <= 0).all()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4 * variance[0] ** 0.5)
    np.testing.assert_allclose(np.cov(y.T, bias=True), np.diag(variance), atol=1e-4 * variance[0])


def test_order_and_signs_of_the_latent_dimensions_do_not_matter(trained: bulkvi.BulkVI) -> None:
    other = flipped(trained)
    np.testing.assert_allclose(
        other.get_latent_representation(axes="whitened"),
        -trained.get_latent_representation(axes="whitened")[:, ::-1],
        atol=1e-5,
    )
    np.testing.assert_allclose(other.get_latent_representation(), trained.get_latent_representation(), atol=1e-4)
    pd.testing.assert_frame_equal(other.get_loadings(), trained.get_loadings(), atol=1e-4, rtol=1e-3)


def test_order_of_samples_and_genes_does_not_matter(
    trained: bulkvi.BulkVI, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Axes of a model that is loaded as if it were saved by an older version, with its samples in another order."""
    trained.save(tmp_path / "model")
    order = rng.permutation(trained.adata.n_obs)
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=trained.adata[order].copy())
    loaded.axes_ = None
    np.testing.assert_allclose(
        loaded.get_latent_representation(), trained.get_latent_representation()[order], atol=1e-4
    )
    assert (np.sign((loaded.get_loadings() ** 3).sum()) >= 0).all()


def test_axes_are_saved_and_other_samples_lie_on_them(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    y = trained.get_latent_representation()
    trained.save(tmp_path / "model")
    few = trained.adata[:12].copy()
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=few)
    np.testing.assert_allclose(loaded.get_latent_representation(), y[:12], atol=1e-4)
    np.testing.assert_allclose(trained.get_latent_representation(few), y[:12], atol=1e-4)
    without = bulkvi.BulkVI.load(tmp_path / "model", adata=False)
    pd.testing.assert_frame_equal(without.get_loadings(), trained.get_loadings(), check_names=False)


def test_a_model_that_was_never_looked_at_is_saved_with_its_axes(cohort: AnnData, tmp_path: Path) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    model = fit(cohort, max_steps=20)
    assert model.axes_ is None
    model.save(tmp_path / "model")
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=cohort[:12].copy())
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation()[:12], atol=1e-4)


@pytest.mark.parametrize("from_disk", [False, True])
def test_queries_lie_on_the_axes_of_their_reference(trained: bulkvi.BulkVI, tmp_path: Path, from_disk: bool) -> None:
    reference = trained
    if from_disk:
        trained.save(tmp_path / "model")
        reference = str(tmp_path / "model")  # type: ignore[assignment]
    query = new_samples(trained.adata)
    expected = trained.get_latent_representation(query)
    mapped = bulkvi.BulkVI.load_query_data(query, reference)
    np.testing.assert_allclose(mapped.get_latent_representation(), expected, atol=1e-4)
    pd.testing.assert_frame_equal(mapped.get_loadings(), trained.get_loadings(), check_names=False)


def test_training_a_query_moves_no_axis(trained: bulkvi.BulkVI) -> None:
    query = new_samples(trained.adata)
    query.obs["batch"] = "elsewhere"
    mapped = bulkvi.BulkVI.load_query_data(query, trained)
    mapped.train(20, progress_bar=False)
    np.testing.assert_array_equal(mapped.get_loadings(), trained.get_loadings())
    assert np.isfinite(mapped.get_latent_representation()).all()


def test_a_query_of_a_reference_that_was_saved_by_an_older_version_has_axes(
    trained: bulkvi.BulkVI, tmp_path: Path
) -> None:
    trained.save(tmp_path / "model")
    content = torch.load(tmp_path / "model" / "model.pt", weights_only=False)
    del content["attr_dict"]["axes_"]
    torch.save(content, tmp_path / "model" / "model.pt")
    query = new_samples(trained.adata)
    mapped = bulkvi.BulkVI.load_query_data(query, str(tmp_path / "model"))
    assert mapped.get_latent_representation().shape == (query.n_obs, 2)
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=trained.adata)
    np.testing.assert_allclose(loaded.get_latent_representation(), trained.get_latent_representation(), atol=1e-5)


def test_training_again_makes_new_axes(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    model = fit(cohort, max_steps=20)
    before = model.get_loadings()
    model.train(40, progress_bar=False)
    assert np.abs(model.get_loadings().to_numpy() - before.to_numpy()).max() > 0


@pytest.mark.parametrize("decoder", ["linear", "deep"])
def test_known_batches_are_not_in_it(cohort: AnnData, decoder: str) -> None:
    cohort.obs["lane"] = ["odd", "even"] * (cohort.n_obs // 2)
    cohort.X = cohort.X * np.where(
        (cohort.obs["lane"] == "odd").to_numpy()[:, None] & (np.arange(cohort.n_vars) % 2 > 0), 4, 1
    )
    bulkvi.pp.size_factors(cohort)
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", batch_key="lane")
    y = fit(cohort, decoder=decoder, max_steps=100).get_latent_representation()
    odd = (cohort.obs["lane"] == "odd").to_numpy()
    assert (np.abs(y[odd].mean(0) - y[~odd].mean(0)) < y.std(0)).all()


def test_moments_of_the_posterior_are_those_of_draws(trained: bulkvi.BulkVI) -> None:
    mean, variance = trained.get_latent_representation(return_dist=True)
    np.testing.assert_allclose(mean, trained.get_latent_representation(), atol=1e-5)
    torch.manual_seed(0)
    draws = np.stack([trained.get_latent_representation(give_mean=False) for _ in range(400)])
    np.testing.assert_allclose(draws.mean(0), mean, atol=5 * variance.max() ** 0.5 / 20)
    np.testing.assert_allclose(draws.var(0).mean(0), variance.mean(0), rtol=0.1)


def test_the_whitened_state_has_the_scale_of_its_prior(trained: bulkvi.BulkVI) -> None:
    z, variance = trained.get_latent_representation(axes="whitened", return_dist=True)
    np.testing.assert_array_equal(z, trained.get_latent_representation(axes="whitened"))
    np.testing.assert_allclose(z.var(0) + variance.mean(0), 1, atol=0.4)


def test_arguments_without_meaning_are_refused(trained: bulkvi.BulkVI, cohort: AnnData) -> None:
    with pytest.raises(ValueError, match="axes must be one of 'principal', 'whitened', 'reference'; it is 'pca'"):
        trained.get_latent_representation(axes="pca")  # type: ignore[arg-type]
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    deep = fit(cohort, decoder="deep", max_steps=20)
    with pytest.raises(ValueError, match="return_dist needs axes='whitened' for a deep decoder"):
        deep.get_latent_representation(return_dist=True)
    assert deep.get_latent_representation(axes="whitened", return_dist=True)[1].shape == (24, 2)


def test_loadings_find_the_genes_that_change(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", batch_key="batch")
    model = fit(cohort, max_steps=100)
    mean, sd = model.get_loadings(return_sd=True)
    assert mean.index.equals(cohort.var_names)
    y = model.get_latent_representation()
    group = (cohort.obs["group"] == "B").to_numpy()
    axis = int(np.abs((y - y.mean(0)).T @ (group - group.mean())).argmax())
    true = np.abs(cohort.var["true_log_fc"].to_numpy())
    expressed = np.asarray(cohort.X.mean(0) > 50)
    found = mean.iloc[:, axis].abs().to_numpy()
    assert np.corrcoef(found[expressed], true[expressed])[0, 1] > 0.8
    assert (sd.iloc[:, axis][mean.iloc[:, axis] != 0] > 0).all()


def test_top_genes_are_those_of_the_largest_loadings() -> None:
    trained = fit(make_hidden(), max_steps=20)
    mean, sd = trained.get_loadings(return_sd=True)
    top = trained.get_top_loadings(5, level=0.9)
    assert top["axis"].tolist() == ["axis_1"] * 5 + ["axis_2"] * 5
    first = top[top["axis"] == "axis_1"]
    assert first.index[0] == mean["axis_1"].abs().idxmax()
    assert first["loading"].abs().is_monotonic_decreasing
    np.testing.assert_allclose(first["loading_sd"], sd.loc[first.index, "axis_1"])
    np.testing.assert_allclose(first["loading_high"] - first["loading"], 1.6449 * first["loading_sd"], rtol=1e-4)
    assert ((top["lfsr"] >= 0) & (top["lfsr"] <= 0.5)).all()
    with pytest.raises(ValueError, match="n_genes"):
        trained.get_top_loadings(0)
    with pytest.raises(ValueError, match="level is 1"):
        trained.get_top_loadings(level=1)


def test_an_axis_without_variance_is_there_to_be_drawn_and_has_no_genes(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor")
    model = fit(cohort, max_steps=20, n_latent=3)
    with torch.no_grad():
        model.module.decoder.loadings[1:] = 0
    y = model.get_latent_representation()
    assert y.shape == (24, 2)
    assert y[:, 0].std() > 0
    assert not y[:, 1].any()
    assert set(model.get_top_loadings(4)["axis"]) == {"axis_1"}
    with torch.no_grad():
        model.module.decoder.loadings[0] = 0
    model.axes_ = None
    assert not model.get_latent_representation().any()
    assert model.get_top_loadings().empty
