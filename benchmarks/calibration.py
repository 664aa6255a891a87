"""Is the posterior of an effect calibrated, and is it as good as DESeq2, edgeR and limma? Prints the tables of the docs.

BULKVI_DATA_DIR=<folder> python -m benchmarks.calibration [section ...] [--seeds N]

Sections: simulations, null (yeast WT against WT), snf2 (yeast WT against Snf2), thinned (real counts with known effects),
references (GSE60450 against golden tables), properties (order and labels change nothing) and cost. Each ends with the
promises it bears on, PASS or FAIL. Answers of R are kept by `benchmarks.peers`, scores of ours in ``.cache/ours`` for as
long as no file of ``bulkvi.stats`` changes. Entries are medians over the data sets of a cell, in brackets means, and where
they are shares the binomial error of the mean.
"""

import argparse
from collections.abc import Callable
from itertools import product

import pandas as pd

from benchmarks import calibration_references as references
from benchmarks import calibration_scenarios as scenarios
from benchmarks.calibration_answer import judge
from benchmarks.calibration_tables import (
    TESTS,
    Promise,
    columns,
    digest,
    lead,
    medians,
    print_promises,
    print_table,
    promise,
    show,
)
from benchmarks.truth_yeast import consensus

NB_SCENARIOS = ("clean", "t3", "low_depth", "depth_spread_4")
ALL = ("ours", *TESTS)
LARGEST_NULL = 11
"""22 clean WT replicates: 30 against 30 cannot be had, 11 against 11 is the most."""


def simulations(options: argparse.Namespace) -> None:
    """Data sets of the simulator, all scenarios, trends and sizes."""
    grid = scenarios.all_simulated(options.scenarios, sizes=options.sizes, seeds=range(options.seeds))
    rows = judge(grid, **options.how)
    _digests(rows)
    _against_each_peer(rows[rows["scenario"].isin(NB_SCENARIOS)])
    _call_tables(rows)
    _estimate_tables(rows)
    print_promises(_simulation_promises(rows))


def _digests(rows: pd.DataFrame) -> None:
    ours_s = columns("s_fdr_5", "s_value", "ours")
    digest("Medians of both trends, FDR at 5 %", rows, [*columns("p_fdr_5", "", *ALL), *ours_s])
    digest("TPR at 5 %", rows, [*columns("p_tpr_5", "", *ALL), *columns("s_tpr_5", "s_value", "ours")])
    digest("TPR at 5 % FDP", rows, columns("p_tpr_at_fdp_5", "", *ALL))
    by_deseq2 = columns("rmse_expressed", "", "ours", "deseq2_shrink", "deseq2")
    digest("RMSE of log2 fold changes", rows, by_deseq2)
    inside = [*columns("interval_95", "all", "ours"), *columns("interval_95_called", "called", "ours")]
    digest("95 % intervals", rows, [*inside, *columns("mle_z_interval_95_changed", "changed, MLE", "ours")])
    digest("Null p-values below 5 %", rows, columns("null_p_below_5", "", *ALL))
    digest("Sign errors among lfsr < 5 %", rows, columns("sign_error_5", "", "ours"))


def _against_each_peer(rows: pd.DataFrame) -> None:
    """The best of three noisy peers is a winner by chance as well: against each of them, data set by data set."""
    own = {"ours, by p_value": "p_tpr_at_fdp_5", "ours, by lfsr": "s_tpr_at_fdp_5"}
    index = ["scenario", "source", "n", "seed"]
    wide = rows.pivot_table("p_tpr_at_fdp_5", index, "method")
    lines = []
    for (name, key), peer in product(own.items(), TESTS):
        if peer in wide:
            ahead = rows[rows["method"] == "ours"].set_index(index)[key].reindex(wide.index) - wide[peer]
            by_size = ahead.groupby("n").agg(["mean", "sem"]).dropna()
            entries = {n: f"{mean:+.4f} ± {error:.4f}" for n, mean, error in by_size.itertuples()}
            lines.append([name, peer, *(entries.get(n, "-") for n in sorted(rows["n"].unique()))])
    sizes = [f"n = {n}" for n in sorted(rows["n"].unique())]
    print_table(
        "NB scenarios: TPR at 5 % FDP, ours - peer, mean ± standard error over data sets", ["", "peer", *sizes], lines
    )


def _call_tables(rows: pd.DataFrame) -> None:
    for level in (5, 1, 10):
        wanted = columns(f"p_fdr_{level}", "FDR", *ALL, trials=f"p_calls_{level}")
        show(f"FDR at adj_p_value < {level} %; last column by s_value", rows, [
            *wanted, *columns(f"s_fdr_{level}", "s FDR", "ours", trials=f"s_calls_{level}")
        ])  # fmt: skip
    show("TPR at adj_p_value < 5 %; last column by s_value", rows, [
        *columns("p_tpr_5", "TPR", *ALL, trials="n_changed"), *columns("s_tpr_5", "s TPR", "ours", trials="n_changed")
    ])  # fmt: skip
    show("TPR at 5 % false discovery proportion, ranked by p_value; last column by lfsr", rows, [
        *columns("p_tpr_at_fdp_5", "TPR", *ALL), *columns("s_tpr_at_fdp_5", "lfsr", "ours")
    ])  # fmt: skip
    for below in (1, 5):
        show(f"Null p-values below {below} %", rows, columns(f"null_p_below_{below}", "", *ALL, trials="null_p_n"))
    show("Sign errors among lfsr < 5 %", rows, columns("sign_error_5", "", "ours", trials="sign_error_n"))


def _estimate_tables(rows: pd.DataFrame) -> None:
    show("RMSE of log2 fold changes, expressed genes", rows, [
        *columns("rmse_expressed", "log_fc", "ours"), *columns("mle_rmse_expressed", "log_fc_mle", "ours"),
        *columns("rmse_expressed", "", "deseq2", "deseq2_shrink", "edger_ql", "voom"),
    ])  # fmt: skip
    show("Slope on the true log2 fold change, expressed and changed genes", rows, [
        *columns("slope_changed", "log_fc", "ours"), *columns("mle_slope_changed", "log_fc_mle", "ours"),
        *columns("slope_changed", "", "deseq2", "deseq2_shrink", "edger_ql", "voom"),
    ])  # fmt: skip
    for subset, trials in (("", "n_genes"), ("_called", "p_calls_5"), ("_changed", "n_changed")):
        wanted = []
        for level in (50, 80, 95):
            wanted += columns(f"interval_{level}{subset}", f"{level} %", "ours", trials=trials)
            wanted += columns(f"mle_interval_{level}{subset}", f"{level} % MLE", "ours", trials=trials)
        wanted += columns(f"mle_z_interval_95{subset}", "95 % MLE ± 1.96 se", "ours", trials=trials)
        wanted += columns(f"interval_95{subset}", "95 %", "deseq2", "deseq2_shrink", "voom", trials=trials)
        show(f"Coverage of intervals, {subset.strip('_') or 'all'} genes", rows, wanted)
    deciles = [columns(f"interval_95_decile_{k}", f"{k}", "ours")[0]._replace(header=str(k)) for k in range(1, 11)]
    show("Coverage of 95 % intervals of log_fc by decile of expression", rows, deciles)
    show("Composition: estimated shift, and where unchanged expressed genes lie (log2)", rows, [
        *columns("shift", "shift", "ours"), *columns("zero_error", "zero", "ours", "deseq2", "edger_ql", "voom"),
        *columns("outlier_share", "outlying counts", "ours"),
    ])  # fmt: skip


def _simulation_promises(rows: pd.DataFrame) -> list[Promise]:
    kept: list[Promise] = []
    n, scenario = rows["n"], rows["scenario"]
    nb = rows[scenario.isin(NB_SCENARIOS)]
    for by in ("p", "s"):
        for what, size, limit in (("n >= 5", nb["n"] >= 5, 0.06), ("n = 3", nb["n"] == 3, 0.08)):
            label = f"FDR at {'adj_p_value' if by == 'p' else 's_value'} < 5 %, NB scenarios, {what}"
            kept.append(promise(label, _ours(nb[size], f"{by}_fdr_5"), high=limit))
    for key, by in (("p_tpr_at_fdp_5", "p_value"), ("s_tpr_at_fdp_5", "lfsr")):
        ahead = lead(nb.assign(ranked=nb[key].where(nb["method"] == "ours", nb["p_tpr_at_fdp_5"])), "ranked")
        kept.append(promise(f"TPR at 5 % FDP by {by}, ours - best peer, NB scenarios", ahead, low=0))
    one_sided = rows[scenario == "composition_60"]
    for by in ("p", "s"):
        kept.append(
            promise(
                f"composition: FDR by {by}", _ours(one_sided[one_sided["n"].isin([5, 10])], f"{by}_fdr_5"), high=0.06
            )
        )
    for size, limit in ((5, 0.55), (10, 0.65)):
        kept.append(
            promise(f"composition: TPR, n = {size}", _ours(one_sided[one_sided["n"] == size], "p_tpr_5"), low=limit)
        )
    wild = rows[(scenario == "outliers_5") & (n == 5)]
    kept.append(promise("outliers 5 % x 10, n = 5: FDR", _ours(wild, "p_fdr_5"), high=0.07))
    kept.append(promise("outliers 5 % x 10, n = 5: TPR", _ours(wild, "p_tpr_5"), low=0.40))
    estimates = medians(nb[nb["n"].between(3, 10)], "rmse_expressed")
    kept.append(promise("RMSE of log_fc / DESeq2's MLE, n = 3-10", estimates["ours"] / estimates["deseq2"], high=0.5))
    kept.append(
        promise(
            "RMSE of log_fc / DESeq2's shrunken, n = 3-10", estimates["ours"] / estimates["deseq2_shrink"], high=1.0
        )
    )
    kept.append(promise("95 % intervals, all genes", _ours(nb, "interval_95"), 0.94, 0.98))
    kept.append(promise("95 % intervals, called genes", _ours(nb, "interval_95_called"), low=0.94))
    for name, what in (("mle_interval", "quantiles"), ("mle_z_interval", "± 1.96 se")):
        kept.append(
            promise(f"95 % intervals of the MLE ({what}), changed genes", _ours(nb, f"{name}_95_changed"), 0.93, 0.97)
        )
    kept.append(promise("sign errors among lfsr < 5 %", _ours(nb, "sign_error_5"), high=0.03))
    dense = rows[scenario == "balanced_60"]
    gain = (
        medians(dense, "s_tpr_5")["ours"] - medians(dense, "p_tpr_5")["ours"] if len(dense) else pd.Series(dtype=float)
    )
    kept.append(promise("dense effects: TPR by s_value - by adj_p_value", gain, low=0))
    kept.append(promise("dense effects: FDR by s_value", _ours(dense[dense["n"] >= 3], "s_fdr_5"), high=0.06))
    largest = (
        rows[rows["method"] == "ours"]
        .groupby(["scenario", "source", "n"], sort=False)[["opposite_sign", "beyond_mle"]]
        .max()
    )
    kept.append(
        promise(
            "genes whose posterior mean has the other sign than the MLE (and is beyond 0.001 se)",
            largest["opposite_sign"],
            high=0,
        )
    )
    kept.append(promise("|log_fc| - |log_fc_mle|, largest (log2)", largest["beyond_mle"], high=1e-6))
    return kept


def _ours(rows: pd.DataFrame, key: str) -> pd.Series:
    return medians(rows, key)["ours"]


def null(options: argparse.Namespace) -> None:
    """Yeast WT against WT: every call is false."""
    splits = scenarios.yeast_null_splits((3, 6, 10, LARGEST_NULL))
    rows = judge(splits, TESTS, **options.how)
    rows["any_p"], rows["any_s"] = rows["p_calls_5"] > 0, rows["s_calls_5"] > 0
    print(f"\n22 clean WT replicates allow {LARGEST_NULL} against {LARGEST_NULL} at most; 30 against 30 cannot be had.")
    show("Yeast WT against WT: calls at 5 %; last column by s_value", rows, [
        *columns("p_calls_5", "", *ALL), *columns("s_calls_5", "s", "ours")
    ])  # fmt: skip
    show("Share of splits with any call; last column by s_value", rows, [
        *columns("any_p", "", *ALL), *columns("any_s", "s", "ours")
    ])  # fmt: skip
    show("Null p-values below 5 %", rows, columns("null_p_below_5", "", *ALL))
    shares = rows[rows["method"] == "ours"].groupby(["scenario", "source", "n"], sort=False)[["any_p", "any_s"]].mean()
    kept = [promise(f"WT against WT: median calls by {by}", _ours(rows, f"{by}_calls_5"), high=0) for by in ("p", "s")]
    kept += [
        promise(f"WT against WT: share of splits with a call by {by}", shares[f"any_{by}"], high=0.1)
        for by in ("p", "s")
    ]
    print_promises(kept)


def snf2(options: argparse.Namespace) -> None:
    """Yeast WT against Snf2: 70 % of the genes are changed."""
    rows = judge(scenarios.yeast_snf2_subsets(consensus()), **options.how)
    _call_tables(rows)
    _estimate_tables(rows)
    ranked = rows.assign(ranked=rows["p_tpr_at_fdp_5"])
    by_lfsr = rows.assign(ranked=rows["s_tpr_at_fdp_5"].where(rows["method"] == "ours", rows["p_tpr_at_fdp_5"]))
    gain = medians(rows, "s_tpr_5")["ours"] - medians(rows, "p_tpr_5")["ours"]
    print_promises([
        promise("WT against Snf2: 95 % intervals hold the consensus", _ours(rows, "interval_95"), low=0.93),
        promise("WT against Snf2: TPR at 5 % FDP by p_value, ours - best peer", lead(ranked, "ranked"), low=-0.02),
        promise("WT against Snf2: TPR at 5 % FDP by lfsr, ours - best peer", lead(by_lfsr, "ranked"), low=-0.02),
        promise("WT against Snf2: TPR by s_value - by adj_p_value", gain, low=0),
    ])  # fmt: skip


def thinned(options: argparse.Namespace) -> None:
    """Real counts with known effects thinned in."""
    rows = judge(scenarios.all_thinned(range(options.seeds)), **options.how)
    _call_tables(rows)
    _estimate_tables(rows)
    yeast = rows[rows["source"] == "yeast"]
    by_s, by_p = _ours(rows, "s_fdr_5"), _ours(rows, "p_fdr_5")
    print_promises(
        [
            promise("thinned yeast, n = 10: FDR by s_value", _ours(yeast, "s_fdr_5"), high=0.06),
            promise("thinned, where FDR by adj_p_value is <= 0.06: FDR by s_value", by_s[by_p <= 0.06], high=0.06),
        ]
    )


SECTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "simulations": simulations,
    "null": null,
    "snf2": snf2,
    "thinned": thinned,
    "references": references.references,
    "properties": references.properties,
    "cost": references.cost,
}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="section", help="all if none is named")
    parser.add_argument("--seeds", type=int, default=3, help="data sets of each simulated and thinned cell")
    parser.add_argument("--scenarios", nargs="+", default=list(scenarios.SCENARIOS), choices=list(scenarios.SCENARIOS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(scenarios.SIZES), help="samples per group")
    parser.add_argument("--without-outliers", action="store_true", help="look for no outlying counts, for comparison")
    parser.add_argument("--only-cached-peers", action="store_true", help="ask R nothing")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections {sorted(unknown)}; there are {', '.join(SECTIONS)}")
    options.how = {"outliers": not options.without_outliers, "only_cached": options.only_cached_peers}
    for name in options.sections or SECTIONS:
        print(f"\n## {name}", flush=True)
        SECTIONS[name](options)


if __name__ == "__main__":
    main()
