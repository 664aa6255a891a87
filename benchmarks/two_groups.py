"""Two groups, a known answer, every method: yeast, simulations, real counts with known effects, groups that mean nothing.

A row of the result is one method on one data set. DESeq2, edgeR QL, limma-voom and bulkvi are asked about every data set; the
slower ones in Python (PyDESeq2, scVI, ZINB) about the first few of some cells of at most `LARGEST_SLOW` a group, where the page
sets bulkvi beside them again.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pandas as pd

from benchmarks.calibration_scenarios import (
    all_simulated,
    read_counts,
    thinned,
    with_known_effects,
    yeast_null_splits,
    yeast_replicates,
    yeast_snf2_subsets,
)
from benchmarks.peers import CountData, PeerResult, run_peers
from benchmarks.python_methods import run_python
from benchmarks.scores import EXPRESSED, called, coverage, fdp, normal_intervals, null_share, rmse, tpr, tpr_at_fdp
from benchmarks.truth_yeast import consensus

OURS = "bulkvi"
TESTS = ("deseq2", "edger_ql", "voom")
FAST = ("deseq2", "deseq2_shrink", "edger_ql", "voom")
SLOW = ("pydeseq2", "scvi", "scvi_zinb", "scvi_size_factors", "zinb")
LARGEST_SLOW = 6
LEVEL = 0.05
YEAST_SIZES = (3, 4, 6, 8, 10)
SCENARIOS = ("clean", "t3", "low_depth", "composition_60", "outliers_5")
PANEL = {"n_genes": 80, "de_share": 0.3, "depth_factor": 0.3}
"""Few genes: little for a method to learn from the others."""


def yeast(n_sets: int) -> Iterator[CountData]:
    """Snf2 over WT: random replicates, judged by what three peers agree on over all of them."""
    return yeast_snf2_subsets(consensus(), YEAST_SIZES, n_sets)


def simulations(n_sets: int) -> Iterator[CountData]:
    """The simulator's scenarios at n = 3, 5, 10 and, where little can be shared, a panel of 80 genes at n = 2, 3, 5."""
    yield from all_simulated(SCENARIOS, ("gse60450",), (3, 5, 10), range(n_sets))
    for size in (2, 3, 5):
        for seed in range(n_sets):
            yield panel(size, seed)


def panel(n_per_group: int, seed: int) -> CountData:
    """A panel of few genes whose dispersions follow no trend: the joint model has little to learn from the others.

    Genes of the simulator, their dispersions exchanged at random between genes: counts are drawn anew around the expected ones
    from gamma rates.
    """
    from bulkvi.datasets import simulate

    adata = simulate(n_per_group=n_per_group, trend="gse60450", seed=seed, **PANEL)  # type: ignore[arg-type]
    rng = np.random.default_rng([n_per_group, seed, 7])
    in_b = (adata.obs["group"] == "B").to_numpy()
    log_fc = adata.var["true_log_fc"].to_numpy()
    mean = adata.obs["true_depth"].to_numpy()[:, None] * adata.var["true_base_mean"].to_numpy()
    mean = mean * np.exp2(in_b[:, None] * log_fc)
    dispersion = rng.permutation(adata.var["true_dispersion"].to_numpy())
    drawn = rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape))
    counts = pd.DataFrame(drawn, index=adata.obs_names, columns=adata.var_names)
    return with_known_effects(f"panel/gse60450/n{n_per_group}/seed{seed}", counts, in_b.astype(int), log_fc)


def thinning(n_sets: int) -> Iterator[CountData]:
    """Real counts, effects thinned in: 6 a group, and half the sets with more; bottomly's strains have but 10 and 11 samples."""
    wild_type = yeast_replicates("WT")
    mice, mouse = read_counts("bottomly")
    people, person = read_counts("geuvadis_sex")
    cohorts = [("yeast", wild_type, (6, 10))]
    cohorts += [(f"bottomly_{strain[:3]}", mice[mouse["strain"] == strain], (5,)) for strain in ("C57BL/6J", "DBA/2J")]
    cohorts += [(f"geuvadis_{sex}", people[person["sex"] == sex], (6, 20)) for sex in ("male", "female")]
    for name, counts, sizes in cohorts:
        for size in sizes:
            for seed in range(n_sets if size <= 6 else -(-n_sets // 2)):
                yield thinned(name, counts, size, seed)


def null_yeast(n_sets: int) -> Iterator[CountData]:
    """Random halves of wild-type yeast: every call is false."""
    return yeast_null_splits((3, 6, 10), n_sets)


def null_cohorts(n_sets: int) -> Iterator[CountData]:
    """The same of mice of one strain and of women."""
    mice, mouse = read_counts("bottomly")
    people, person = read_counts("geuvadis_sex")
    cohorts = [(f"bottomly_{strain[:3]}", mice[mouse["strain"] == strain], 5) for strain in ("C57BL/6J", "DBA/2J")]
    cohorts += [("geuvadis_female", people[person["sex"] == "female"], size) for size in (6, 20)]
    for name, counts, size in cohorts:
        for seed in range(n_sets):
            chosen = np.random.default_rng([size, seed, 3]).permutation(len(counts))[: 2 * size]
            nothing = np.zeros(counts.shape[1])
            groups = np.repeat([0, 1], size)
            yield with_known_effects(f"null/{name}/n{size}/seed{seed}", counts.iloc[chosen], groups, nothing)


def rows(datasets: Iterable[CountData], n_slow: int, *, ours_only: bool = False) -> pd.DataFrame:
    """Scores of every method (or of bulkvi alone) on every data set, of the slow ones on the first ``n_slow`` of a cell."""
    found: list[dict] = []
    stream = iter(datasets)
    while batch := list(islice(stream, 8)):
        answers = run_python(batch, [OURS])
        if not ours_only:
            few = [data for data in batch if _where(data)["seed"] < n_slow and _where(data)["n"] <= LARGEST_SLOW]
            answers |= run_peers(batch, FAST) | run_python(few, SLOW)
        for data in batch:
            # in this order whatever came from the cache
            for method in (OURS, *FAST, *SLOW):
                if (data.name, method) in answers:
                    found.append(_where(data) | {"method": method} | judge(data, answers[data.name, method]))
    return pd.DataFrame(found)


def _where(data: CountData) -> dict:
    scenario, source, n, seed = data.name.split("/")
    return {"scenario": scenario, "source": source, "n": int(n[1:]), "seed": int(seed[4:])}


def judge(data: CountData, answer: PeerResult) -> dict[str, float]:
    """Every number about one answer; scVI, which has no p-values, is judged by its sign probabilities (lfsr)."""
    table, truth = answer.table, data.truth
    if truth is None:
        raise ValueError(f"{data.name} has no `truth` to be judged against.")
    status, log_fc = truth["status"].to_numpy(), truth["log_fc"].to_numpy(dtype=float)
    found = {"n_genes": float(status.size), "n_changed": float((status == 1).sum()), "CPU s": answer.cpu_seconds}
    values = {name: table[name].to_numpy(dtype=float) for name in table.columns}
    tested = np.isfinite(values["p_value"]).any()
    by, ranking = ("adj_p_value", "p_value") if tested else ("s_value", "lfsr")
    if by in values and np.isfinite(values[by]).any():
        calls = called(values[by], LEVEL)
        found |= {"calls": float(calls.sum()), "FDR": fdp(calls, status), "TPR": tpr(calls, status)}
        found["TPR at 5 % FDP"] = tpr_at_fdp(values[ranking], status, LEVEL)
    if tested:
        found["null p < .05"] = null_share(values["p_value"], status, LEVEL)
    if tested and "s_value" in values and np.isfinite(values["s_value"]).any():
        sure = called(values["s_value"], LEVEL)
        found |= {"s calls": float(sure.sum()), "s FDR": fdp(sure, status), "s TPR": tpr(sure, status)}
    expressed = truth["base_mean"].to_numpy() >= EXPRESSED
    found["RMSE"] = rmse(values["log_fc"][expressed], log_fc[expressed])
    found["RMSE, all genes"] = rmse(np.nan_to_num(values["log_fc"]), log_fc)
    if "log_fc_low" in values:
        low, high = values["log_fc_low"], values["log_fc_high"]
    else:
        low, high = normal_intervals(values["log_fc"], values["log_fc_se"], table["df"])[0.95]
    found["coverage"] = coverage(low, high, log_fc)
    found["latent columns"] = float(table.attrs.get("n_latent_columns", np.nan))
    return found
