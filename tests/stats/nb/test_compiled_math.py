import numpy as np
import pytest
from numba import njit
from scipy.special import ndtr

from bulkvi.stats.nb import compiled_math as _vector_math


def over(function):
    @njit
    def loop(x):
        out = np.empty_like(x)
        for i in range(x.size):
            out[i] = function(x[i])
        return out

    return loop


@pytest.mark.parametrize(
    ("name", "oracle", "x"),
    [
        ("fast_exp", np.exp, np.linspace(-699, 699, 20_001)),
        ("fast_log", np.log, 10 ** np.linspace(-300, 300, 20_001)),
        (
            "fast_log1p",
            np.log1p,
            np.concatenate([np.linspace(-1 + 1e-12, 3, 20_001), 10 ** np.linspace(-300, 300, 2001)]),
        ),
        ("fast_log1p", np.log1p, -(10 ** np.linspace(-300, -0.01, 2001))),
    ],
)
def test_vectorised_functions_agree_with_the_c_library_to_four_units_in_the_last_place(name, oracle, x):
    np.testing.assert_allclose(over(getattr(_vector_math, name))(x), oracle(x), rtol=4 * 2.3e-16, atol=1e-320)


def test_normal_distribution_function_is_right_in_both_tails():
    x = np.linspace(-36, 36, 40_001)
    np.testing.assert_allclose(over(_vector_math.fast_normal_cdf)(x), ndtr(x), rtol=3e-13)


def test_exponential_of_anything_is_finite():
    assert np.isfinite(over(_vector_math.fast_exp)(np.array([-1e300, -746.0, 746.0, 1e300]))).all()
