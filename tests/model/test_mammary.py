"""What the model must find in GSE60450 without being told: 12 mammary samples, two cell types x three stages in pairs."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

import bulkvi

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
