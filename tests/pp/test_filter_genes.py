import anndata as ad
import dask.array as da
import numpy as np
import pytest
import scanpy as sc
from scipy import sparse

import bulkvi.pp as pp


@pytest.mark.parametrize("min_counts", [1, 10, 300])
def test_keeps_the_genes_and_counts_that_scanpy_keeps(cohort, min_counts):
    expected = cohort.copy()
    sc.pp.filter_genes(expected, min_counts=min_counts)
    pp.filter_genes(cohort, min_counts=min_counts)
    assert list(cohort.var_names) == list(expected.var_names)
    np.testing.assert_array_equal(cohort.var["n_counts"], expected.var["n_counts"])
    np.testing.assert_array_equal(cohort.X, expected.X)


def test_ten_counts_are_enough_by_default_and_nine_are_not():
    adata = ad.AnnData(np.array([[9, 10, 5], [0, 0, 5]], dtype=np.float32))
    pp.filter_genes(adata)
    assert adata.var_names.tolist() == ["1", "2"]
    assert adata.var["n_counts"].tolist() == [10, 10]


def test_both_criteria_must_hold_and_each_is_written_down():
    adata = ad.AnnData(np.array([[20, 1, 8], [0, 1, 8]], dtype=np.float32))
    pp.filter_genes(adata, min_counts=10, min_samples=2)
    assert adata.var_names.tolist() == ["2"]
    assert adata.var[["n_counts", "n_samples"]].to_numpy().tolist() == [[16, 2]]


def test_a_criterion_can_be_switched_off():
    adata = ad.AnnData(np.array([[20, 1], [0, 1]], dtype=np.float32))
    pp.filter_genes(adata, min_counts=None, min_samples=2)
    assert adata.var_names.tolist() == ["1"]
    assert "n_counts" not in adata.var


def test_only_the_named_columns_are_added(cohort):
    pp.filter_genes(cohort)
    assert cohort.var.columns.tolist() == ["symbol", "n_counts"]
    assert cohort.obs.columns.tolist() == ["group"]
    assert cohort.shape[0] == 10


@pytest.mark.parametrize(
    "convert",
    [
        sparse.csr_matrix,
        sparse.csc_matrix,
        sparse.csr_array,
        lambda x: da.from_array(x, chunks=(3, 40)),
        lambda x: da.from_array(x, chunks=(3, 40)).map_blocks(sparse.csr_matrix),
    ],
    ids=["csr", "csc", "csr_array", "dask", "dask_csr"],
)
def test_sparse_and_dask_are_filtered_like_dense_and_stay_what_they_are(cohort, convert):
    other = ad.AnnData(convert(cohort.X), obs=cohort.obs, var=cohort.var)
    kind = type(other.X)
    pp.filter_genes(cohort, min_samples=9)
    pp.filter_genes(other, min_samples=9)
    assert isinstance(other.X, kind)
    assert list(other.var_names) == list(cohort.var_names)
    np.testing.assert_array_equal(other.var["n_counts"], cohort.var["n_counts"])
    np.testing.assert_array_equal(other.var["n_samples"], cohort.var["n_samples"])


def test_the_layer_decides_and_everything_is_cut_to_it(cohort):
    counts = cohort.X.copy()
    cohort.layers["counts"] = counts
    cohort.X = np.log1p(counts)
    pp.filter_genes(cohort, min_counts=100, layer="counts")
    keep = counts.sum(axis=0) >= 100
    assert 0 < keep.sum() < keep.size
    np.testing.assert_array_equal(cohort.layers["counts"], counts[:, keep])
    np.testing.assert_array_equal(cohort.X, np.log1p(counts[:, keep]))


@pytest.mark.parametrize("chosen", ["samples", "genes"])
def test_a_view_becomes_an_anndata_of_its_own(cohort, chosen):
    view = cohort[:5] if chosen == "samples" else cohort[:, :20]
    pp.filter_genes(view)
    assert not view.is_view
    assert "n_counts" not in cohort.var
    assert cohort.shape == (10, 40)


def test_a_missing_value_is_not_dropped_in_silence(cohort, raises_and_changes_nothing):
    cohort.X[2, 3] = np.nan
    with raises_and_changes_nothing(
        cohort, ValueError, "adata.X must hold raw counts .* sample 's2' has nan at gene 'g3'"
    ):
        pp.filter_genes(cohort)


def test_a_filter_that_no_gene_passes_is_refused(cohort, raises_and_changes_nothing):
    highest = int(cohort.X.sum(axis=0).max())
    with raises_and_changes_nothing(
        cohort,
        ValueError,
        f"none of the 40 genes .* min_counts={highest + 1} .*'n_counts': {highest}.* lower the threshold",
    ):
        pp.filter_genes(cohort, min_counts=highest + 1)


def test_no_criterion_is_refused(cohort, raises_and_changes_nothing):
    with raises_and_changes_nothing(cohort, ValueError, "at least one of `min_counts` and `min_samples`"):
        pp.filter_genes(cohort, min_counts=None)


def test_a_backed_file_is_refused_with_what_to_do(cohort, tmp_path, raises_and_changes_nothing):
    cohort.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    with raises_and_changes_nothing(backed, ValueError, r"x.h5ad\) cannot be dropped in place.*adata.to_memory"):
        pp.filter_genes(backed)


def test_anything_but_an_anndata_is_refused():
    with pytest.raises(TypeError, match="must be an AnnData .*, not ndarray"):
        pp.filter_genes(np.ones((3, 4)))
