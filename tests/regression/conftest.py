"""Models and reports that several files of this room read."""

import numpy as np
import pandas as pd
import pytest

import bulkvi
from bulkvi.datasets import simulate
from bulkvi.regression.calibration_report import CalibrationReport
from tests.cohorts import fit, make_cohort, set_up


@pytest.fixture(scope="session")
def model() -> bulkvi.BulkVI:
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ group * site")
    return fit(adata, max_steps=10)


@pytest.fixture(scope="session")
def report() -> tuple[CalibrationReport, bulkvi.BulkVI, pd.DataFrame]:
    adata = simulate(n_per_group=5, n_genes=300, de_share=0.2, seed=1)
    model = set_up(adata)
    before = adata.copy()
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    report = model.calibrate("group", "B", "A", n_permutations=16, seed=3, progress_bar=False)
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    np.testing.assert_array_equal(adata.X, before.X)
    model.train(10, progress_bar=False)
    de = model.differential_expression("group", "B", "A")
    return report, model, de
