"""``pp.size_factors`` with an offset of each count."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import bulkvi.pp as pp
from bulkvi.stats.counts.counts import check_offset
from bulkvi.stats.counts.size_factors import median_of_ratios, poscounts

METHODS = {"median_of_ratios": median_of_ratios, "poscounts": poscounts}
COLUMN = "log_geometric_mean_per_offset"


@pytest.fixture
def with_lengths(cohort, rng) -> AnnData:
    cohort.layers["length"] = rng.uniform(200, 4000, cohort.shape)
    return cohort


def exposure(adata: AnnData) -> np.ndarray:
    """Natural log of size factor x offset, less its mean."""
    log = np.log(adata.obs[["size_factor"]].to_numpy()) + np.log(adata.layers["length"])
    return log - log.mean()


@pytest.mark.parametrize("method", METHODS)
def test_writes_the_size_factors_and_their_reference_and_nothing_else(with_lengths, method):
    before = with_lengths.copy()
    pp.size_factors(with_lengths, method=method, offset_key="length")
    expected = METHODS[method](before.X, offset=check_offset(before.layers["length"]))
    np.testing.assert_array_equal(with_lengths.obs["size_factor"], expected.size_factors)
    np.testing.assert_array_equal(with_lengths.var[COLUMN], expected.log_geometric_means)
    assert with_lengths.var.columns.tolist() == [*before.var.columns, COLUMN]
    np.testing.assert_array_equal(with_lengths.layers["length"], before.layers["length"])


def test_a_sample_that_is_longer_throughout_is_not_taken_for_deeper(with_lengths):
    """Its counts per unit of length are what they were, so that the product of size factor and offset stays."""
    pp.size_factors(with_lengths, method="poscounts", offset_key="length")
    expected = exposure(with_lengths)
    with_lengths.layers["length"][4] *= 3
    pp.size_factors(with_lengths, method="poscounts", offset_key="length")
    np.testing.assert_allclose(exposure(with_lengths), expected, atol=1e-12)


@pytest.mark.parametrize("storage", [sparse.csr_matrix, sparse.csc_array, np.asfortranarray])
def test_storage_of_counts_and_offsets_does_not_matter(with_lengths, storage):
    other = with_lengths.copy()
    other.X, other.layers["length"] = storage(other.X), storage(other.layers["length"])
    for adata in (with_lengths, other):
        pp.size_factors(adata, offset_key="length")
    pd.testing.assert_frame_equal(other.obs, with_lengths.obs, check_exact=True)


def test_a_backed_file_gives_the_same_size_factors(with_lengths, tmp_path):
    with_lengths.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    for adata in (with_lengths, backed):
        pp.size_factors(adata, offset_key="length")
    np.testing.assert_array_equal(backed.obs["size_factor"], with_lengths.obs["size_factor"])


class TestFrozenReference:
    @pytest.fixture
    def reference(self, with_lengths):
        reference = with_lengths[:6].copy()
        pp.size_factors(reference, method="poscounts", offset_key="length")
        return reference

    def test_old_samples_keep_their_size_factors_and_new_ones_do_not_depend_on_company(self, with_lengths, reference):
        pp.size_factors(with_lengths, reference=reference, offset_key="length")
        old = with_lengths.obs["size_factor"].iloc[:6]
        np.testing.assert_allclose(old, reference.obs["size_factor"], rtol=1e-12)
        alone = with_lengths[8:9].copy()
        pp.size_factors(alone, reference=reference.var[COLUMN], offset_key="length")
        assert alone.obs["size_factor"].item() == with_lengths.obs["size_factor"].iloc[8]

    def test_another_unit_of_new_samples_is_made_up_for(self, with_lengths, reference):
        pp.size_factors(with_lengths, reference=reference, offset_key="length")
        expected = exposure(with_lengths)
        with_lengths.layers["length"] /= 1000
        pp.size_factors(with_lengths, reference=reference, offset_key="length")
        np.testing.assert_allclose(exposure(with_lengths), expected, atol=1e-12)

    def test_a_reference_without_offset_is_refused(self, with_lengths, raises_and_changes_nothing):
        plain = with_lengths.copy()
        pp.size_factors(plain)
        for reference in (plain, plain.var["log_geometric_mean"]):
            with raises_and_changes_nothing(with_lengths, KeyError, r"size_factors\(reference, offset_key=...\)"):
                pp.size_factors(with_lengths, reference=reference, offset_key="length")

    def test_a_reference_with_offset_is_refused_for_samples_without(
        self, with_lengths, reference, raises_and_changes_nothing
    ):
        for given in (reference, reference.var[COLUMN]):
            with raises_and_changes_nothing(with_lengths, KeyError, r"call bulkvi.pp.size_factors\(reference\)"):
                pp.size_factors(with_lengths, reference=given)


@pytest.mark.parametrize(("value", "shown"), [(0, "0.0"), (np.nan, "nan"), (-1, "-1.0"), (np.inf, "inf")])
def test_offsets_that_are_no_factors_are_refused(with_lengths, value, shown, raises_and_changes_nothing):
    with_lengths.layers["length"][2, 3] = value
    with raises_and_changes_nothing(
        with_lengths,
        ValueError,
        rf"adata.layers\['length'\] must hold finite numbers > 0 .*'s2' has {shown} at gene 'g3'",
    ):
        pp.size_factors(with_lengths, offset_key="length")


def test_an_unknown_layer_is_refused_with_those_there_are(with_lengths, raises_and_changes_nothing):
    with raises_and_changes_nothing(with_lengths, KeyError, r"'len' is not a layer of adata; it has \['length'\]"):
        pp.size_factors(with_lengths, offset_key="len")
    with raises_and_changes_nothing(with_lengths, TypeError, "must be the name of a layer, not ndarray"):
        pp.size_factors(with_lengths, offset_key=with_lengths.layers["length"])
