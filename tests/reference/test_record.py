import numpy as np
import pytest

from bulkvi.reference._record import Provenance, rounded, stored


def test_rounding_once_is_enough_and_small_standard_deviations_stay_above_zero(rng: np.random.Generator) -> None:
    values = np.concatenate([np.exp(rng.normal(-3, 4, 1_000)), [0.0, np.nan, 1e-12, 1e6]])
    for half in (False, True):
        once = rounded(values, half=half)
        np.testing.assert_array_equal(stored(once, half=half).astype(float), once)
        usual = (values > 1e-4) & (values < 1e4)
        np.testing.assert_allclose(once[usual], values[usual], rtol=2.0 ** (-11 if half else -24))
        assert np.isfinite(once[np.isfinite(values)]).all()
        assert (once[values > 0] > 0).all()
        np.testing.assert_array_equal(np.isnan(once), np.isnan(values))


def test_provenance_leaves_out_fields_of_later_versions_and_refuses_other_kinds() -> None:
    assert Provenance.from_record({"name": "x", "n_samples": 3, "colour": "red"}) == Provenance("x", n_samples=3)
    with pytest.raises(TypeError):
        Provenance.from_record({"name": ["x"]})
