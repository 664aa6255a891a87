import numpy as np
import pytest
import torch

from bulkvi.baselines._seeding import seeded_everywhere


def draw() -> tuple[float, float]:
    return float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_the_same_seed_draws_the_same_and_another_something_else():
    drawn = []
    for seed in (1, 1, 2):
        with seeded_everywhere(seed):
            drawn.append(draw())
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[2][0]
    assert drawn[0][1] != drawn[2][1]


def test_the_callers_state_is_put_back_even_after_an_error():
    with seeded_everywhere(5):
        before = draw()
    with seeded_everywhere(5):
        with pytest.raises(KeyError), seeded_everywhere(1):
            draw()
            raise KeyError
        assert draw() == before
