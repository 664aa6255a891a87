"""A cohort with strong effects that any method finds."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi


@pytest.fixture
def cohort(shared_cohort: AnnData) -> AnnData:
    """A copy of the cohort, to be changed."""
    return shared_cohort.copy()


@pytest.fixture(scope="session")
def shared_cohort() -> AnnData:
    """12 samples x 150 genes in two groups and two batches; each batch halves or doubles every fifth gene."""
    rng = np.random.default_rng(3)
    group = np.tile(["a", "b"], 6)
    batch = np.repeat(["x", "y"], 6)
    log_fc = np.where(np.arange(150) < 30, np.tile([3.0, -3.0], 75), 0.0)
    in_batch = np.where(np.arange(150) % 5 == 0, 1.0, 0.0)
    rate = np.exp(rng.normal(5, 1, 150))
    depth = rng.uniform(0.7, 1.4, 12)
    mean = depth[:, None] * rate * 2.0 ** ((group == "b")[:, None] * log_fc + (batch == "y")[:, None] * in_batch)
    size = 1 / ((0.02 + 2 / rate) * rng.lognormal(0, 0.5, 150))
    counts = rng.negative_binomial(size, size / (size + mean))
    adata = AnnData(
        counts.astype(np.float32),
        obs=pd.DataFrame({"group": group, "batch": batch}, index=[f"s{i}" for i in range(12)]),
        var=pd.DataFrame({"log_fc": log_fc}, index=[f"g{i}" for i in range(150)]),
    )
    bulkvi.pp.size_factors(adata)
    return adata
