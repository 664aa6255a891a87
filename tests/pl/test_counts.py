from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from bulkvi.pl._counts import normalised, symbol_of

KEYS: dict = {"size_factor_key": "size_factor", "layer": None, "offset_key": None}
GENES = np.array([7, 2, 2, 29])


def in_a_file(adata: AnnData, path: Path) -> AnnData:
    adata.write_h5ad(path / "cohort.h5ad")
    return read_h5ad(path / "cohort.h5ad", backed="r")


def as_sparse(adata: AnnData, path: Path) -> AnnData:
    adata.X = sparse.csr_matrix(adata.X)
    return adata


def as_sparse_in_a_file(adata: AnnData, path: Path) -> AnnData:
    return in_a_file(as_sparse(adata, path), path)


def as_dask(adata: AnnData, path: Path) -> AnnData:
    adata.X = da.from_array(adata.X, chunks=(2, 7))
    return adata


@pytest.mark.parametrize("store", [in_a_file, as_sparse, as_sparse_in_a_file, as_dask])
def test_genes_keep_the_given_order_in_every_storage(cohort: AnnData, store: Callable, tmp_path: Path):
    expected = cohort.X[:, GENES] / cohort.obs[["size_factor"]].to_numpy()
    np.testing.assert_allclose(normalised(store(cohort, tmp_path), GENES, **KEYS), expected)


def test_offsets_count_relative_to_the_geometric_mean_of_the_gene(cohort: AnnData):
    cohort.layers["length"] = np.full(cohort.shape, 300.0)
    cohort.layers["length"][0] *= 64
    values = normalised(cohort, GENES, **KEYS | {"offset_key": "length"})
    np.testing.assert_allclose(values, normalised(cohort, GENES, **KEYS) / np.array([[32], *[[0.5]] * 5]))


def test_a_wrong_value_is_named_by_its_sample_and_gene(cohort: AnnData):
    cohort.layers["length"] = np.ones(cohort.shape)
    cohort.layers["length"][4, 2] = 0
    with pytest.raises(ValueError, match=r"layers\['length'\] must hold finite numbers > 0 .*'s4' has 0.0 at gene '2'"):
        normalised(cohort, GENES, **KEYS | {"offset_key": "length"})
    cohort.X[3, 29] = np.nan
    with pytest.raises(ValueError, match="sample 's3' has nan of gene '29'"):
        normalised(cohort, GENES, **KEYS)


def test_a_gene_without_a_symbol_keeps_its_id():
    adata = AnnData(np.ones((2, 3)), var=pd.DataFrame({"symbol": ["TP53", "", None]}, index=["g0", "g1", "g2"]))
    assert [symbol_of(adata, gene) for gene in range(3)] == ["TP53", "g1", "g2"]
