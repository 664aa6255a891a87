import numpy as np
import pytest

import bulkvi
from tests.cohorts import fit, make_hidden


@pytest.fixture(scope="session")
def cohort_model() -> bulkvi.BulkVI:
    """Model of a cohort with two hidden factors, symbols, and a gene without counts."""
    adata = make_hidden()
    counts = np.array(adata.X)
    counts[:, 7] = 0
    adata.X = counts
    adata.var["symbol"] = [f"SYM{k}" for k in range(adata.n_vars)]
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return fit(adata, max_steps=20)


@pytest.fixture(scope="session")
def reference(cohort_model: bulkvi.BulkVI) -> bulkvi.Reference:
    """Its reference."""
    return bulkvi.Reference.from_model(
        cohort_model, name="simulated", source="bulkvi.datasets.simulate", licence="CC0", organism="none", tissue="none"
    )
