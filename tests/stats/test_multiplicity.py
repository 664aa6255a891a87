import numpy as np
import pytest
from scipy.stats import false_discovery_control

from bulkvi.stats.effects.effect import benjamini_hochberg, s_value


def test_adjusted_p_values_are_those_of_scipy_and_skip_nan(rng):
    p = rng.integers(1, 40, 100) / 40  # ties on purpose
    with_nan = np.insert(p, [3, 50], np.nan)
    adjusted = benjamini_hochberg(with_nan)
    np.testing.assert_array_equal(np.isnan(adjusted), np.isnan(with_nan))
    np.testing.assert_allclose(adjusted[~np.isnan(adjusted)], false_discovery_control(p))


def test_s_value_is_the_mean_doubt_of_all_genes_at_least_as_sure(rng):
    lfsr = rng.integers(0, 6, 50) / 12
    by_definition = [lfsr[lfsr <= value].mean() for value in lfsr]
    with_nan = np.append(lfsr, np.nan)
    np.testing.assert_allclose(s_value(with_nan)[:-1], by_definition)
    assert np.isnan(s_value(with_nan)[-1])


@pytest.mark.parametrize(("function", "name"), [(benjamini_hochberg, "p_value"), (s_value, "lfsr")])
def test_rates_outside_zero_and_one_are_refused(function, name):
    with pytest.raises(ValueError, match=f"`{name}` must lie in"):
        function(np.array([0.1, 1.2]))


@pytest.mark.parametrize("function", [benjamini_hochberg, s_value])
def test_nothing_in_nothing_out(function):
    assert function(np.array([])).shape == (0,)
