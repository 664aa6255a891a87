"""One study and its page for all tests of pages."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from tests.reporting.study import GROUPS, Study, default_study, make_study, simulated, without_drawing


@pytest.fixture(scope="session")
def study() -> Study:
    return default_study()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without drawings."""
    without_drawing(monkeypatch)


@pytest.fixture(scope="session")
def slope() -> Study:
    """A model with a numeric covariate, and the table of its slope."""
    adata = simulated()
    effects = np.linspace(-1, 1, adata.n_vars)
    adata.X = (
        np.random.default_rng(0).poisson(adata.X * 2 ** np.outer(adata.obs["age"] - 1.5, effects)).astype(np.float32)
    )
    model = make_study(adata, "~ arm + scale(age)").model
    return Study(model, model.differential_expression(contrast=model.get_slope_weights("age")))


@pytest.fixture(scope="session")
def given(study: Study) -> dict[str, Any]:
    """What the page is made of."""
    return {
        "model": study.model,
        "de": study.de,
        "enrichment": pd.DataFrame(
            {"term": ["<i>up</i>", "second", "third"], "score": [0.5, -10.0, 2.0], "n": [3, 1, 2]}
        ),
        "calibration": study.model.calibrate("arm", *GROUPS, n_permutations=20, progress_bar=False),
        "warnings": ["Mind the <gap>."],
        "command": "bulkvi de counts.tsv samples.tsv --out 'a & b'",
    }


@pytest.fixture(scope="session")
def page(given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bv.report(path=tmp_path_factory.mktemp("page") / "report.html", **given)
