"""Does a hidden batch pass for the effect, and do latent columns ever make things worse?

BULKVI_DATA_DIR=<folder> python -m benchmarks.hidden [simulations] [yeast] [thinned] [small] [--seeds N] [--sva]

Every data set goes through the public door: size factors, training with ``~ group``, ``differential_expression``. Beside the
default stand the same model without latent columns, the oracle that is told the hidden factors as covariates (simulations),
and, with ``--sva``, DESeq2, edgeR QL and limma-voom with surrogate variables from svaseq.
"""

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi as bv
from benchmarks.calibration_scenarios import (
    MIN_COUNTS,
    read_counts,
    thinned,
    with_known_effects,
    yeast_null_splits,
    yeast_replicates,
    yeast_snf2_subsets,
)
from benchmarks.peers import CountData, run_peers
from benchmarks.scores import called, coverage, fdp, null_share, tpr, tpr_at_fdp
from benchmarks.truth_yeast import consensus

SVA = ("deseq2+sva", "edger_ql+sva", "voom+sva")
SCENARIOS: dict[str, dict] = {
    "nothing hidden": {"n_hidden": 0},
    "r = 0": {"hidden_correlation": 0.0},
    "r = 0.3": {"hidden_correlation": 0.3},
    "r = 0.6": {"hidden_correlation": 0.6},
    "three, r = 0.3": {"n_hidden": 3, "hidden_correlation": 0.3},
    "continuous, 60 %, r = 0.3": {"hidden_kind": "continuous", "hidden_share": 0.6, "hidden_correlation": 0.3},
}
SIZES = (5, 10, 30, 50)
N_GENES = 4_000


def simulations(seeds: range) -> Iterator[tuple[CountData, np.ndarray]]:
    """Data sets with hidden factors, and the factors."""
    for name, options in SCENARIOS.items():
        for size in SIZES:
            for seed in seeds:
                adata = bv.datasets.simulate(
                    n_per_group=size, n_genes=N_GENES, seed=seed, **({"n_hidden": 1} | options)
                )
                counts = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
                group = (adata.obs["group"] == "B").to_numpy().astype(int)
                data = with_known_effects(f"{name}/{size}/{seed}", counts, group, adata.var["true_log_fc"].to_numpy())
                yield data, adata.obs.filter(like="true_hidden").to_numpy()


def thinned_counts(seeds: range) -> Iterator[CountData]:
    """Real noise with known effects: yeast (10), bottomly within each strain (5), geuvadis within a sex (20)."""
    yeast = yeast_replicates("WT")
    counts, samples = read_counts("bottomly")
    cohort, people = read_counts("geuvadis_sex")
    for seed in seeds:
        yield thinned("yeast", yeast, 10, seed)
        for strain in ("C57BL/6J", "DBA/2J"):
            yield thinned(f"bottomly_{strain[:3]}", counts[samples["strain"] == strain], 5, seed)
        yield thinned("geuvadis", cohort[people["sex"] == "female"], 20, seed)


def three_against_four(seeds: range) -> Iterator[CountData]:
    """The smallest groups that let a latent column in: thinned real counts, and simulations, four a group less one sample."""
    yeast = yeast_replicates("WT")
    counts, samples = read_counts("bottomly")
    cohort, people = read_counts("geuvadis_sex")
    cohorts = {"yeast": yeast, "geuvadis": cohort[people["sex"] == "female"]}
    cohorts |= {f"bottomly_{strain[:3]}": counts[samples["strain"] == strain] for strain in ("C57BL/6J", "DBA/2J")}
    for seed in seeds:
        for name, own in cohorts.items():
            yield _less_one(thinned(name, own, 4, seed))
        for name in ("r = 0", "r = 0.6", "three, r = 0.3", "continuous, 60 %, r = 0.3"):
            adata = bv.datasets.simulate(
                n_per_group=4, n_genes=N_GENES, seed=seed, **({"n_hidden": 1} | SCENARIOS[name])
            )
            table = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
            group = (adata.obs["group"] == "B").to_numpy().astype(int)
            yield _less_one(with_known_effects(f"{name}/4/{seed}", table, group, adata.var["true_log_fc"].to_numpy()))


def _less_one(data: CountData) -> CountData:
    """Without its first sample, and the genes that then have few counts."""
    counts = data.counts.iloc[1:]
    kept = (counts.to_numpy().sum(axis=0) >= MIN_COUNTS).nonzero()[0]
    return replace(data, counts=counts.iloc[:, kept], group=np.asarray(data.group)[1:], truth=data.truth.iloc[kept])


def ours(data: CountData, hidden: np.ndarray | None = None) -> dict[str, pd.DataFrame]:
    """Tables of one data set: the default, without latent columns, and told the truth."""
    obs = pd.DataFrame({"group": np.where(data.group == 1, "B", "A")}, index=[f"s{i}" for i in range(len(data.group))])
    adata = AnnData(data.counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=data.counts.columns))
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = bv.BulkVI(adata)
    model.train(progress_bar=False)
    compare = {"groupby": "group", "group1": "B", "group2": "A"}
    tables = {
        "bulkvi": model.differential_expression(**compare),
        "bulkvi, no latent columns": model.differential_expression(**compare, latent_columns=0),
    }
    if hidden is not None and hidden.shape[1]:
        names = [f"h{k}" for k in range(hidden.shape[1])]
        adata.obs[names] = hidden
        bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + " + " + ".join(names))
        told = bv.BulkVI(adata, n_latent=1)
        told.train(max_steps=10, progress_bar=False)  # of the network only the decoded column is read from
        tables["oracle"] = told.differential_expression(**compare, latent_columns=0)
    return tables


def judge(data: CountData, tables: dict[str, pd.DataFrame]) -> Iterator[dict]:
    """Scores of each table."""
    scenario, *rest = data.name.split("/")
    size = next(part.removeprefix("n") for part in reversed(rest[:-1]) if part.removeprefix("n").isdigit())
    where = f"{scenario} {rest[0]}" if scenario == "thinned" else scenario
    truth = data.truth
    status, log_fc = truth["status"].to_numpy(), truth["log_fc"].to_numpy(dtype=float)
    for method, table in tables.items():
        p_value, adjusted = table["p_value"].to_numpy(dtype=float), table["adj_p_value"].to_numpy(dtype=float)
        calls = called(adjusted, 0.05)
        row = {"scenario": where, "n": int(size), "method": method, "calls": float(calls.sum())}
        row |= {
            "FDR": fdp(calls, status),
            "TPR": tpr(calls, status),
            "TPR at 5 % FDP": tpr_at_fdp(p_value, status, 0.05),
        }
        row |= {"null p < 0.05": null_share(p_value, status, 0.05)}
        if "s_value" in table:
            sure = called(table["s_value"].to_numpy(), 0.05)
            row |= {"s calls": float(sure.sum()), "s FDR": fdp(sure, status)}
            row |= {"latent columns": float(table.attrs["n_latent_columns"])}
            row |= {"coverage": coverage(table["log_fc_low"].to_numpy(), table["log_fc_high"].to_numpy(), log_fc)}
        yield row


def main() -> None:
    """Run and print one table a section, means over the data sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", default=["simulations", "yeast", "thinned"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--sva", action="store_true", help="also run the peers with svaseq (R)")
    arguments = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    seeds = range(arguments.seeds)
    for section in arguments.sections:
        sets: Iterator[tuple[CountData, np.ndarray | None]]
        if section == "simulations":
            sets = ((data, hidden) for data, hidden in simulations(seeds) if len(data.group) // 2 in arguments.sizes)
        elif section == "yeast":
            subsets = [*yeast_snf2_subsets(consensus(), (3, 6, 10), arguments.seeds)]
            sets = ((data, None) for data in [*subsets, *yeast_null_splits((3, 6, 10), 3 * arguments.seeds)])
        else:
            chosen = three_against_four if section == "small" else thinned_counts
            sets = ((data, None) for data in chosen(seeds))
        rows = []
        for data, hidden in sets:
            tables = ours(data, hidden)
            if arguments.sva:
                answers = run_peers([data], SVA)
                tables |= {method: answers[data.name, method].table for method in SVA if (data.name, method) in answers}
            rows += judge(data, tables)
        table = pd.DataFrame(rows)
        means = table.groupby(["scenario", "n", "method"], sort=False).mean().round(3)
        print(f"\n## {section}: means over data sets\n\n{means.reset_index().to_string(index=False)}", flush=True)
        by_set = table.assign(set=(table["method"] == "bulkvi").cumsum()).pivot(index="set", columns="method")
        default, without = (
            by_set.xs(method, axis=1, level="method") for method in ("bulkvi", "bulkvi, no latent columns")
        )
        entered = default["latent columns"] > 0
        print(
            f"\nLatent columns enter in {entered.sum()} of {len(entered)} data sets; of these the default calls fewer genes than "
            f"without in {(default['calls'] < without['calls'])[entered].sum()}, fewer than half in "
            f"{(default['calls'] < without['calls'] / 2)[entered].sum()}, and ranks them worse (TPR at 5 % FDP) in "
            f"{(default['TPR at 5 % FDP'] < without['TPR at 5 % FDP'])[entered].sum()}.",
            flush=True,
        )


if __name__ == "__main__":
    main()
