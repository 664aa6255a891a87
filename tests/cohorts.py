"""A small cohort, and a model trained on it."""

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import ttest_ind

import bulkvi
from bulkvi.regression.calibration_report import CalibrationReport


def make_cohort(seed: int = 0, n_per_group: int = 12) -> AnnData:
    """Cohort of two groups and two known batches, with size factors."""
    adata = bulkvi.datasets.simulate(
        n_per_group=n_per_group, n_genes=250, de_share=0.2, n_batches=2, trend="gse60450", depth_factor=0.2, seed=seed
    )
    adata = adata[:, adata.X.sum(0) >= 10].copy()
    adata.obs["age"] = adata.obs["true_depth"].to_numpy().argsort().astype(float)
    adata.obs["site"] = [f"site{i % 3}" for i in range(adata.n_obs)]
    bulkvi.pp.size_factors(adata)
    return adata


def make_hidden(n_per_group: int = 12) -> AnnData:
    """Cohort with two hidden factors that move most genes, set up with its groups as the design."""
    adata = bulkvi.datasets.simulate(
        n_per_group=n_per_group, n_genes=300, n_hidden=2, hidden_share=0.8, hidden_sd=1.0, seed=1
    )
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return adata


def fit(adata: AnnData, *, max_steps: int = 60, n_latent: int = 2, **choices: Any) -> bulkvi.BulkVI:
    """Model trained on an AnnData that is set up."""
    model = bulkvi.BulkVI(adata, n_latent=n_latent, **choices)
    model.train(max_steps, progress_bar=False)
    return model


def set_up(adata: AnnData, design: str = "~ group", **more: Any) -> bulkvi.BulkVI:
    """A model that is not trained: the test reads nothing of the network."""
    if "size_factor" not in adata.obs:
        bulkvi.pp.filter_genes(adata, min_counts=10)
        bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design, **more)
    return bulkvi.BulkVI(adata, n_latent=2)


def t_test(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * 1e6)
    return ttest_ind(logs[group == 1], logs[group == 0]).pvalue


def make_lengths(seed: int = 0, n_per_group: int = 6, n_genes: int = 300) -> AnnData:
    """Cohort whose transcripts differ in length, in ``layers["length"]``, with size factors beside it.

    The first tenth of the genes uses transcripts four times as long, or short, in group B, at the same rate; the last tenth
    changes its rate.
    """
    rng = np.random.default_rng(seed)
    in_b = np.repeat([0.0, 1.0], n_per_group)
    place = np.arange(n_genes)
    sign = np.where(place % 2, 1.0, -1.0)
    switch, effect = 2 * sign * (place < n_genes // 10), 1.5 * sign * (place >= n_genes - n_genes // 10)
    length = np.exp(rng.normal(7, 0.6, n_genes) + rng.normal(0, 0.1, (2 * n_per_group, n_genes)))
    length *= 2 ** np.outer(in_b, switch)
    rate = np.exp(rng.normal(5, 1.2, n_genes)) * 2 ** np.outer(in_b - 0.5, effect)
    depth = 2 ** rng.permutation(np.linspace(-0.8, 0.8, 2 * n_per_group))[:, None]
    mean = depth * length / np.exp(np.log(length).mean(0)) * rate
    counts = rng.poisson(rng.gamma(20, 0.05, mean.shape) * mean)
    adata = AnnData(counts.astype(np.float32), layers={"length": length.astype(np.float32)})
    adata.obs["group"] = np.where(in_b, "B", "A")
    adata.var["switch"], adata.var["true_log_fc"] = switch, effect
    bulkvi.pp.size_factors(adata, offset_key="length")
    return adata


def row_of(report: CalibrationReport, threshold: float = 0.05, score: str = "adj_p_value") -> pd.Series:
    table = report.fdr
    return table[(table["score"] == score) & (table["threshold"] == threshold)].iloc[0]
