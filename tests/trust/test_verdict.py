"""The judge itself can say no."""

import numpy as np
import pytest

from tests.trust.verdict import equal, refused


def _raises(message: str) -> None:
    raise ValueError(message)


def test_an_accepted_input_is_no_refusal() -> None:
    with pytest.raises(AssertionError, match="without a word"):
        refused(lambda: None)


@pytest.mark.parametrize("message", ["no", "Singular matrix in row 3 of the design", "what is wrong " * 100])
def test_a_message_that_explains_nothing_is_no_refusal(message: str) -> None:
    with pytest.raises(AssertionError):
        refused(lambda: _raises(message))


def test_other_numbers_are_not_equal() -> None:
    with pytest.raises(AssertionError):
        equal(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9]))
