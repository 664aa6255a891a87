from typing import Any

import numpy as np
import pandas as pd
import pytest

from bulkvi.reporting._asked import Asked
from bulkvi.reporting._latent_table import latent_table
from bulkvi.tl import DesignCheck

QUERY = Asked("arm: a vs b", {"latent_columns": "auto"}, {"n_latent_columns": 0})


def said(monkeypatch_table: dict[str, Any], asked: Asked = QUERY) -> str:
    table = pd.DataFrame(
        {
            "singular_value": [70.2, 50.0],
            "singular_value_by_chance": [58.4, 49.0],
            "information": np.nan,
            "enters": False,
            "variance_share": [0.5, 0.3],
            "strongest_with": ["", "age"],
            "strength": [0.0, 0.4],
        }
        | monkeypatch_table
    )

    class Model:
        def latent_report(self) -> pd.DataFrame:
            return table

    empty = pd.DataFrame()
    design = DesignCheck("~ arm", empty, empty, empty, {}, 7, 3)
    return latent_table(Model(), asked, design)[1]  # type: ignore[arg-type]  # all that is asked of it


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        pytest.param({"singular_value": [50.0, 40.0]}, "no stronger than unrelated genes", id="chance"),
        pytest.param({}, "7 samples less 3 columns of the design leave 4", id="few samples"),
        pytest.param({"information": [0.8, 0.7]}, "would lose more", id="not worth it"),
        pytest.param({"information": [1.2, 1.1], "enters": [True, False]}, "1 of 2 is let into comparisons", id="one"),
    ],
)
def test_the_reason_why_directions_enter_or_not_is_given(table: dict[str, Any], reason: str):
    assert reason in said(table)


def test_that_none_entered_this_comparison_is_explained():
    enters = {"information": [1.2, 1.1], "enters": [True, False]}
    assert "too many genes change" in said(enters)
    assert "asked for without" in said(enters, QUERY._replace(arguments={"latent_columns": 0}))
    assert "None entered" not in said(enters, QUERY._replace(attrs={"n_latent_columns": 1}))
