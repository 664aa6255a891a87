import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.empirical_null import LARGEST_VARIANCE, null_variance, widen_log_p


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("sd", [1.0, 1.3, 2.0])
def test_the_width_of_unchanged_genes_is_found_beside_changed_ones(share, sd):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        effect = np.where(rng.random(5000) < share, rng.normal(0, 6, 5000), 0.0)
        found.append(null_variance(rng.normal(effect, sd)))
    # small effects count as width, at most: an error on the safe side
    assert sd**2 * 0.97 - 0.02 < np.mean(found) < sd**2 * 1.1


def test_it_never_narrows_and_has_a_largest_value(rng):
    assert null_variance(rng.normal(0, 0.5, 3000)) == 1.0
    assert null_variance(rng.normal(0, 3, 3000)) == pytest.approx(9, rel=0.1)
    assert null_variance(rng.normal(0, 3.6, 3000)) <= LARGEST_VARIANCE
    assert null_variance(np.array([np.nan, np.inf])) == 1.0


def test_sign_and_order_do_not_matter(rng):
    z = rng.normal(0, 1.4, 2000)
    assert null_variance(z) == pytest.approx(null_variance(-rng.permutation(z)), rel=1e-6)


def test_widened_p_values_are_those_of_a_wider_normal(rng):
    z = rng.normal(0, 3, 50)
    log_p = np.log(2) + norm.logsf(np.abs(z))
    np.testing.assert_allclose(
        widen_log_p(log_p, 1.7), np.log(2) + norm.logsf(np.abs(z), scale=np.sqrt(1.7)), atol=1e-9
    )
    np.testing.assert_allclose(widen_log_p(log_p, 1.0), log_p, atol=1e-9)
    assert widen_log_p(np.array([-2000.0]), 2.0)[0] == pytest.approx(-1000, rel=0.01)
