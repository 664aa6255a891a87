"""Fixtures of the model tests."""

import pytest
from anndata import AnnData

import bulkvi
from tests.model.cohorts import fit, make_cohort


@pytest.fixture
def cohort() -> AnnData:
    return make_cohort()


@pytest.fixture(scope="session")
def trained() -> bulkvi.BulkVI:
    """Model with a batch and no design. Do not change it."""
    adata = make_cohort()
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch")
    return fit(adata)
