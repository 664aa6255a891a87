import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.tl._foreign_tables import recognise

DE = pd.DataFrame(
    {
        "base_mean": [900.0, 7.0],
        "log_fc": [2.0, 0.1],
        "log_fc_sd": [0.15, 0.4],
        "log_fc_mle": [2.1, 1.5],
        "log_fc_se": [0.2, 1.2],
        "stat": [9.5, 1.1],
        "p_value": [1e-20, 0.27],
        "adj_p_value": [2e-20, 0.27],
        "contrast": "dex: trt vs untrt",
    },
    index=["FKBP5", "ACTB"],
)


def test_estimate_and_standard_error_are_of_the_same_effect():
    plain, shrunken = bulkvi.tl.to_deseq2(DE), bulkvi.tl.to_deseq2(DE, shrunken=True)
    assert list(plain) == ["baseMean", "log2FoldChange", "lfcSE", "stat", "pvalue", "padj"]
    assert list(shrunken) == ["baseMean", "log2FoldChange", "lfcSE", "pvalue", "padj"]
    np.testing.assert_array_equal(plain[["log2FoldChange", "lfcSE"]], DE[["log_fc_mle", "log_fc_se"]])
    np.testing.assert_array_equal(shrunken[["log2FoldChange", "lfcSE"]], DE[["log_fc", "log_fc_sd"]])
    for table in (plain, shrunken):
        np.testing.assert_array_equal(
            table[["baseMean", "pvalue", "padj"]], DE[["base_mean", "p_value", "adj_p_value"]]
        )
        assert table.index.tolist() == DE.index.tolist()


@pytest.mark.parametrize("shrunken", [False, True])
def test_compare_reads_the_table_of_deseq2(shrunken: bool):
    column = "log_fc" if shrunken else "log_fc_mle"
    comparison = bulkvi.tl.compare(DE, bulkvi.tl.to_deseq2(DE, shrunken=shrunken), column=column)  # type: ignore[arg-type]
    assert comparison.table["class"].tolist() == ["both", "neither"]
    assert comparison.labels == ("bulkvi", "bulkvi (other)")


@pytest.mark.parametrize("shrunken", [False, True])
def test_compare_detects_whether_the_effects_are_shrunk(shrunken: bool):
    """Our statistic is not the ratio of effect and standard error, and that alone does not make an effect a shrunken one."""
    assert recognise(bulkvi.tl.to_deseq2(DE, shrunken=shrunken), "other").shrunk is shrunken


def test_our_table_stays():
    before = DE.copy()
    table = bulkvi.tl.to_deseq2(DE)
    table["padj"] = 1.0
    pd.testing.assert_frame_equal(DE, before)
    assert DE.attrs == {}


def test_what_is_missing_is_named():
    with pytest.raises(KeyError, match=r"no columns \['log_fc_se'\] in `de`"):
        bulkvi.tl.to_deseq2(DE.drop(columns="log_fc_se"))
    with pytest.raises(TypeError, match="`de` must be a table, as .* returns it, not dict"):
        bulkvi.tl.to_deseq2({})


PERTPY_DE = pd.DataFrame(
    {
        "base_mean": [7.0, 900.0, 30.0],
        "log_fc": [0.1, 2.0, -1.0],
        "p_value": [0.27, 1e-20, 1e-3],
        "adj_p_value": [0.27, 2e-20, 2e-3],
        "flag": "",
        "contrast": "dex: trt vs untrt",
    },
    index=["ACTB", "FKBP5", "VCAM1"],
)


def test_the_table_has_the_columns_that_the_plots_of_pertpy_read():
    """pertpy 1.2: volcano, fold change and comparisons of contrasts read four columns, the plot of means ``baseMean``."""
    table = bulkvi.tl.to_pertpy(PERTPY_DE)
    assert list(table)[:6] == ["variable", "baseMean", "log_fc", "p_value", "adj_p_value", "contrast"]
    assert table["variable"].tolist() == ["FKBP5", "VCAM1", "ACTB"]  # by p-value, as theirs
    assert table.index.tolist() == [0, 1, 2]
    pd.testing.assert_series_equal(
        table.set_index("variable")["log_fc"].loc[PERTPY_DE.index], PERTPY_DE["log_fc"], check_names=False
    )
    assert "flag" in table


def test_tables_of_several_contrasts_can_be_put_together_and_pivoted():
    both = pd.concat([bulkvi.tl.to_pertpy(PERTPY_DE), bulkvi.tl.to_pertpy(PERTPY_DE.assign(contrast="another"))])
    assert both.pivot(index="contrast", columns="variable", values="log_fc").shape == (2, 3)


def test_compare_reads_the_table_of_pertpy():
    comparison = bulkvi.tl.compare(PERTPY_DE, bulkvi.tl.to_pertpy(PERTPY_DE))
    assert comparison.table["class"].tolist() == ["neither", "both", "both"]
    assert comparison.labels == ("bulkvi", "pertpy")


def test_the_table_for_pertpy_is_a_copy():
    before = PERTPY_DE.copy()
    table = bulkvi.tl.to_pertpy(PERTPY_DE)
    table["log_fc"] = 0.0
    pd.testing.assert_frame_equal(PERTPY_DE, before)


def test_what_is_missing_for_pertpy_is_named():
    with pytest.raises(KeyError, match=r"no columns \['contrast'\] in `de`"):
        bulkvi.tl.to_pertpy(PERTPY_DE.drop(columns="contrast"))
