"""One study and its page for all tests of pages."""

from pathlib import Path

import pandas as pd
import pytest

import bulkvi as bv
from tests.reporting.study import GROUPS, Study, make_study, simulated


@pytest.fixture(scope="session")
def study() -> Study:
    return make_study(simulated())


@pytest.fixture(scope="session")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pathways = pd.DataFrame({"term": ["<i>up</i>", "second", "third"], "score": [0.5, -10.0, 2.0], "n": [3, 1, 2]})
    folder = tmp_path_factory.mktemp("page")
    return bv.report(
        study.model,
        study.de,
        folder / "report.html",
        enrichment=pathways,
        calibration=study.model.calibrate("arm", *GROUPS, n_permutations=20, progress_bar=False),
        warnings=["Mind the <gap>."],
        command="bulkvi de counts.tsv samples.tsv --out 'a & b'",
    )
