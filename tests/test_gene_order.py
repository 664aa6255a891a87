import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfcx, ndtri_exp

from bulkvi.gene_order import minus_log10, order_by_significance

LOG_P = st.floats(-4_000, 0)


def table_of(log_p: list[float], effect: list[float]) -> pd.DataFrame:
    """Columns as bulkvi makes them: ``stat`` is the quantile of the p-value, which may be 0."""
    log_p_value = np.array(log_p)
    stat = np.copysign(np.abs(ndtri_exp(np.minimum(log_p_value - np.log(2), np.log(0.5)))), effect)
    return pd.DataFrame({"p_value": np.exp(log_p_value), "stat": stat, "log_fc": effect, "base_mean": 10.0})


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.tuples(LOG_P, st.floats(-5, 5)), min_size=1, max_size=30))
def test_in_a_table_of_ours_the_order_is_that_of_the_absolute_statistic(genes: list[tuple[float, float]]):
    table = table_of(*map(list, zip(*genes, strict=True)))
    ordered = table.iloc[order_by_significance(table)]
    assert (np.diff(ordered["stat"].abs()) <= 1e-7).all()
    assert (np.diff(ordered["p_value"]) >= 0)[ordered["p_value"].to_numpy()[1:] >= 1e-300].all()


def test_p_values_of_zero_are_ordered_by_the_statistic_and_no_other_number():
    table = table_of([-1_500.0, -900.0, -3_000.0, -700.0], [5.0, -4.0, 1.0, 9.0])
    assert (table["p_value"] < 1e-300).all()
    assert order_by_significance(table).tolist() == [2, 0, 1, 3]


def test_ties_go_by_effect_then_by_mean_then_by_place():
    table = pd.DataFrame(
        {
            "p_value": [0.0] * 5 + [0.2],
            "stat": 40.0,
            "log_fc": [1.0, -2.0, 2.0, 1.0, 1.0, 9.0],
            "base_mean": [5.0, 5.0, 7.0, 50.0, 5.0, 1.0],
        }
    )
    assert order_by_significance(table).tolist() == [2, 1, 3, 0, 4, 5]


@pytest.mark.parametrize("missing", [np.nan, pd.NA, None], ids=["nan", "NA", "None"])
def test_genes_without_a_p_value_come_last(missing: object):
    table = pd.DataFrame({"p_value": pd.array([missing, 0.5, missing, 0.1], dtype="Float64"), "stat": [9, 1, 99, 2]})
    assert order_by_significance(table).tolist() == [3, 1, 2, 0]


def test_a_table_without_statistics_is_ordered_by_its_p_values():
    assert order_by_significance({"p_value": np.array([0.3, 0.1, 0.2])}).tolist() == [1, 2, 0]
    with pytest.raises(KeyError, match="p_value"):
        order_by_significance({"stat": np.ones(2)})


def test_the_height_of_a_p_value_that_underflows_is_that_of_its_statistic():
    stat = np.array([38.0, -60.0, 1_000.0])
    # erfc(x) = exp(-x^2) erfcx(x)
    tails = stat**2 / 2 / np.log(10) - np.log10(erfcx(np.abs(stat) / np.sqrt(2)))
    np.testing.assert_allclose(minus_log10(np.zeros(3), stat), tails, rtol=1e-10)
    np.testing.assert_allclose(minus_log10(np.array([0.01, 1.0]), np.array([5.0, 5.0])), [2.0, 0.0])
    assert minus_log10(np.array([0.0]))[0] == np.inf
