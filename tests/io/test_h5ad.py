import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from bulkvi import io
from tests.io import files


def same(one: AnnData, other: AnnData) -> None:
    pd.testing.assert_frame_equal(one.to_df(), other.to_df(), check_dtype=True)
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)


@pytest.fixture
def expected() -> AnnData:
    """Made by hand: the samples in the order of the sheet, text that repeats as categories."""
    table = files.counts()[files.SAMPLES]
    obs = files.sheet().rename_axis(None).astype({"condition": "category"})
    return AnnData(table.to_numpy(np.int32).T, obs=obs, var=pd.DataFrame(index=table.index))


def test_an_h5ad_is_its_own_sample_sheet(tmp_path: Path):
    adata = io.read_counts(files.tsv(tmp_path), files.write_sheet(tmp_path))
    adata.write_h5ad(tmp_path / "pb.h5ad")
    for samples in (None, tmp_path / "pb.h5ad"):
        again = io.read_counts(tmp_path / "pb.h5ad", samples)
        pd.testing.assert_frame_equal(again.obs, adata.obs)
        pd.testing.assert_frame_equal(again.to_df(), adata.to_df())
    pd.testing.assert_frame_equal(io.read_counts(files.tsv(tmp_path), tmp_path / "pb.h5ad").obs, adata.obs)
    adata.T.copy().write_h5ad(tmp_path / "turned.h5ad")
    turned = io.read_counts(tmp_path / "turned.h5ad", samples_in="columns")
    pd.testing.assert_frame_equal(turned.obs, adata.obs)


def test_an_h5ad_that_is_none_or_repeats_names_is_refused(tmp_path: Path):
    (tmp_path / "cut.h5ad").write_bytes(files.h5ad(tmp_path).read_bytes()[:900])
    with pytest.raises(ValueError, match="cut.h5ad cannot be read: it is cut off"):
        io.read_counts(tmp_path / "cut.h5ad")
    twice = read_h5ad(files.h5ad(tmp_path))
    twice.obs_names = ["a", "a", "b", "c"]
    twice.write_h5ad(tmp_path / "twice.h5ad")
    with pytest.raises(ValueError, match="sample names must be unique; 1 occur more than once, first 'a'"):
        io.read_counts(tmp_path / "twice.h5ad")


def test_sparse_stays_sparse(tmp_path: Path, expected: AnnData):
    table = files.counts()
    adata = AnnData(sparse.csr_matrix(table.to_numpy(float).T), pd.DataFrame(index=table.columns))
    adata.var_names = table.index
    adata.write_h5ad(tmp_path / "sparse.h5ad")
    read = io.read_counts(tmp_path / "sparse.h5ad", files.write_sheet(tmp_path))
    assert sparse.issparse(read.X)
    same(read, expected)


def test_a_layer_can_hold_the_counts(tmp_path: Path, expected: AnnData):
    adata = read_h5ad(files.h5ad(tmp_path))
    adata.layers["counts"], adata.X = adata.X.copy(), np.log1p(adata.X)
    adata.write_h5ad(tmp_path / "logged.h5ad")
    same(io.read_counts(tmp_path / "logged.h5ad", files.write_sheet(tmp_path), layer="counts"), expected)
    with pytest.raises(ValueError, match="logarithms"):
        io.read_counts(tmp_path / "logged.h5ad", files.sheet())
    with pytest.raises(KeyError, match=r"layer='raw' is not in .*\['counts'\]"):
        io.read_counts(tmp_path / "logged.h5ad", files.sheet(), layer="raw")
    with pytest.raises(ValueError, match="for .h5ad files"):
        io.read_counts(files.tsv(tmp_path), files.sheet(), layer="counts")


def test_an_unknown_side_of_the_samples_is_refused(tmp_path: Path):
    """It was taken for the rows."""
    with pytest.raises(ValueError, match="samples_in='cols' is unknown"):
        io.read_counts(files.h5ad(tmp_path), files.sheet(), samples_in="cols")  # type: ignore[arg-type]


@pytest.mark.parametrize("beyond", [0, 2])
def test_counts_that_a_type_may_have_rounded_are_reported(beyond: int, tmp_path: Path):
    adata = read_h5ad(files.h5ad(tmp_path))
    adata.X[0, 0] = 2**24 + beyond
    adata.write_h5ad(tmp_path / "large.h5ad")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = io.read_counts(tmp_path / "large.h5ad", files.sheet())
    assert read.X.max() == 2**24 + beyond
    reported = [str(each.message) for each in caught if "1 values are above 16,777,216" in str(each.message)]
    assert len(reported) == (beyond > 0)


def test_a_count_that_is_stored_twice_is_summed(tmp_path: Path):
    table = files.counts()
    dense = table.to_numpy(float).T
    rows, columns = np.nonzero(dense)
    halves = [np.floor(dense[rows, columns] / 2), np.ceil(dense[rows, columns] / 2)]
    order = np.argsort(np.tile(rows, 2), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(np.tile(rows, 2), minlength=4))])
    matrix = sparse.csr_matrix((np.concatenate(halves)[order], np.tile(columns, 2)[order], starts), shape=dense.shape)
    adata = AnnData(matrix, pd.DataFrame(index=table.columns), pd.DataFrame(index=table.index))
    adata.write_h5ad(tmp_path / "halves.h5ad")
    read = io.read_counts(tmp_path / "halves.h5ad", files.sheet())
    assert read.X.nnz == np.count_nonzero(dense)
    pd.testing.assert_frame_equal(read.to_df(), table.T.loc[files.SAMPLES], check_dtype=False)
