from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import norm

import bulkvi
from bulkvi.datasets import simulate
from bulkvi.regression.calibration_report import CalibrationReport
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.nb.regression import nb_regression
from tests.cohorts import set_up


def trained(model: bulkvi.BulkVI) -> bulkvi.BulkVI:
    model.train(10, progress_bar=False)
    return model


def plug_in_wald(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Each gene's own most likely dispersion taken for the truth."""
    offset = np.log(median_of_ratios(counts).size_factors)
    features = np.column_stack([np.ones(group.size), group]).astype(float)
    ridge = effect_ridge(features)
    given: dict[str, Any] = {"offset": offset, "ridge": ridge}
    fit = fit_genes(counts.astype(float), features, **given)
    wald = nb_regression(counts.astype(float), features, dispersion=fit.gene_dispersion.clip(1e-8), **given)
    se = np.sqrt(np.asarray(wald.covariance)[1, 1])
    return 2 * norm.sf(np.abs(np.asarray(wald.coef)[1]) / se)


def at(report: CalibrationReport, threshold: float = 0.05, score: str = "adj_p_value") -> pd.Series:
    table = report.fdr
    return table[(table["score"] == score) & (table["threshold"] == threshold)].iloc[0]


@pytest.fixture(scope="module")
def report() -> tuple[CalibrationReport, bulkvi.BulkVI, pd.DataFrame]:
    adata = simulate(n_per_group=5, n_genes=300, de_share=0.2, seed=1)
    model = set_up(adata)
    before = adata.copy()
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    report = model.calibrate("group", "B", "A", n_permutations=16, seed=3, progress_bar=False)
    np.testing.assert_equal(np.random.get_state(legacy=False), state)  # noqa: NPY002
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    np.testing.assert_array_equal(adata.X, before.X)
    de = trained(model).differential_expression("group", "B", "A")
    return report, model, de


def test_the_verdict_says_it_in_words(report) -> None:
    report = report[0]
    words = str(report)
    assert words == report.verdict
    assert words.startswith("group: B vs A, BulkVI, against 16 of 125 distinct relabellings.")
    assert f"adj_p_value < 0.05: {at(report)['calls']:,} genes called; empirical FDR" in words
    assert "s_value < 0.05" in words
    assert "relabellings. Rare events go unseen" in words
    assert repr(report).endswith(words)


def test_no_call_is_said_to_be_none(cohort: AnnData) -> None:
    def silent(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
        return np.full(counts.shape[1], np.nan)

    report = set_up(cohort).calibrate("group", "B", "A", n_permutations=6, method=silent, progress_bar=False)
    assert "no gene is called" in report.verdict
    assert report.fdr["empirical_fdr"].isna().all()
    assert report.genes["perm_q_value"].isna().all()
