import numpy as np
import pandas as pd
import pytest

from bulkvi.reporting._gene_table import (
    first_rows,
    gene_columns,
    interval_bar,
    mean_text,
    probability_text,
    signed,
)


def table(**columns: object) -> pd.DataFrame:
    """Three genes; what is not given is harmless."""
    usual = {
        "base_mean": [10.0, 1234.56, 99.96],
        "log_fc": [1.0, -2.0, 0.5],
        "log_fc_low": [0.5, -3.0, -0.5],
        "log_fc_high": [1.5, -1.0, 1.5],
        "p_value": [1e-4, 1e-9, 0.5],
        "adj_p_value": [1.5e-4, 3e-9, 0.5],
        "s_value": [1e-5, 0.0, 0.3],
        "flag": ["", "outlier", ""],
        "contrast": "arm: b vs a",
    }
    return pd.DataFrame(usual | columns, index=["a", "b", "c"])


def columns(**changed: object) -> dict:
    de = table(**changed)
    return gene_columns(de, pd.Series(de.index, index=de.index), 0.05)


def test_the_first_gene_comes_first_and_of_equals_the_larger_effect():
    assert columns()["id"] == ["b", "a", "c"]
    assert columns(p_value=[0.0, 0.0, 0.5])["id"] == ["b", "a", "c"]
    assert columns(p_value=[np.nan, 0.2, 0.1])["id"] == ["c", "b", "a"]


def test_a_gene_just_called_is_called_though_its_p_value_is_shown_as_the_level():
    got = columns(adj_p_value=[0.04999, 3e-9, 0.05])
    assert got["q"] == [3e-9, 0.05, 0.05]
    assert got["kind"] == "du-"


def test_numbers_are_rounded_once():
    """0.12496 was shown as 0.13 when it was rounded to four digits first, and then to two."""
    got = columns(log_fc=[0.12496, -2.0, -0.001])
    assert got["fc"] == [-2, 0.12, 0]
    assert [row["fc"] for row in first_rows(got)] == ["−2.00", "+0.12", "+0.00"]


def test_what_is_missing_stays_missing():
    got = columns(log_fc=[np.nan, -2.0, 0.5], adj_p_value=[np.nan, 3e-9, 0.5], flag=[np.nan, "outlier", ""])
    row = next(row for row in first_rows(got) if row["id"] == "a")
    assert (row["fc"], row["q"], row["flag"], row["kind"], row["bar"]) == ("–", "–", "", "", None)


@pytest.mark.parametrize(("value", "text"), [(1.0, "+1.00"), (-0.5, "−0.50"), (None, "–")])
def test_fold_changes_carry_their_sign(value: float | None, text: str):
    assert signed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "< 1e-9"), (0.05, "0.050"), (1.0, "1.000"), (9.9e-4, "9.9e-4"), (1e-20, "1.0e-20"), (None, "–")],
)
def test_probabilities_are_written_as_they_are_read(value: float | None, text: str):
    assert probability_text(value, "1e-9") == text


@pytest.mark.parametrize(("value", "text"), [(1_234_567, "1,234,567"), (12.3, "12.3"), (0, "0.0"), (None, "–")])
def test_means_are_written_with_few_digits(value: float | None, text: str):
    assert mean_text(value) == text


def test_intervals_end_in_arrows_where_they_leave_the_line():
    inside = interval_bar(-1, 0, 1, 2)
    assert inside == {"low": "26.0", "middle": "50.0", "high": "74.0", "beyond_low": False, "beyond_high": False}
    beyond = interval_bar(1, 3, 5, 2)
    assert beyond == {"low": "74.0", "middle": "", "high": "98.0", "beyond_low": False, "beyond_high": True}


def test_the_line_holds_the_effects_that_are_called():
    assert columns()["reach"] == 3
    assert columns(log_fc_high=[1.5, -1.0, 50.0])["reach"] == 3  # not called
    assert columns(log_fc_low=[np.nan] * 3, log_fc_high=[np.nan] * 3)["reach"] == 1


def test_effects_per_unit_keep_their_digits_however_large_the_unit():
    """The slope of a year of age was +0.02 (+0.01 to +0.03), and that of a day +0.00."""
    small = {
        name: 1e-4 * np.array(values)
        for name, values in {
            "log_fc": [1.0, -2.2, 0.5],
            "log_fc_low": [0.5, -3, -0.5],
            "log_fc_high": [1.5, -1, 1.5],
        }.items()
    }
    de = table(**small)
    found = gene_columns(de, pd.Series(de.index, index=de.index), 0.05, any_unit=True)
    assert [row["fc"] for row in first_rows(found)] == ["−0.00022", "+0.00010", "+0.00005"]
    assert found["reach"] == pytest.approx(3e-4)
    assert first_rows(columns(**small))[0]["fc"] == "+0.00"  # between groups the unit is known


@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_large_effects_per_unit_have_two_decimals(factor: float):
    de = table(log_fc=[factor, -2 * factor, factor], log_fc_low=[factor, -2 * factor, factor], log_fc_high=[factor] * 3)
    found = gene_columns(de, pd.Series(de.index, index=de.index), 0.05, any_unit=True)
    assert found["digits"] == 2
    assert found["reach"] == 2 * factor
