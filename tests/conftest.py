"""What several test files share."""

import os
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit, make_cohort


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator with a fixed seed for each test."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data sets: ``BULKVI_DATA_DIR``, else ``../shared/data`` beside the repository; skips without one."""
    named = os.environ.get("BULKVI_DATA_DIR")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder; set BULKVI_DATA_DIR to the folder that holds them")
    return folder


@pytest.fixture
def cohort() -> AnnData:
    """Two groups and two batches, size factors estimated."""
    return make_cohort()


@pytest.fixture(scope="session")
def trained() -> bulkvi.BulkVI:
    """Model with a batch and no design. Do not change it."""
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch")
    return fit(adata)
