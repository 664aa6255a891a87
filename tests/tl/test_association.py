import numpy as np
import pytest
from scipy.stats import chi2_contingency, f_oneway, pearsonr

from bulkvi.tl._check_design import correlation_ratio, cramers_v, squared_correlation


def test_cramers_v_is_chi_squared_over_its_largest_value(rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    table = np.zeros((3, 4))
    np.add.at(table, (a, b), 1)
    chi_squared = chi2_contingency(table, correction=False).statistic
    assert cramers_v(a, b) == pytest.approx(np.sqrt(chi_squared / (60 * 2)))
    assert cramers_v(a, b) == pytest.approx(cramers_v(b, a))


def test_a_column_that_decides_the_other_has_an_association_of_one(rng: np.random.Generator) -> None:
    fine = rng.permutation(np.repeat(np.arange(6), 4))
    assert cramers_v(fine, fine // 2) == pytest.approx(1)
    assert correlation_ratio(fine, np.array([3.0, -1, 4, 1, 5, 9])[fine]) == pytest.approx(1)


def test_eta_squared_is_what_the_f_test_of_one_way_says(rng: np.random.Generator) -> None:
    groups, values = rng.integers(0, 3, 40), rng.normal(size=40)
    f = f_oneway(*(values[groups == k] for k in range(3))).statistic
    assert correlation_ratio(groups, values) == pytest.approx(2 * f / (2 * f + 37))


def test_squared_correlation_is_pearsons(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(2, 30))
    assert squared_correlation(a, b) == pytest.approx(pearsonr(a, b).statistic ** 2)


def test_a_constant_column_has_no_association() -> None:
    same, other = np.zeros(4), np.array([0, 1, 0, 1])
    assert np.isnan(cramers_v(same, other))
    assert np.isnan(correlation_ratio(same, other.astype(float)))
    assert np.isnan(correlation_ratio(other, same))
    assert np.isnan(squared_correlation(same, other.astype(float)))
