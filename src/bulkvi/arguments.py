"""Checks of numbers in arguments, and warnings at the user's line."""

import math
import sys
import warnings
from numbers import Integral, Real
from types import FrameType
from typing import Any

import numpy as np


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> None:
    """Raise TypeError unless a value is a number (booleans are not), ValueError unless finite and within its limits."""
    allowed = _describe("a finite number", above, least, below, most)
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}: give {allowed}.")
    number = float(value)
    inside = (
        math.isfinite(number)
        and (above is None or number > above)
        and (least is None or number >= least)
        and (below is None or number < below)
        and (most is None or number <= most)
    )
    if not inside:
        raise ValueError(f"{name} is {value}: give {allowed}.")


def check_whole(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> None:
    """Raise TypeError unless a value is a whole number (1.5 and True are not), ValueError unless within its limits."""
    allowed = _describe("a whole number", None, least, None, most)
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        if isinstance(value, Real) and not math.isfinite(float(value)):
            raise ValueError(f"{name} is {value}: give {allowed}.")
        raise TypeError(f"{name} is {value!r}: give {allowed}.")
    if (least is not None and int(value) < least) or (most is not None and int(value) > most):
        raise ValueError(f"{name} is {value}: give {allowed}.")


def check_interval(level: Any) -> None:
    """Raise TypeError or ValueError unless ``level`` is a probability of an interval."""
    check_number("level", level)
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: give the probability of an interval, between 0 and 1.")


def _describe(kind: str, above: float | None, least: float | None, below: float | None, most: float | None) -> str:
    limits = [(above, "above"), (least, "of at least"), (below, "below"), (most, "of at most")]
    allowed = " and ".join(f"{relation} {limit:g}" for limit, relation in limits if limit is not None)
    return f"{kind} {allowed}".strip()


class BulkVIWarning(UserWarning):
    """Warning about the user's data or analysis."""


def warn_user(message: str) -> None:
    """Issue a warning whose place is the first caller outside the package."""
    frame: FrameType | None = sys._getframe(1)
    level = 2  # of warnings.warn: the caller of this function
    while frame is not None and frame.f_globals.get("__name__", "").startswith("bulkvi."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, BulkVIWarning, stacklevel=level)
