import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from bulkvi import pp


def lanes(n_genes: int = 50, seed: int = 0) -> AnnData:
    """Four libraries of one to three lanes, in mixed order."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {
            "library": ["L2", "L1", "L1", "L3", "L2", "L4", "L1"],
            "lane": [1, 1, 2, 1, 2, 1, 3],
            "condition": pd.Categorical(["b", "a", "a", "b", "b", "a", "a"]),
            "age": [3.0, np.nan, np.nan, 5.0, 3.0, 1.0, np.nan],
        },
        index=[f"s{k}" for k in range(7)],
    )
    adata = AnnData(rng.poisson(80, (7, n_genes)), obs=obs)
    adata.layers["length"] = rng.uniform(300, 3000, (7, n_genes))
    adata.var["symbol"] = [f"S{k}" for k in range(n_genes)]
    return adata


@pytest.mark.filterwarnings("ignore:Columns that differ")
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_are_summed_as_groupby_sums_them(kind, tmp_path):
    adata = lanes()
    expected = adata.to_df().groupby(adata.obs["library"], sort=False).sum()
    depth = adata.X.sum(1, keepdims=True)
    weighted = pd.DataFrame(depth * adata.layers["length"]).groupby(adata.obs["library"].to_numpy(), sort=False).sum()
    depths = pd.Series(depth[:, 0]).groupby(adata.obs["library"].to_numpy(), sort=False).sum()
    adata.X = kind(adata.X)
    summed = pp.sum_replicates(adata, "library", constant=["condition"])
    assert sparse.issparse(summed.X) == sparse.issparse(adata.X)
    pd.testing.assert_frame_equal(summed.to_df(), expected, check_names=False, check_dtype=False)
    np.testing.assert_allclose(summed.layers["length"], weighted.div(depths, axis=0))
    assert summed.obs["condition"].tolist() == ["b", "a", "b", "a"]
    assert summed.obs.columns.tolist() == ["library", "condition", "age"]
    assert summed.var["symbol"].tolist() == adata.var["symbol"].tolist()
    assert adata.shape == (7, 50) and "lane" in adata.obs
    summed.write_h5ad(tmp_path / "summed.h5ad")
    back = read_h5ad(tmp_path / "summed.h5ad").uns["replicates"]
    assert dict(zip(back["sample"], back["library"], strict=True)) == adata.obs["library"].to_dict()


def test_a_layer_can_hold_the_counts():
    adata = lanes()
    del adata.obs["lane"]
    adata.layers["counts"] = adata.X.copy()
    expected = pp.sum_replicates(adata, "library").X
    adata.X = np.log1p(adata.X)
    np.testing.assert_array_equal(pp.sum_replicates(adata, "library", layer="counts").layers["counts"], expected)


def test_columns_that_differ_are_named():
    adata = lanes()
    adata.obs["size_factor"] = 1.0
    with pytest.warns(UserWarning, match=r"left out, and so were size factors: \['lane', 'size_factor'\]"):
        assert "size_factor" not in pp.sum_replicates(adata, "library").obs


def test_a_library_in_two_conditions_is_refused_by_name():
    adata = lanes()
    adata.obs.loc["s2", "condition"] = "b"
    with pytest.raises(ValueError, match="'condition' differs within 'L1' .* s1 is a, s2 is b, s6 is a"):
        pp.sum_replicates(adata, "library", constant=["condition"])


def test_a_missing_value_beside_a_known_one_differs():
    adata = lanes()
    adata.obs.loc["s1", "age"] = 4.0
    with pytest.raises(ValueError, match="'age' differs within 'L1'"):
        pp.sum_replicates(adata, "library", constant=["age"])


def test_one_file_given_twice_is_refused():
    adata = lanes()
    adata.X[2] = adata.X[1]
    with pytest.raises(ValueError, match="'s1' and 's2' have the same count in every gene"):
        pp.sum_replicates(adata, "library")


def test_sums_beyond_32_bits_are_right():
    adata = AnnData(np.full((2, 3), 2**31 - 5, dtype=np.int32), pd.DataFrame({"library": ["a", "a"]}, index=["x", "y"]))
    np.testing.assert_array_equal(pp.sum_replicates(adata, "library").X, np.full((1, 3), 2**32 - 10))


@pytest.mark.filterwarnings("ignore:Columns that differ")
@pytest.mark.parametrize(
    ("column", "names"),
    [([1.0, 2.0, 2.0, 3.0, 1.0, 4.0, 2.0], ["1", "2", "3", "4"]), (list("baacbda"), list("bacd"))],
)
def test_libraries_are_named_by_the_column(column: list, names: list[str]):
    adata = lanes()
    adata.obs["library"] = column
    assert pp.sum_replicates(adata, "library").obs_names.tolist() == names


def test_what_cannot_be_summed_is_explained():
    adata = lanes()
    with pytest.raises(KeyError, match="'flowcell' is not a column of adata.obs"):
        pp.sum_replicates(adata, "flowcell")
    with pytest.warns(UserWarning, match="a different value in every sample: there is nothing to sum"):
        pp.sum_replicates(AnnData(adata.X, adata.obs.assign(name=list("abcdefg"))[["name"]]), "name")
    adata.obs.loc["s3", "library"] = None
    with pytest.raises(ValueError, match="1 samples have no value, first 's3'"):
        pp.sum_replicates(adata, "library")
    with pytest.raises(ValueError, match="not a count|counts"):
        pp.sum_replicates(AnnData(np.array([[0.5]]), pd.DataFrame({"library": ["a"]}, index=["s"])), "library")
