import os
from pathlib import Path

import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from pydeseq2.preprocessing import deseq2_norm
from scipy import sparse

import bulkvi.pp as pp
from bulkvi.stats.counts.size_factors import median_of_ratios, poscounts

METHODS = {"median_of_ratios": median_of_ratios, "poscounts": poscounts}
CONVERT = {
    "dense": lambda x: x,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "dask": lambda x: da.from_array(x, chunks=(3, 17)),
    "dask_csr": lambda x: da.from_array(x, chunks=(3, 40)).map_blocks(sparse.csr_matrix),
}


@pytest.fixture(scope="module")
def gse60450(data_dir):
    counts = pd.read_csv(data_dir / "gse60450_mammary" / "counts.tsv.gz", sep="\t", index_col=0, dtype={0: str}).T
    counts.columns = counts.columns.astype(str)
    return ad.AnnData(counts.astype(np.float32))


@pytest.fixture(scope="module")
def reference_dir(data_dir):
    named = os.environ.get("BULKVI_REFERENCE_DIR")
    folder = Path(named) if named else data_dir.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"no reference results: {folder} is not a folder; set BULKVI_REFERENCE_DIR")
    return folder


def test_equals_deseq2_on_real_data(gse60450, reference_dir):
    expected = pd.read_csv(reference_dir / "gse60450" / "deseq2_size_factors.csv", index_col=0)["sf"]
    adata = gse60450.copy()
    pp.filter_genes(adata, min_counts=10)
    assert adata.n_vars == 18_418
    pp.size_factors(adata)
    assert [name[:7] for name in expected.index] == adata.obs_names.tolist()
    np.testing.assert_allclose(adata.obs["size_factor"], expected, rtol=1e-9)


def test_equals_pydeseq2_on_real_data(gse60450):
    adata = gse60450.copy()
    pp.size_factors(adata)
    np.testing.assert_allclose(adata.obs["size_factor"], deseq2_norm(adata.X.astype(float))[1], rtol=1e-9)


@pytest.mark.parametrize("method", ["median_of_ratios", "poscounts"])
def test_writes_the_size_factors_and_their_reference_and_nothing_else(cohort, method):
    before = cohort.copy()
    pp.size_factors(cohort, method=method)
    expected = METHODS[method](before.X)
    np.testing.assert_array_equal(cohort.obs["size_factor"], expected.size_factors)
    np.testing.assert_array_equal(cohort.var["log_geometric_mean"], expected.log_geometric_means)
    pd.testing.assert_frame_equal(cohort.obs.drop(columns="size_factor"), before.obs)
    pd.testing.assert_frame_equal(cohort.var.drop(columns="log_geometric_mean"), before.var)
    np.testing.assert_array_equal(cohort.X, before.X)
    assert set(cohort.uns) == {"size_factor_source"} and not cohort.layers


def test_the_column_can_be_named(cohort):
    pp.size_factors(cohort, key_added="depth")
    assert cohort.obs.columns.tolist() == ["group", "depth"]


@pytest.mark.parametrize("storage", CONVERT)
@pytest.mark.parametrize("method", METHODS)
def test_every_storage_gives_the_same_size_factors(cohort, storage, method):
    other = ad.AnnData(CONVERT[storage](cohort.X.copy()), obs=cohort.obs.copy(), var=cohort.var.copy())
    pp.size_factors(cohort, method=method)
    pp.size_factors(other, method=method)
    pd.testing.assert_frame_equal(other.obs, cohort.obs, check_exact=True)
    pd.testing.assert_frame_equal(other.var, cohort.var, check_exact=True)


@pytest.mark.parametrize("storage", ["dense", "csr", "csc"])
def test_a_backed_file_gives_the_same_size_factors_and_stays_backed(cohort, storage, tmp_path):
    ad.AnnData(CONVERT[storage](cohort.X), obs=cohort.obs, var=cohort.var).write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    pp.size_factors(cohort)
    pp.size_factors(backed)
    assert backed.isbacked
    np.testing.assert_array_equal(backed.obs["size_factor"], cohort.obs["size_factor"])
    np.testing.assert_array_equal(backed.var["log_geometric_mean"], cohort.var["log_geometric_mean"])


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_the_layer_is_used_when_named(cohort, storage):
    expected = median_of_ratios(cohort.X).size_factors
    cohort.layers["counts"] = CONVERT[storage](cohort.X.copy())
    cohort.X = np.log1p(cohort.X)
    pp.size_factors(cohort, layer="counts")
    np.testing.assert_array_equal(cohort.obs["size_factor"], expected)


def test_an_anndata_without_x_works_from_its_layer(cohort):
    bare = ad.AnnData(obs=cohort.obs, var=cohort.var, layers={"counts": cohort.X})
    with pytest.raises(ValueError, match=r"adata.X is empty; name the layer that holds the counts: \['counts'\]"):
        pp.size_factors(bare)
    pp.size_factors(bare, layer="counts")
    np.testing.assert_array_equal(bare.obs["size_factor"], median_of_ratios(cohort.X).size_factors)


@pytest.mark.filterwarnings("ignore:Trying to modify attribute:anndata.ImplicitModificationWarning")
def test_a_view_becomes_an_anndata_of_its_own(cohort):
    view = cohort[:5]
    pp.size_factors(view, method="poscounts")
    assert not view.is_view
    np.testing.assert_array_equal(view.obs["size_factor"], poscounts(cohort.X[:5]).size_factors)
    assert cohort.obs.columns.tolist() == ["group"]
    assert cohort.var.columns.tolist() == ["symbol"]


class TestFrozenReference:
    @pytest.fixture
    def reference(self, cohort):
        reference = cohort[:6].copy()
        pp.size_factors(reference, method="poscounts")
        return reference

    @pytest.mark.parametrize("method", METHODS)
    def test_the_same_samples_get_the_same_size_factors(self, cohort, method):
        again = cohort.copy()
        pp.size_factors(cohort, method=method)
        pp.size_factors(again, reference=cohort)
        np.testing.assert_allclose(again.obs["size_factor"], cohort.obs["size_factor"], rtol=1e-13)

    def test_new_samples_leave_the_old_ones_unchanged(self, cohort, reference):
        pp.size_factors(cohort, reference=reference)
        old = cohort.obs["size_factor"].iloc[:6]
        np.testing.assert_allclose(old, reference.obs["size_factor"], rtol=1e-13)
        alone = cohort[8:9].copy()
        pp.size_factors(alone, reference=reference)
        assert alone.obs["size_factor"].item() == cohort.obs["size_factor"].iloc[8]

    def test_genes_are_matched_by_name_whatever_their_order(self, cohort, reference, rng):
        shuffled = cohort[:, rng.permutation(cohort.n_vars)].copy()
        pp.size_factors(cohort, reference=reference)
        pp.size_factors(shuffled, reference=reference)
        pd.testing.assert_series_equal(shuffled.obs["size_factor"], cohort.obs["size_factor"], check_exact=True)

    def test_a_series_is_as_good_as_its_anndata(self, cohort, reference):
        other = cohort.copy()
        pp.size_factors(cohort, reference=reference)
        pp.size_factors(other, reference=reference.var["log_geometric_mean"])
        pd.testing.assert_frame_equal(other.obs, cohort.obs, check_exact=True)

    def test_new_samples_can_be_the_reference_of_newer_ones(self, cohort, reference):
        newer = cohort.copy()
        pp.size_factors(cohort, reference=reference)
        pd.testing.assert_series_equal(cohort.var["log_geometric_mean"], reference.var["log_geometric_mean"])
        pp.size_factors(newer, reference=cohort)
        pd.testing.assert_frame_equal(newer.obs, cohort.obs, check_exact=True)

    def test_genes_unknown_to_the_reference_are_left_out(self, cohort, reference):
        known = reference[:, :30].copy()
        expected = cohort[:, :30].copy()
        pp.size_factors(expected, reference=known)
        pp.size_factors(cohort, reference=known)
        pd.testing.assert_series_equal(cohort.obs["size_factor"], expected.obs["size_factor"], check_exact=True)
        assert np.isneginf(cohort.var["log_geometric_mean"].iloc[30:]).all()

    def test_half_of_the_genes_are_enough_and_fewer_are_refused(self, cohort, raises_and_changes_nothing):
        frozen = pd.Series(1.0, index=cohort.var_names)
        enough = cohort[:, :20].copy()
        pp.size_factors(enough, reference=frozen)
        too_few = cohort[:, :19].copy()
        with raises_and_changes_nothing(too_few, ValueError, "only 19 of the 40 genes .* at least 50% are needed"):
            pp.size_factors(too_few, reference=frozen)

    def test_genes_that_the_reference_leaves_out_need_not_be_there(self, cohort):
        frozen = pd.Series(1.0, index=cohort.var_names)
        frozen.iloc[10:] = -np.inf
        few = cohort[:, :10].copy()
        pp.size_factors(few, reference=frozen)
        pp.size_factors(cohort, reference=frozen)
        pd.testing.assert_series_equal(few.obs["size_factor"], cohort.obs["size_factor"], check_exact=True)

    def test_other_gene_ids_are_refused_and_both_shown(self, cohort, reference, raises_and_changes_nothing):
        reference.var_names = "ENSG" + reference.var_names
        with raises_and_changes_nothing(
            cohort, ValueError, r"only 0 of .* like \['g0', .* `reference` like \['ENSGg0'"
        ):
            pp.size_factors(cohort, reference=reference)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_reference_with_missing_values_is_refused(self, cohort, value, raises_and_changes_nothing):
        frozen = pd.Series(1.0, index=cohort.var_names)
        frozen.iloc[[4, 6]] = value
        with raises_and_changes_nothing(cohort, ValueError, r"2 are NaN or \+inf, first at gene 'g4'"):
            pp.size_factors(cohort, reference=frozen)

    def test_a_reference_without_usable_genes_is_refused(self, cohort, raises_and_changes_nothing):
        with raises_and_changes_nothing(cohort, ValueError, "no gene with a finite log geometric mean"):
            pp.size_factors(cohort, reference=pd.Series(-np.inf, index=cohort.var_names))

    def test_a_reference_with_duplicated_genes_is_refused(self, cohort, raises_and_changes_nothing):
        frozen = pd.Series(1.0, index=["g0", "g1", "g0"])
        with raises_and_changes_nothing(
            cohort, ValueError, r"`reference` must be unique; 1 occur more than once: \['g0'"
        ):
            pp.size_factors(cohort, reference=frozen)

    def test_a_reference_without_size_factors_is_refused(self, cohort, raises_and_changes_nothing):
        with raises_and_changes_nothing(cohort, KeyError, r"call bulkvi.pp.size_factors\(reference\) first"):
            pp.size_factors(cohort, reference=cohort.copy())

    def test_a_reference_of_another_type_is_refused(self, cohort, raises_and_changes_nothing):
        with raises_and_changes_nothing(cohort, TypeError, "AnnData or a Series .*, not ndarray"):
            pp.size_factors(cohort, reference=np.ones(40))

    def test_a_new_sample_without_a_gene_of_the_reference_is_named(self, cohort, raises_and_changes_nothing):
        frozen = pd.Series(-np.inf, index=cohort.var_names)
        frozen["g5"] = 0.0
        cohort.X[3, 5] = 0
        with raises_and_changes_nothing(
            cohort, ValueError, "1 of 10 samples have no count in any of the 1 genes .*'s3'"
        ):
            pp.size_factors(cohort, reference=frozen)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (-1, "-1.0"), (1.5, "1.5"), (np.inf, "inf")])
@pytest.mark.parametrize("layer", [None, "raw"])
def test_entries_that_are_no_counts_are_refused(cohort, value, shown, layer, raises_and_changes_nothing):
    cohort.layers["raw"] = cohort.X.copy()
    (cohort.X if layer is None else cohort.layers[layer])[2, 3] = value
    where = "adata.X" if layer is None else r"adata.layers\['raw'\]"
    with raises_and_changes_nothing(
        cohort, ValueError, f"{where} must hold raw counts .* 's2' has {shown} at gene 'g3'"
    ):
        pp.size_factors(cohort, layer=layer)


def test_a_sample_without_counts_is_named(cohort, raises_and_changes_nothing):
    cohort.X[7] = 0
    with raises_and_changes_nothing(cohort, ValueError, "1 of 10 samples have no counts at all in adata.X: 's7'"):
        pp.size_factors(cohort)


@pytest.mark.filterwarnings("ignore:.* names are not unique:UserWarning")
def test_duplicated_sample_names_are_refused(cohort, raises_and_changes_nothing):
    cohort.obs_names = ["a", "b", "a", *cohort.obs_names[3:]]
    with raises_and_changes_nothing(cohort, ValueError, r"sample names .* must be unique; 1 occur .*\['a'\]"):
        pp.size_factors(cohort)


@pytest.mark.filterwarnings("ignore:.* names are not unique:UserWarning")
def test_duplicated_gene_names_are_refused(cohort, raises_and_changes_nothing):
    cohort.var_names = ["a", "b", "a", *cohort.var_names[3:]]
    with raises_and_changes_nothing(cohort, ValueError, r"gene names .* must be unique; 1 occur .*\['a'\]"):
        pp.size_factors(cohort)


def test_an_unknown_layer_is_refused_with_those_there_are(cohort, raises_and_changes_nothing):
    cohort.layers["raw"] = cohort.X
    with raises_and_changes_nothing(cohort, KeyError, r"no layer 'counts' in adata.layers; it has \['raw'\]"):
        pp.size_factors(cohort, layer="counts")


def test_an_unknown_method_is_refused_with_the_choices(cohort, raises_and_changes_nothing):
    with raises_and_changes_nothing(cohort, ValueError, r"'ratio'; choose one of \['median_of_ratios', 'poscounts'\]"):
        pp.size_factors(cohort, method="ratio")  # type: ignore[arg-type]


def test_no_gene_without_a_zero_points_to_poscounts(cohort, raises_and_changes_nothing):
    np.fill_diagonal(cohort.X[:, ::-1], 0)
    cohort = cohort[:, -10:].copy()
    with raises_and_changes_nothing(cohort, ValueError, "every one of the 10 genes has a zero .*method='poscounts'"):
        pp.size_factors(cohort)
    pp.size_factors(cohort, method="poscounts")


def test_a_view_of_a_backed_file_is_refused_with_what_to_do(cohort, tmp_path):
    cohort.write_h5ad(tmp_path / "x.h5ad")
    view = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")[:4]
    with pytest.raises(ValueError, match="view of an AnnData backed by a file: call `adata = adata.to_memory"):
        pp.size_factors(view)


def test_anything_but_an_anndata_is_refused():
    with pytest.raises(TypeError, match="must be an AnnData .*, not DataFrame"):
        pp.size_factors(pd.DataFrame(np.ones((3, 4))))
