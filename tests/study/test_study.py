from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from bulkvi.study.fingerprint import fingerprint
from bulkvi.study.size_factors import SizeFactorSource
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign


def samples() -> AnnData:
    rng = np.random.default_rng(0)
    adata = AnnData(rng.poisson(20, (6, 9)).astype(np.float32))
    adata.obs["size_factor"] = np.linspace(0.5, 2, 6)
    adata.obs["donor"] = list("ccabab")
    adata.layers["counts"] = adata.X + 1
    adata.layers["length"] = rng.uniform(500, 2000, adata.shape)
    return adata


def study(adata: AnnData, **more: Any) -> Study:
    return Study(adata, StudyDesign(adata), "size_factor", SizeFactorSource(), **more)


@pytest.mark.parametrize("store", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_counts_are_those_of_the_layer_whatever_the_storage(store: Any) -> None:
    adata = samples()
    expected = adata.X.copy()
    adata.X, adata.layers["counts"] = store(adata.X), store(adata.layers["counts"])
    np.testing.assert_array_equal(study(adata).counts, expected)
    np.testing.assert_array_equal(study(adata, layer="counts").counts, expected + 1)
    assert study(adata).counts.dtype == np.float64


def test_exposure_is_size_factor_times_relative_offset() -> None:
    adata = samples()
    np.testing.assert_allclose(study(adata).log_exposure, np.log(adata.obs["size_factor"]))
    log_mean = np.log(adata.layers["length"]).mean(0)
    found = study(adata, offset_key="length", log_offset_mean=log_mean).log_exposure
    expected = adata.obs[["size_factor"]].to_numpy() * adata.layers["length"] / np.exp(log_mean)
    np.testing.assert_allclose(np.exp(found), expected)


def test_donors_are_numbered_by_first_appearance() -> None:
    assert study(samples()).donor is None
    assert study(samples(), donor_key="donor").donor is not None
    np.testing.assert_array_equal(study(samples(), donor_key="donor").donor, [0, 0, 1, 2, 1, 2])


def test_a_change_since_the_record_is_an_error() -> None:
    adata = samples()
    recorded = study(adata, record=fingerprint(adata, ["size_factor"], [None]))
    recorded.check_unchanged()
    pd.testing.assert_index_equal(recorded.genes, adata.var_names)
    adata.X[:, [1, 2]] = adata.X[:, [2, 1]]  # two genes exchanged: the totals stay
    with pytest.raises(ValueError, match="adata.X has other values"):
        recorded.check_unchanged()
    adata.X[:, [1, 2]] = adata.X[:, [2, 1]]
    recorded.check_unchanged()
    adata.X[2, 3] += 1
    with pytest.raises(ValueError, match="adata.X has other values"):
        recorded.check_unchanged()
    study(adata).check_unchanged()  # without a record nothing is checked
