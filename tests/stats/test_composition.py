import numpy as np
import pytest

from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.summary import composition_shift


def effects(rng, *, n=2000, changed=0.6, up=1.0, shift=-0.3, se=0.12) -> EffectLikelihood:
    size = np.where(rng.random(n) < changed, np.abs(rng.normal(0, 0.7, n)), 0.0)
    sign = np.where(rng.random(n) < up, 1.0, -1.0)
    errors = se * np.exp(rng.normal(0, 0.3, n))
    return EffectLikelihood(rng.normal(shift + sign * size, errors)[None], errors[None], np.ones((1, n)))


@pytest.mark.parametrize(("changed", "up", "shift"), [(0.6, 1.0, -0.3), (0.6, 0.1, 0.25), (0.4, 1.0, -0.15)])
def test_the_place_of_unchanged_genes_is_found(rng, changed, up, shift):
    found = composition_shift(effects(rng, changed=changed, up=up, shift=shift))
    assert found.shift == pytest.approx(shift, abs=0.03)


@pytest.mark.parametrize("changed", [0.0, 0.1, 0.6, 1.0])
def test_balanced_effects_have_no_shift(rng, changed):
    assert composition_shift(effects(rng, changed=changed, up=0.5, shift=0.0)).shift == 0


def test_no_pile_of_unchanged_genes_is_no_reason_to_leave_the_size_factors(rng):
    """All genes change a little, as yeast without Snf2: the middle of the effects is not the place of zero."""
    n = 4000
    errors = np.full((1, n), 0.15)
    found = composition_shift(EffectLikelihood(rng.normal(0.06, 0.5, (1, n)), errors, np.ones((1, n))))
    assert found.shift == 0


def test_neither_order_nor_sign_nor_unit_matters(rng):
    effect = effects(rng, n=4500)
    found = composition_shift(effect)
    order = rng.permutation(4500)
    assert composition_shift(EffectLikelihood(*(part[:, order] for part in effect))) == pytest.approx(found)
    mirrored = composition_shift(effect._replace(estimate=-effect.estimate))
    assert mirrored.shift == pytest.approx(-found.shift, abs=0.01)
    tenth = composition_shift(EffectLikelihood(effect.estimate / 10, effect.se / 10, effect.weight))
    assert 10 * tenth.shift == pytest.approx(found.shift, rel=1e-3)
