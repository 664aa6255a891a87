"""What several test files share."""

import os
from pathlib import Path

import numpy as np
import pytest


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
