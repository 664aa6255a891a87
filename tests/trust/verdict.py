"""The two right answers to a hostile input: it works and equals the plain case, or it is refused in one clear error."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

EQUAL: Final = "works and equals the plain case"
REFUSED: Final = "one clear error"
EXPLAINED: Final = (ValueError, KeyError, TypeError, OSError, ImportError)
JARGON: Final = re.compile(
    r"Traceback|LinAlg|[Ss]ingular matrix|NoneType|has no attribute|unhashable|zipfile|not subscriptable|object at 0x|"
    r"index out of (range|bounds)|Errno|codec|unpack"
)
"""Words of the libraries below, which tell a user nothing that helps."""
MOST_CHARACTERS: Final = 1_200

counted: Counter[str] = Counter()
"""Verdicts of this run of pytest, for its closing lines."""


def equal(found: Any, plain: Any, **tolerance: Any) -> None:
    """Assert that an answer equals that of the plain input, and count the verdict."""
    if isinstance(plain, pd.DataFrame):
        pd.testing.assert_frame_equal(found, plain, **tolerance)
    elif isinstance(plain, pd.Series):
        pd.testing.assert_series_equal(found, plain, **tolerance)
    elif isinstance(plain, np.ndarray):
        np.testing.assert_allclose(found, plain, **({"rtol": 0, "atol": 0} | tolerance))
    else:
        assert found == plain
    counted[EQUAL] += 1


def refused(action: Callable[[], object], *words: str) -> str:
    """Assert that an action raises one error that explains itself, count the verdict, and return the message.

    Parameters
    ----------
    action
        Called without arguments.
    words
        What the message must name, such as the column, the sample, the remedy; regular expressions, in any case.
    """
    try:
        action()
    except EXPLAINED as error:
        message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    else:
        raise AssertionError("accepted without a word")
    check_message(message, *words)
    counted[REFUSED] += 1
    return message


def check_message(message: str, *words: str) -> None:
    """Assert that a message is short, free of the words of other libraries, and names ``words``."""
    assert 20 <= len(message) <= MOST_CHARACTERS, message
    assert not JARGON.search(message), message
    for word in words:
        assert re.search(word, message, re.IGNORECASE), f"{word!r} is not in: {message}"
