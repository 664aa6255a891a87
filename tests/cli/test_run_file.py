import json
from typing import NoReturn

import numpy as np
import pandas as pd

from bulkvi.cli._run_file import as_json


def refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def test_a_summary_is_json_whatever_it_holds():
    """NaN stood in it, which programs other than Python do not read."""
    summary = {
        "nan": float("nan"),
        "low": -np.inf,
        "inside": [{"p": np.float32("nan"), 2: (np.int64(3), True)}, np.array([1.5, np.nan])],
        "missing": [pd.NA, pd.NaT, None],
        "text": "NaN",
        "day": pd.Timestamp("2026-01-02"),
    }
    assert json.loads(as_json(summary), parse_constant=refuse) == {
        "nan": None,
        "low": None,
        "inside": [{"p": None, "2": [3, True]}, [1.5, None]],
        "missing": [None, None, None],
        "text": "NaN",
        "day": "2026-01-02 00:00:00",
    }
