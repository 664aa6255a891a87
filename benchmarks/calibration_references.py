"""Agreement with golden tables of DESeq2, edgeR and limma, what must change nothing, and what it all costs."""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.calibration_answer import answer
from benchmarks.calibration_scenarios import MIN_COUNTS, read_counts, simulated
from benchmarks.calibration_tables import print_promises, print_table, promise
from benchmarks.peers import CountData, run_peers

GOLDEN = {"deseq2": ("stat", "pvalue"), "edger_ql": ("F", "PValue"), "voom": ("t", "P.Value")}
"""Columns of the statistic and of its p-value."""


def mammary() -> CountData:
    """GSE60450, luminal lactation against luminal virgin, each of the other four groups with a column of its own."""
    counts, samples = read_counts("gse60450_mammary")
    counts = counts.loc[:, counts.to_numpy().sum(axis=0) >= MIN_COUNTS]
    others = pd.get_dummies(samples["group"], dtype=float).drop(columns=["luminal_virgin", "luminal_lactation"])
    return CountData("gse60450", counts, (samples["group"] == "luminal_lactation").to_numpy().astype(int), others)


def references(options: argparse.Namespace) -> None:
    """Six groups of two samples: the estimates and statistics of the peers, kept as golden tables."""
    folder = os.environ.get("BULKVI_REFERENCE_DIR", Path(os.environ["BULKVI_DATA_DIR"]).parent / "reference")
    data = mammary()
    ours = answer(data, (0.95,), outliers=options.how["outliers"]).table
    ours.index = ours.index.astype(str)
    lines, kept = [], []
    for name, (stat, p_value) in GOLDEN.items():
        golden = pd.read_csv(Path(folder) / "gse60450" / f"{name}_luminal_lactate_vs_virgin.csv.gz", index_col=0)
        golden.index = golden.index.astype(str)
        shared = ours.index.intersection(golden.index[golden[p_value].notna()])
        theirs = golden.loc[shared]
        signed = np.sign(theirs["logFC"]) * np.sqrt(theirs["F"]) if name == "edger_ql" else theirs[stat]
        spearman = float(ours.loc[shared, "stat"].corr(signed, method="spearman"))
        lines.append([name, str(len(shared)), f"{spearman:.4f}"])
        kept.append(promise(f"Spearman of stat with {name}", pd.Series({name: spearman}), low=0.97))
        if name == "deseq2":
            deseq2 = golden.reindex(ours.index)
    print_table(
        "GSE60450, luminal lactation over virgin: rank correlation of stat", ["peer", "genes", "Spearman"], lines
    )
    in_each = np.all([data.counts[(data.group == 1)].any(), data.counts[_luminal_virgin(data)].any()], axis=0)
    judged = in_each & (deseq2["baseMean"] > 10).to_numpy() & deseq2["log2FoldChange"].notna().to_numpy()
    away = (ours["log_fc_mle"] - deseq2["log2FoldChange"]).abs()[judged]
    print_table(
        f"|log_fc_mle - DESeq2's MLE|, log2, {judged.sum()} genes",
        ["median", "95 %", "99 %", "largest"],
        [[f"{q:.4f}" for q in away.quantile([0.5, 0.95, 0.99, 1.0])]],
    )
    kept.append(promise("|log_fc_mle - DESeq2's|, median", pd.Series({"genes": away.median()}), high=0.02))
    kept.append(
        promise("|log_fc_mle - DESeq2's|, 95th percentile", pd.Series({"genes": away.quantile(0.95)}), high=0.1)
    )
    unanswered = deseq2[["log2FoldChange", "pvalue", "padj"]].isna().any(axis=1)
    infinite = float((~np.isfinite(ours[unanswered]).all(axis=1)).sum())
    kept.append(
        promise(
            f"genes without a finite answer of {unanswered.sum()} with NA in DESeq2",
            pd.Series({"genes": infinite}),
            high=0,
        )
    )
    print_promises(kept)


def _luminal_virgin(data: CountData) -> np.ndarray:
    others = pd.DataFrame(index=data.counts.index) if data.covariates is None else data.covariates
    return (data.group == 0) & (others.to_numpy() == 0).all(axis=1)


def properties(options: argparse.Namespace) -> None:
    """Order of samples, order of genes and which group comes first change nothing but the sign."""
    kept = []
    for scenario in ("clean", "outliers_2", "composition_60"):
        data = simulated(scenario, "gse60450", 4, seed=0, n_genes=2000)
        table = answer(data, (0.95,), outliers=options.how["outliers"]).table
        rng = np.random.default_rng(0)
        samples, genes = rng.permutation(len(data.counts)), rng.permutation(data.counts.shape[1])
        others = {
            "sample order": CountData("s", data.counts.iloc[samples], data.group[samples]),
            "gene order": CountData("g", data.counts.iloc[:, genes], data.group),
            "labels": CountData("l", data.counts, 1 - data.group),
        }
        for name, other in others.items():
            again = answer(other, (0.95,), outliers=options.how["outliers"]).table.loc[table.index]
            sign = -1 if name == "labels" else 1
            change = pd.Series({
                c: float((again[c] * (sign if c in {"log_fc", "log_fc_mle", "stat"} else 1) - table[c]).abs().max())
                for c in ("log_fc", "log_fc_mle", "log_fc_se", "stat", "p_value", "lfsr", "s_value")
            })  # fmt: skip
            kept.append(promise(f"{name}, {scenario}: largest change", change, high=1e-3))
    print_promises(kept)


# ------------------------------------------------------------------ cost


def cpu_seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Least CPU time (user + system of this process) of a few runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def cost(options: argparse.Namespace) -> None:
    """CPU seconds from counts to the table, ours and the peers', one thread each, in one go."""
    outliers = options.how["outliers"]
    compiled, loaded = _first_call_seconds()
    print(
        f"\nFirst call of an installation, numba compiling: {compiled - loaded:.0f} CPU s more than of a later process."
    )
    large = simulated("clean", "gse60450", 50, seed=0, n_genes=25_000)
    large = CountData("large", large.counts.iloc[:, :20_000], large.group)
    lines, kept = [], []
    for data, peer, limit in ((mammary(), "voom", 1.0), (large, "edger_ql", 1.0)):
        n_columns = 2 if data.covariates is None else 2 + data.covariates.shape[1]
        ours = cpu_seconds(partial(answer, data, (0.95,), outliers=outliers))
        plain = cpu_seconds(partial(answer, data, (0.95,), outliers=False))
        with tempfile.TemporaryDirectory() as empty:
            peers = run_peers([data], ("deseq2", "edger_ql", "voom"), cache_dir=Path(empty))
        seconds = {method: result.cpu_seconds for (_, method), result in peers.items()}
        seconds["pydeseq2"] = cpu_seconds(partial(pydeseq2, data), repeats=1)
        size = f"{data.counts.shape[0]} x {data.counts.shape[1]}, {n_columns} columns"
        lines.append([size, f"{ours:.2f}", f"{plain:.2f}", *(f"{seconds.get(m, np.nan):.2f}" for m in COST_PEERS)])
        kept.append(promise(f"CPU time / {peer}'s, {size}", pd.Series({"ratio": ours / seconds[peer]}), high=limit))
        kept.append(
            promise(f"CPU time / PyDESeq2's, {size}", pd.Series({"ratio": ours / seconds["pydeseq2"]}), high=1 / 30)
        )
    print_table(
        "CPU seconds, counts to table", ["samples x genes", "ours", "ours, outliers not looked for", *COST_PEERS], lines
    )
    _memory(large, outliers=outliers)
    print_promises(kept)


FIRST_CALL = """
from benchmarks.calibration_answer import answer
from benchmarks.calibration_scenarios import simulated
answer(simulated("clean", "yeast", 3, seed=0, n_genes=500), (0.95,))
"""


def _first_call_seconds() -> tuple[float, float]:
    """CPU seconds of a process that must compile, and of the next, which loads what was compiled."""
    seconds = []
    with tempfile.TemporaryDirectory() as empty:
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", FIRST_CALL], check=True, env=os.environ | {"NUMBA_CACHE_DIR": empty})
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return seconds[0], seconds[1]


COST_PEERS = ("voom", "edger_ql", "deseq2", "pydeseq2")


def pydeseq2(data: CountData) -> pd.DataFrame:
    """PyDESeq2's table, one process."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    design = pd.DataFrame({"intercept": 1.0}, index=data.counts.index)
    if data.covariates is not None:
        design = design.join(data.covariates)
    design["group"] = data.group.astype(float)
    inference = DefaultInference(n_cpus=1)
    fit = DeseqDataSet(counts=data.counts, metadata=design, design=design, inference=inference, quiet=True)
    fit.deseq2()
    results = DeseqStats(fit, contrast=np.eye(design.shape[1])[-1], inference=inference, quiet=True)
    results.summary()
    return results.results_df


def _memory(data: CountData, *, outliers: bool) -> None:
    lines = []
    for n, n_genes in ((25, 5_000), (100, 5_000), (25, 20_000), (100, 20_000)):
        some = np.sort(np.concatenate([np.flatnonzero(data.group == g)[: n - n // 2 if g else n // 2] for g in (0, 1)]))
        part = CountData("part", data.counts.iloc[some, :n_genes], data.group[some])
        tracemalloc.start()
        answer(part, (0.95,), outliers=outliers)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        lines.append([f"{n} x {n_genes}", f"{peak / 2**20:.0f}", f"{peak / (n * n_genes):.0f}"])
    print_table("Peak memory of arrays", ["samples x genes", "MiB", "bytes an entry"], lines)
