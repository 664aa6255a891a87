import math
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bulkvi.arguments import check_interval, check_number, check_whole, warn_user

WRONG: dict[str, tuple[Callable[[], None], type[Exception], str]] = {
    "text": (lambda: check_number("delta", "1"), TypeError, "delta is '1': give a finite number"),
    "boolean": (lambda: check_number("delta", True), TypeError, "delta is True: give a finite number"),
    "numpy boolean": (lambda: check_whole("seed", np.True_), TypeError, "give a whole number"),
    "not finite": (lambda: check_number("delta", math.nan), ValueError, "delta is nan: give a finite number"),
    "at the lower limit": (
        lambda: check_number("rate", 0, above=0),
        ValueError,
        "rate is 0: give a finite number above 0",
    ),
    "below the least": (lambda: check_number("delta", -0.5, least=0), ValueError, "number of at least 0"),
    "at the upper limit": (lambda: check_number("share", 1, least=0, below=1), ValueError, "of at least 0 and below 1"),
    "above the most": (lambda: check_number("size", 3, above=0, most=2), ValueError, "above 0 and of at most 2"),
    "a fraction": (lambda: check_whole("seed", 1.5), TypeError, "seed is 1.5: give a whole number"),
    "not finite and whole": (lambda: check_whole("seed", math.inf), ValueError, "seed is inf: give a whole number"),
    "too small": (lambda: check_whole("n", 0, least=1), ValueError, "n is 0: give a whole number of at least 1"),
    "too large": (lambda: check_whole("n", 9, most=8), ValueError, "n is 9: give a whole number of at most 8"),
    "certain": (lambda: check_interval(1), ValueError, "level is 1: give the probability of an interval"),
    "impossible": (lambda: check_interval(0.0), ValueError, "level is 0.0"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_number_is_refused_with_its_limits(case: tuple[Callable[[], None], type[Exception], str]) -> None:
    check, error, message = case
    with pytest.raises(error, match=message):
        check()


def test_numbers_at_their_limits_pass() -> None:
    check_number("x", np.float32(2), least=2, most=2)
    check_number("x", np.nextafter(0, 1), above=0, below=1)
    check_whole("n", np.int64(3), least=3, most=3)
    check_interval(0.95)


def within_the_package(depth: int) -> Callable[[], Any]:
    """A function of the package that warns, ``depth`` calls further down."""
    module = ModuleType("bulkvi.inner")
    vars(module)["warn_user"] = warn_user
    code = "def call(depth):\n    return call(depth - 1) if depth else warn_user('look here')"
    exec(compile(code, "/package/inner.py", "exec"), vars(module))
    return lambda: module.call(depth)


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_warning_is_at_the_first_line_outside_the_package(depth: int) -> None:
    """It was one call too far in, at a line of the package."""
    call = within_the_package(depth)
    with pytest.warns(UserWarning, match="look here") as issued:
        call()
    assert issued[0].filename == __file__


def test_a_warning_called_by_the_user_is_at_the_line_of_the_call() -> None:
    with warnings.catch_warnings(record=True) as issued:
        warnings.simplefilter("always")
        warn_user("here")
    assert issued[0].filename == __file__
