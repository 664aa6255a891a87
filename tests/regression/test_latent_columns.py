import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit


def answers(adata: AnnData, column: str) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=f"~ group + {column}")
    model = fit(adata, max_steps=40)
    table = model.differential_expression("group", "B", "A", latent_columns=1)
    return table, model.omnibus_test("group", latent_columns=1), list(model.latent_report().index)


@pytest.mark.parametrize("name", ["latent_age", "latent_0"])
def test_a_covariate_may_be_called_as_the_latent_columns_are(cohort: AnnData, name: str) -> None:
    other = cohort.copy()
    other.obs[name] = other.obs.pop("age")
    (table, omnibus, _), (same, same_omnibus, columns) = answers(cohort, "age"), answers(other, name)
    np.testing.assert_allclose(same["log_fc"], table["log_fc"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(same_omnibus["stat"], omnibus["stat"], rtol=1e-3, atol=1e-3)
    assert name not in columns


@pytest.mark.parametrize("n_genes", [1, 2])
def test_there_are_no_more_latent_columns_than_genes(cohort: AnnData, n_genes: int) -> None:
    few = cohort[:, np.argsort(-cohort.X.sum(0))[:n_genes]].copy()
    bulkvi.BulkVI.setup_anndata(few, size_factor_key="size_factor", design="~ group")
    report = fit(few, max_steps=10, n_latent=3).latent_report()
    assert len(report) == n_genes
