import os
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy import sparse
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

import bulkvi
from tests.cohorts import fit

CHOICES: dict[str, dict[str, Any]] = {
    "linear nb": {},
    "deep nb": {"decoder": "deep"},
    "zinb": {"gene_likelihood": "zinb"},
    "poisson": {"gene_likelihood": "poisson"},
    "gene-batch": {"dispersion": "gene-batch"},
    "fixed": {"dispersion": "fixed", "fixed_dispersion": 0.3},
}


def set_up(adata: AnnData, **arguments: Any) -> AnnData:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", **arguments)
    return adata


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_every_model_trains_and_comes_back_from_disk_the_same(
    cohort: AnnData, choices: dict[str, Any], tmp_path: Path
) -> None:
    set_up(cohort, design="~ group", batch_key="batch")
    model = fit(cohort, max_steps=30, **choices)
    model.save(tmp_path / "model")
    loaded = bulkvi.BulkVI.load(tmp_path / "model", adata=cohort)
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation())
    before = model.differential_expression("group", "B", "A")
    after = loaded.differential_expression("group", "B", "A")
    np.testing.assert_allclose(after["log_fc_decoded"], before["log_fc_decoded"], atol=1e-6)
    assert np.isfinite(before["log_fc_decoded"]).all()


def test_training_goes_on_after_loading_from_where_it_was(trained: bulkvi.BulkVI, tmp_path: Path) -> None:
    trained.save(tmp_path / "model", save_anndata=True)
    loaded = bulkvi.BulkVI.load(tmp_path / "model")
    start = float(loaded.get_elbo())
    loaded.train(20, progress_bar=False)
    assert float(loaded.get_elbo()) == pytest.approx(start, rel=0.01)


def test_a_registry_is_enough_to_build_the_network(trained: bulkvi.BulkVI) -> None:
    empty = bulkvi.BulkVI(registry=trained.registry, n_latent=2)
    assert {name: value.shape for name, value in empty.module.state_dict().items()} == {
        name: value.shape for name, value in trained.module.state_dict().items()
    }


@pytest.mark.filterwarnings("ignore:Training will be faster when sparse matrix is formatted as CSR")
@pytest.mark.parametrize("storage", ["csr", "csc", "float64", "int32"])
def test_storage_of_the_counts_does_not_matter(cohort: AnnData, storage: str) -> None:
    dense = fit(set_up(cohort.copy()), max_steps=20).get_latent_representation()
    if storage in ("csr", "csc"):
        cohort.X = sparse.csr_matrix(cohort.X).asformat(storage)
    else:
        cohort.X = cohort.X.astype(storage)
    np.testing.assert_allclose(fit(set_up(cohort), max_steps=20).get_latent_representation(), dense, atol=1e-4)


def test_backed_counts_train_as_in_memory(cohort: AnnData, tmp_path: Path) -> None:
    in_memory = fit(set_up(cohort.copy()), max_steps=20).get_latent_representation()
    cohort.write_h5ad(tmp_path / "cohort.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cohort.h5ad", backed="r")
    np.testing.assert_allclose(fit(set_up(backed), max_steps=20).get_latent_representation(), in_memory, atol=1e-4)
    backed.file.close()


def test_counts_in_a_layer_are_the_ones_used(cohort: AnnData) -> None:
    from_x = fit(set_up(cohort.copy()), max_steps=20).get_latent_representation()
    cohort.layers["counts"] = cohort.X.copy()
    cohort.X = np.log1p(cohort.X)
    from_layer = fit(set_up(cohort, layer="counts"), max_steps=20).get_latent_representation()
    np.testing.assert_allclose(from_layer, from_x, atol=1e-6)


def test_depth_does_not_reach_the_latent_state(trained: bulkvi.BulkVI) -> None:
    """Ten times the counts at ten times the size factor is the same sample."""
    deeper = trained.adata.copy()
    deeper.X = deeper.X * 10
    deeper.obs["size_factor"] *= 10
    np.testing.assert_allclose(
        trained.get_latent_representation(deeper), trained.get_latent_representation(), atol=1e-4
    )


def test_latent_state_finds_a_hidden_factor_that_no_design_names() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=10, n_genes=800, de_share=0.0, n_hidden=1, hidden_share=0.5, seed=2)
    adata = adata[:, adata.X.sum(0) >= 10].copy()
    bulkvi.pp.size_factors(adata)
    z = fit(set_up(adata), n_latent=2).get_latent_representation()
    correlation = np.corrcoef(z[:, z.std(0) > 0.1].T, adata.obs["true_hidden_0"])[-1, :-1]
    assert np.abs(correlation).max() > 0.95


def test_latent_state_leaves_alone_what_the_batch_explains() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=10, n_genes=800, de_share=0.0, n_batches=2, batch_share=0.5, seed=3)
    adata = adata[:, adata.X.sum(0) >= 10].copy()
    bulkvi.pp.size_factors(adata)
    in_batch = (adata.obs["batch"] == "b2").to_numpy(float)

    def largest_correlation(model: bulkvi.BulkVI) -> float:
        z = model.get_latent_representation()
        supported = z.std(0) > 0.1
        along = np.corrcoef(np.column_stack([z[:, supported], in_batch]).T).reshape(supported.sum() + 1, -1)
        return float(np.abs(along[-1, :-1]).max(initial=0.0))

    assert largest_correlation(fit(set_up(adata))) > 0.9
    assert largest_correlation(fit(set_up(adata, batch_key="batch"))) < 0.5


def test_mean_and_variance_of_predictive_draws_are_those_of_the_data(trained: bulkvi.BulkVI) -> None:
    draws = trained.posterior_predictive_sample(n_samples=200).todense()
    counts = np.asarray(trained.adata.X)
    size_factor = trained.adata.obs["size_factor"].to_numpy()[:, None]
    expected = trained.get_normalized_expression(return_numpy=True) * size_factor
    np.testing.assert_allclose(np.median(draws.mean(2) / expected), 1, atol=0.02)
    spread_of_data = ((counts - expected) ** 2).sum() / (expected**2).sum()
    spread_of_draws = ((draws - expected[..., None]) ** 2).mean(2).sum() / (expected**2).sum()
    # residuals have lost a share p / n of the variance, and a replicate scatters about coefficients that are uncertain by p / n
    n, p = counts.shape[0], len(trained.last_layer().posterior.mean)
    assert spread_of_draws == pytest.approx(spread_of_data * (n + p) / (n - p), rel=0.2)


def test_elbo_bounds_the_marginal_likelihood(trained: bulkvi.BulkVI) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        elbo = np.mean([float(trained.get_elbo()) for _ in range(20)])
        marginal = float(trained.get_marginal_ll(n_mc_samples=200))
    assert elbo <= marginal + 0.1
    assert elbo == pytest.approx(marginal, rel=0.01)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"decoder": "wide"}, "decoder must be one of 'linear', 'deep'; it is 'wide'"),
        ({"gene_likelihood": "normal"}, "gene_likelihood"),
        ({"dispersion": "gene-cell"}, "dispersion"),
        ({"n_latent": 0}, "n_latent must be at least 1"),
        ({"fixed_dispersion": 0.0}, "fixed_dispersion must be > 0"),
    ],
)
def test_unknown_choices_are_refused(cohort: AnnData, choice: dict[str, Any], message: str) -> None:
    set_up(cohort)
    with pytest.raises(ValueError, match=message):
        bulkvi.BulkVI(cohort, **choice)


def test_class_name_is_frozen() -> None:
    """scvi-tools writes it into every saved model."""
    assert bulkvi.BulkVI.__name__ == "BulkVI"


def test_new_samples_need_a_size_factor(trained: bulkvi.BulkVI) -> None:
    new = trained.adata.copy()
    new.obs["size_factor"] = 0.0
    with pytest.raises(ValueError, match="finite and > 0"):
        trained.get_latent_representation(new)


STUDY_LABEL = "label_in_original_study"


@pytest.fixture(scope="module")
def model(data_dir: Path) -> bulkvi.BulkVI:
    """Unsupervised model with a latent plane: no design, no labels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BULKVI_DATA_DIR", str(data_dir))
        adata = bulkvi.datasets.gse60450()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = bulkvi.BulkVI(adata, n_latent=2)
    model.train(progress_bar=False)
    return model


@pytest.fixture(scope="module")
def deseq2(data_dir: Path) -> pd.DataFrame:
    """DESeq2 under the labels of the original study."""
    folder = Path(os.environ.get("BULKVI_REFERENCE_DIR", data_dir.parent / "reference")) / "gse60450"
    if not folder.is_dir():
        pytest.skip(f"no reference results: {folder} is not a folder; set BULKVI_REFERENCE_DIR")
    table = pd.read_csv(folder / "deseq2_original_study_labels.csv.gz", index_col=0)
    return table.set_axis(table.index.astype(str))


def test_the_six_true_groups_separate(model: bulkvi.BulkVI) -> None:
    assert model.adata.shape == (12, 18_418)
    assert silhouette_score(model.get_latent_representation(), model.adata.obs["group"]) > 0.5


def test_the_nearest_neighbour_of_each_replicate_is_its_pair(model: bulkvi.BulkVI) -> None:
    z = model.get_latent_representation()
    neighbour = NearestNeighbors(n_neighbors=2).fit(z).kneighbors(z, return_distance=False)[:, 1]
    group = model.adata.obs["group"].to_numpy()
    np.testing.assert_array_equal(group[neighbour], group)


def test_decoded_fold_changes_agree_with_deseq2_under_the_labels_of_the_study(
    model: bulkvi.BulkVI, deseq2: pd.DataFrame
) -> None:
    """The study reported 0.66; it had not trained to the end and mixed natural log with log2."""
    ours = model.differential_expression(STUDY_LABEL, "lactation", "virgin")["log_fc_decoded"]
    theirs = deseq2["log2FoldChange"].reindex(ours.index)
    assert theirs.notna().all()
    assert np.corrcoef(theirs, ours)[0, 1] >= 0.95
    assert 0.85 <= np.polyfit(theirs, ours, 1)[0] <= 1.15


def test_genes_that_deseq2_leaves_out_have_finite_answers(model: bulkvi.BulkVI, deseq2: pd.DataFrame) -> None:
    left_out = deseq2.index[deseq2["pvalue"].isna()]
    assert len(left_out) == 5
    ours = model.differential_expression(STUDY_LABEL, "lactation", "virgin").loc[left_out]
    assert np.isfinite(ours["log_fc_decoded"]).all()
