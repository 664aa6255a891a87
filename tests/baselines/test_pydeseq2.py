import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from pydeseq2.dds import DeseqDataSet
from pydeseq2.default_inference import DefaultInference
from pydeseq2.ds import DeseqStats

import bulkvi
from bulkvi.baselines import pydeseq2

SAME = {
    "base_mean": "baseMean",
    "log_fc": "log2FoldChange",
    "log_fc_mle": "log2FoldChange",
    "log_fc_se": "lfcSE",
    "stat": "stat",
    "p_value": "pvalue",
    "adj_p_value": "padj",
}


@pytest.fixture(scope="module")
def plain(shared_cohort: AnnData) -> pd.DataFrame:
    return pydeseq2(shared_cohort.copy(), "~ group", "group", "b", "a")


def by_hand(adata: AnnData, design: str, contrast: list[str]) -> pd.DataFrame:
    counts = pd.DataFrame(adata.X.astype(int), adata.obs_names, adata.var_names)
    inference = DefaultInference(n_cpus=1)
    fit = DeseqDataSet(counts=counts, metadata=adata.obs.copy(), design=design, inference=inference, quiet=True)
    fit.deseq2()
    tested = DeseqStats(fit, contrast=contrast, inference=inference, quiet=True)
    tested.summary()
    return tested.results_df


def test_the_answer_is_pydeseq2s_own(cohort: AnnData):
    cohort.X[0, 3] = 100_000  # an outlier by Cook's distance
    table = pydeseq2(cohort, "~ batch + group", "group", "b", "a")
    expected = by_hand(cohort, "~ batch + group", ["group", "b", "a"])
    for ours, theirs in SAME.items():
        np.testing.assert_array_equal(table[ours], expected[theirs])
    assert np.isnan(table.loc["g3", "p_value"])
    assert table.index.equals(cohort.var_names)
    assert table["contrast"].iloc[0] == "group: b vs a"
    assert table.attrs["method"] == "PyDESeq2"
    assert table[["lfsr", "log_fc_low", "log_fc_sd"]].isna().all(axis=None)
    assert (table["dispersion"] > 0).all()


def test_the_sign_is_group1_over_group2(cohort: AnnData, plain: pd.DataFrame):
    changed = cohort.var["log_fc"] != 0
    np.testing.assert_array_equal(np.sign(plain["log_fc"][changed]), np.sign(cohort.var["log_fc"][changed]))
    turned = pydeseq2(cohort, "~ group", "group", "a", "b")
    np.testing.assert_allclose(turned["log_fc"], -plain["log_fc"], atol=1e-10)


def test_weights_of_columns_equal_groups(cohort: AnnData):
    groups = pydeseq2(cohort, "~ batch + group", "group", "b", "a")
    for contrast in ({"group[T.b]": 1}, [0, 0, 1]):
        weights = pydeseq2(cohort, "~ batch + group", contrast=contrast)
        np.testing.assert_array_equal(weights["p_value"], groups["p_value"])
        assert weights["contrast"].iloc[0] == "+1 * group[T.b]"


def test_given_size_factors_are_used(cohort: AnnData, plain: pd.DataFrame):
    counts = pd.DataFrame(cohort.X.astype(int), cohort.obs_names, cohort.var_names)
    fit = DeseqDataSet(counts=counts, metadata=cohort.obs.copy(), design="~ group", quiet=True)
    fit.fit_size_factors()
    # to the last bit: PyDESeq2's dispersions of some genes depend on rounding
    cohort.obs["own"] = fit.obs["size_factors"].to_numpy()
    pd.testing.assert_frame_equal(pydeseq2(cohort, "~ group", "group", "b", "a", size_factor_key="own"), plain)
    cohort.obs["own"] *= np.where(cohort.obs["group"] == "b", 2.0, 1.0)
    table = pydeseq2(cohort, "~ group", "group", "b", "a", size_factor_key="own")
    np.testing.assert_allclose(table["log_fc"], plain["log_fc"] - 1, atol=0.1)
    mean = (cohort.X / cohort.obs["own"].to_numpy()[:, None]).mean(0)
    np.testing.assert_allclose(table["base_mean"], mean, rtol=1e-6)


def test_the_counts_of_a_layer_are_read(cohort: AnnData, plain: pd.DataFrame):
    cohort.layers["counts"] = cohort.X.copy()
    cohort.X = np.log1p(cohort.X)
    pd.testing.assert_frame_equal(pydeseq2(cohort, "~ group", "group", "b", "a", layer="counts"), plain)


def test_the_data_and_the_warning_filters_stay(cohort: AnnData):
    for name in [name for name in sys.modules if name.split(".")[0] == "pydeseq2"]:
        del sys.modules[name]  # PyDESeq2 sets a filter when it is imported
    before, filters = cohort.copy(), list(warnings.filters)
    pydeseq2(cohort, "~ group", "group", "b", "a")
    assert warnings.filters == filters
    np.testing.assert_array_equal(cohort.X, before.X)
    pd.testing.assert_frame_equal(cohort.obs, before.obs)
    pd.testing.assert_frame_equal(cohort.var, before.var)
    assert (cohort.layers.keys(), cohort.obsm.keys()) == (before.layers.keys(), before.obsm.keys())


def test_compare_distinguishes_its_missing_results(cohort: AnnData):
    cohort.X[0, 3] = 100_000
    cohort.X[:, 4] = 0
    table = pydeseq2(cohort, "~ group", "group", "b", "a")
    comparison = bulkvi.tl.compare(table.assign(p_value=0.5, adj_p_value=0.5), table)
    assert comparison.labels == ("PyDESeq2", "PyDESeq2 (other)")
    assert comparison.table.loc["g3", "reason"] == "outlier"
    assert comparison.table.loc["g4", "class"] == "na_both"


def test_without_pydeseq2_the_remedy_is_named(cohort: AnnData, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pydeseq2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pydeseq2", None)
    with pytest.raises(ImportError, match=r'pip install "bulkvi\[deseq2\]"'):
        pydeseq2(cohort, "~ group", "group", "b", "a")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"design": "~ group"}, ValueError, "Give either groupby, group1 and group2, or contrast"),
        (
            {"design": "~ group", "groupby": "group", "group1": "b", "group2": "a", "contrast": {"group[T.b]": 1}},
            ValueError,
            "Give either",
        ),
        (
            {"design": "~ batch", "groupby": "group", "group1": "b", "group2": "a"},
            ValueError,
            r"does not hold groupby='group': write '~ batch \+ group'",
        ),
        (
            {"design": "~ group", "groupby": "group", "group1": "c", "group2": "a"},
            ValueError,
            "no sample has this level",
        ),
        ({"design": "~ dose", "groupby": "dose", "group1": "b", "group2": "a"}, KeyError, "dose"),
        ({"design": "~ group", "contrast": {"dose": 1}}, KeyError, r"no columns \['dose'\]"),
        ({"design": "~ group", "contrast": {"group[T.b]": 1}, "level": 2.0}, ValueError, "level is 2.0"),
        (
            {"design": "~ group", "contrast": {"group[T.b]": 1}, "size_factor_key": "no"},
            KeyError,
            "size_factor_key='no'",
        ),
        ({"design": "~ group", "contrast": {"group[T.b]": 1}, "layer": "no"}, KeyError, "no layer 'no'"),
    ],
)
def test_wrong_questions_are_named(cohort: AnnData, arguments: dict[str, Any], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        pydeseq2(cohort, **arguments)


def test_counts_that_are_none_are_refused(cohort: AnnData):
    cohort.X[0, 0] = 0.5
    with pytest.raises(ValueError, match="g0"):
        pydeseq2(cohort, "~ group", "group", "b", "a")


@pytest.mark.slow
def test_pydeseq2_says_what_deseq2_in_r_says(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    folder = Path(os.environ.get("BULKVI_REFERENCE_DIR", data_dir.parent / "reference")) / "gse60450"
    if not folder.is_dir():
        pytest.skip(f"no reference results: {folder} is not a folder; set BULKVI_REFERENCE_DIR")
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    adata = bulkvi.datasets.gse60450()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    table = pydeseq2(adata, "~ cell_type + stage", "stage", "lactation", "virgin", level=0.1)  # R's default
    r = pd.read_csv(folder / "deseq2_celltype_status_lactate_vs_virgin.csv.gz", index_col=0)
    found = bulkvi.tl.compare(table, r)
    assert found.concordance["pearson"] > 0.999
    assert found.concordance["slope"] == pytest.approx(1, abs=0.01)
    assert found.concordance["jaccard"] > 0.98
    difference = (table["log_fc"] - r["log2FoldChange"].set_axis(r.index.astype(str))).abs()
    assert difference[table["base_mean"] >= 10].quantile(0.95) < 0.01  # optimisers part where counts are few
