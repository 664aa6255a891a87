import pandas as pd
import pytest

import bulkvi

DE = pd.DataFrame(
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


def test_it_has_what_the_plots_of_pertpy_read():
    """pertpy 1.2: volcano, fold change and comparisons of contrasts read four columns, the plot of means ``baseMean``."""
    table = bulkvi.tl.to_pertpy(DE)
    assert list(table)[:6] == ["variable", "baseMean", "log_fc", "p_value", "adj_p_value", "contrast"]
    assert table["variable"].tolist() == ["FKBP5", "VCAM1", "ACTB"]  # by p-value, as theirs
    assert table.index.tolist() == [0, 1, 2]
    pd.testing.assert_series_equal(table.set_index("variable")["log_fc"].loc[DE.index], DE["log_fc"], check_names=False)
    assert "flag" in table


def test_tables_of_several_contrasts_can_be_put_together_and_pivoted():
    both = pd.concat([bulkvi.tl.to_pertpy(DE), bulkvi.tl.to_pertpy(DE.assign(contrast="another"))])
    assert both.pivot(index="contrast", columns="variable", values="log_fc").shape == (2, 3)


def test_compare_finds_its_way_back():
    comparison = bulkvi.tl.compare(DE, bulkvi.tl.to_pertpy(DE))
    assert comparison.table["class"].tolist() == ["neither", "both", "both"]
    assert comparison.labels == ("bulkvi", "pertpy")


def test_our_table_stays():
    before = DE.copy()
    table = bulkvi.tl.to_pertpy(DE)
    table["log_fc"] = 0.0
    pd.testing.assert_frame_equal(DE, before)


def test_what_is_missing_is_named():
    with pytest.raises(KeyError, match=r"no columns \['contrast'\] in `de`"):
        bulkvi.tl.to_pertpy(DE.drop(columns="contrast"))
