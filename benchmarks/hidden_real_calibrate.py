"""What ``model.calibrate`` says of data with a known answer, and of real effects; a section of `benchmarks.hidden_real`."""

import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import norm

import bulkvi as bv
from benchmarks.calibration_scenarios import yeast_null_splits, yeast_snf2_subsets
from benchmarks.peers import CountData
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.nb.regression import nb_regression

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
NOMINAL = 0.05


def plug_in_wald(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Wald test of a negative binomial regression, each gene's own most likely dispersion taken for the truth."""
    counts, offset = counts.astype(float), np.log(median_of_ratios(counts).size_factors)
    features = np.column_stack([np.ones(group.size), group]).astype(float)
    ridge = effect_ridge(features)
    fit = fit_genes(counts, features, offset=offset, ridge=ridge)
    dispersion = np.asarray(fit.gene_dispersion).clip(1e-8)
    wald = nb_regression(counts, features, dispersion=dispersion, offset=offset, ridge=ridge)
    se = np.sqrt(np.asarray(wald.covariance)[1, 1])
    return 2 * norm.sf(np.abs(np.asarray(wald.coef)[1]) / se)


def pydeseq2(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    """PyDESeq2's Wald test with its defaults; NaN where Cook's distance is too large."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    samples = pd.DataFrame({"group": np.where(group == 1, "B", "A")}, index=[f"s{i}" for i in range(group.size)])
    with warnings.catch_warnings():  # its own deprecations
        warnings.simplefilter("ignore")
        data = DeseqDataSet(
            counts=pd.DataFrame(counts, index=samples.index), metadata=samples, design="~group", quiet=True, n_cpus=1
        )
        data.deseq2()
        found = DeseqStats(data, contrast=["group", "B", "A"], quiet=True, n_cpus=1)
        found.summary()
    return found.results_df["pvalue"].to_numpy(dtype=float)


def prepared(adata: AnnData, design: str) -> bv.BulkVI:
    """A model ready to be calibrated; the network takes no part and is not trained."""
    bv.pp.filter_genes(adata, min_counts=10)
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    return bv.BulkVI(adata)


def of_counts(data: CountData) -> AnnData:
    """Groups A and B of a data set."""
    obs = pd.DataFrame({"group": np.where(data.group == 1, "B", "A")}, index=[f"s{i}" for i in range(len(data.group))])
    return AnnData(data.counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=data.counts.columns))


def report(
    name: str, model: bv.BulkVI, groups: tuple[str, str, str], method: Method | None = None, n_permutations: int = 100
) -> list[dict]:
    """A row for each threshold with calls, or one that says that there are none."""
    begin = time.perf_counter()
    found = model.calibrate(*groups, method=method, n_permutations=n_permutations, progress_bar=False)
    seconds = time.perf_counter() - begin
    table = found.fdr[found.fdr["score"] == "adj_p_value"]
    called = found.genes["adj_p_value"] < NOMINAL
    true = np.nan
    if "true_log_fc" in model.adata.var and called.any():
        true = float((model.adata.var["true_log_fc"][called] == 0).mean())
    kept = table[["threshold", "calls", "empirical_fdr", "empirical_fdr_low", "empirical_fdr_high", "share_as_many"]]
    about = {"data": name, "method": found.method, "relabellings": found.n_relabellings, "seconds": seconds}
    return [
        about | row._asdict() | {"true rate at 0.05": true}
        for row in kept.itertuples(index=False)
        if row.calls or row.threshold == NOMINAL
    ]


def nulls(n_sets: int) -> pd.DataFrame:
    """Simulated and yeast nulls, by the model and by the plug-in test: rates wherever there are calls."""
    rows = []
    groups = ("group", "B", "A")
    for seed in range(n_sets):
        adata = bv.datasets.simulate(n_per_group=5, n_genes=2000, de_share=0.0, seed=100 + seed)
        model = prepared(adata, "~ group")
        for method in (None, plug_in_wald):
            rows += report("null, simulated, n = 5", model, groups, method, 40)
    for data in yeast_null_splits((5, 10), max(1, n_sets // 2)):
        model = prepared(of_counts(data), "~ group")
        for method in (None, plug_in_wald):
            rows += report(f"null, yeast WT, n = {len(data.group) // 2}", model, groups, method, 40)
    return pd.DataFrame(rows)


def effects(n_sets: int) -> pd.DataFrame:
    """Heavy outliers, with plug-in tests beside the model, and real effects, at 0.05."""
    rows = []
    groups = ("group", "B", "A")
    for seed in range(n_sets):
        adata = bv.datasets.simulate(
            n_per_group=5, n_genes=3000, de_share=0.1, outlier_share=0.05, outlier_factor=10, seed=seed
        )
        model = prepared(adata, "~ group")
        rows += report("outliers, 5 % x 10", model, groups)
        rows += report("outliers, 5 % x 10", model, groups, plug_in_wald)
        if seed == 0:
            rows += report("outliers, 5 % x 10, first", model, groups)
            rows += report("outliers, 5 % x 10, first", model, groups, pydeseq2, 30)
    from benchmarks.truth_yeast import consensus

    for data in yeast_snf2_subsets(consensus(), (5, 10), 1):
        rows += report(f"yeast without Snf2, n = {len(data.group) // 2}", prepared(of_counts(data), "~ group"), groups)
    rows += report("airway, within donors", prepared(bv.datasets.airway(), "~ cell + dex"), ("dex", "trt", "untrt"))
    found = pd.DataFrame(rows)
    return found[found["threshold"] == NOMINAL]


def show(n_sets: int) -> None:
    """Print both tables."""
    null = nulls(n_sets)
    null["called"] = null["calls"] > 0
    summary = null.groupby(["data", "method"], sort=False).agg(
        sets_x_thresholds_with_calls=("called", "sum"),
        lowest_rate=("empirical_fdr", "min"),
        mean_rate=("empirical_fdr", "mean"),
    )
    at = null[null["threshold"] == NOMINAL].groupby(["data", "method"], sort=False)
    summary["median calls at 0.05"] = at["calls"].median()
    summary["sets with calls at 0.05"] = at["called"].sum()
    summary["of sets"] = at.size()
    print(f"\n## calibrate: nulls\n\n{summary.round(3).reset_index().to_string(index=False)}")
    means = effects(n_sets).drop(columns="threshold").groupby(["data", "method"], sort=False).mean().round(3)
    print(f"\n## calibrate: effects, at 0.05, means over data sets\n\n{means.reset_index().to_string(index=False)}")
