"""The data sets on which the posterior of an effect is judged: simulated, and real counts with a known answer.

Every function yields ``CountData`` with its truth; genes with fewer than 10 counts in a data set are left out for all
methods alike (``pp.filter_genes(min_counts=10)``). Real counts are read from ``$BULKVI_DATA_DIR/<name>/``.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.peers import CountData

MIN_COUNTS = 10
SIZES = (2, 3, 5, 10, 30)
TRENDS: tuple[Literal["yeast"], Literal["gse60450"]] = ("yeast", "gse60450")


@dataclass(frozen=True)
class Scenario:
    """Options of ``datasets.simulate`` that make a scenario; group size, trend and seed are crossed with it.

    Effects have standard deviation 1 (log2); depths spread 2x where nothing else is said.
    """

    de_share: float = 0.1
    effect_distribution: Literal["normal", "t3"] = "normal"
    effect_sd: float = 1.0
    up_share: float = 0.5
    depth_factor: float = 1.0
    depth_spread: float = 2.0
    outlier_share: float = 0.0
    outlier_factor: float = 10.0


SCENARIOS = {
    "clean": Scenario(),
    "t3": Scenario(effect_distribution="t3"),
    "low_depth": Scenario(depth_factor=0.05),  # about 0.3 million counts a sample
    "depth_spread_4": Scenario(depth_spread=4.0),
    "composition_60": Scenario(de_share=0.6, up_share=1.0),
    "balanced_60": Scenario(de_share=0.6),
    "outliers_2": Scenario(outlier_share=0.02),
    "outliers_5": Scenario(outlier_share=0.05),
}


def simulated(
    name: str, trend: Literal["yeast", "gse60450"], n_per_group: int, seed: int, n_genes: int = 6000
) -> CountData:
    """One simulated data set; seeds differ in everything, scenarios of one seed share genes, effects and noise."""
    from bulkvi.datasets import simulate

    adata = simulate(n_per_group=n_per_group, n_genes=n_genes, trend=trend, seed=seed, **asdict(SCENARIOS[name]))
    counts = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
    return with_known_effects(
        f"{name}/{trend}/n{n_per_group}/seed{seed}",
        counts,
        (adata.obs["group"] == "B").to_numpy().astype(int),
        adata.var["true_log_fc"].to_numpy(),
    )


def all_simulated(
    names: Sequence[str] = tuple(SCENARIOS),
    trends: Sequence[Literal["yeast", "gse60450"]] = TRENDS,
    sizes: Sequence[int] = SIZES,
    seeds: Sequence[int] = range(5),
    n_genes: int = 6000,
) -> Iterator[CountData]:
    """The grid of simulated data sets, seeds innermost."""
    for name, trend, size, seed in product(names, trends, sizes, seeds):
        yield simulated(name, trend, size, seed, n_genes)


def with_known_effects(name: str, counts: pd.DataFrame, group: np.ndarray, log_fc: np.ndarray) -> CountData:
    """Counts and their true effects as ``CountData``: changed where the effect is not 0; weak genes dropped."""
    keep = counts.to_numpy().sum(axis=0) >= MIN_COUNTS
    truth = pd.DataFrame(
        {"log_fc": log_fc[keep], "status": (log_fc[keep] != 0).astype(int), "base_mean": base_mean(counts)[keep]},
        index=counts.columns[keep],
    )
    return CountData(name, counts.loc[:, keep], group, truth=truth)


def base_mean(counts: pd.DataFrame) -> np.ndarray:
    """Mean over samples of counts scaled to the geometric mean of the library sizes; the measure of expression in all scores."""
    library = counts.to_numpy().sum(axis=1)
    return (counts.to_numpy() / (library / np.exp(np.log(library).mean()))[:, None]).mean(axis=0)


# ------------------------------------------------------------------ real counts


def read_counts(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts (samples x genes) and sample table of a real data set."""
    root = os.environ.get("BULKVI_DATA_DIR")
    if root is None:
        raise FileNotFoundError(
            f"Set BULKVI_DATA_DIR to the folder that holds `{name}/counts.tsv.gz` and `samples.tsv`."
        )
    samples = pd.read_csv(Path(root) / name / "samples.tsv", sep="\t").set_index("sample_id")
    counts = pd.read_csv(Path(root) / name / "counts.tsv.gz", sep="\t", index_col=0).T
    return counts.loc[samples.index], samples


def yeast_replicates(condition: Literal["WT", "Snf2"], *, bad_replicates: bool = False) -> pd.DataFrame:
    """Counts of one strain of the yeast study.

    The replicates that its authors exclude stay out by default (22 WT and 21 Snf2 of the odd-numbered 24 remain): they are
    failed libraries, and a split that holds one tests outlier samples, not calibration. ``bad_replicates=True`` brings them
    back for that test.
    """
    counts, samples = read_counts("schurch_yeast_odd")
    chosen = samples["condition"] == condition
    if not bad_replicates:
        chosen &= ~samples["bad_replicate"]
    return counts[chosen]


def yeast_null_splits(
    sizes: Sequence[int] = (3, 6, 10), n_splits: int = 30, *, bad_replicates: bool = False
) -> Iterator[CountData]:
    """Random WT replicates against other WT replicates: every call is false."""
    counts = yeast_replicates("WT", bad_replicates=bad_replicates)
    kind = "wt_wt_with_bad" if bad_replicates else "wt_wt"
    for n, seed in product(sizes, range(n_splits)):
        chosen = np.random.default_rng([n, seed]).permutation(len(counts))[: 2 * n]
        no_effect = np.zeros(counts.shape[1])
        yield with_known_effects(f"{kind}/yeast/n{n}/seed{seed}", counts.iloc[chosen], np.repeat([0, 1], n), no_effect)


def yeast_snf2_subsets(
    truth: pd.DataFrame, sizes: Sequence[int] = (3, 6, 10), n_subsets: int = 10
) -> Iterator[CountData]:
    """Random WT against random Snf2 replicates, judged against ``truth`` (``truth_yeast.consensus``): Snf2 over WT.

    The subsets are part of the replicates behind the consensus, so that agreement is a little flattered, and the more so
    the larger n; all methods share that.
    """
    wild_type, mutant = yeast_replicates("WT"), yeast_replicates("Snf2")
    for n, seed in product(sizes, range(n_subsets)):
        rng = np.random.default_rng([n, seed])
        chosen = [strain.iloc[rng.permutation(len(strain))[:n]] for strain in (wild_type, mutant)]
        counts = pd.concat(chosen)
        counts = counts.loc[:, counts.to_numpy().sum(axis=0) >= MIN_COUNTS]
        known = truth.reindex(counts.columns)
        known["status"] = known["status"].fillna(-1).astype(int)
        known["base_mean"] = base_mean(counts)
        yield CountData(f"wt_snf2/yeast/n{n}/seed{seed}", counts, np.repeat([0, 1], n), truth=known)


# ------------------------------------------------------------------ real counts, thinned to known effects


def thin(counts: np.ndarray, group: np.ndarray, log_fc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Counts with a known effect added by binomial thinning (Gerard 2020, BMC Bioinformatics 21:206).

    Of a gene with ``log_fc`` > 0 (log2, group 1 over group 0) each read in group 0 is kept with probability 2^-log_fc, of one
    with ``log_fc`` < 0 each read in group 1 with probability 2^log_fc: means then differ by ``log_fc`` exactly, and the
    noise between the samples stays the real one.
    """
    lowered = np.where(log_fc > 0, 0, 1)
    kept = np.where(group[:, None] == lowered, np.exp2(-np.abs(log_fc)), 1.0)
    return rng.binomial(counts, kept)


def thinned(
    name: str,
    counts: pd.DataFrame,
    n_per_group: int,
    seed: int,
    changed_share: float = 0.1,
    effect_sd: float = 0.8,
) -> CountData:
    """Two random groups of the samples, with normal effects thinned into a random share of the genes."""
    rng = np.random.default_rng([n_per_group, seed])
    chosen = counts.iloc[rng.permutation(len(counts))[: 2 * n_per_group]]
    group = np.repeat([0, 1], n_per_group)
    log_fc = np.zeros(chosen.shape[1])
    expressed = np.flatnonzero(chosen.to_numpy().sum(axis=0) >= MIN_COUNTS)  # elsewhere there is nothing to thin
    changed = rng.choice(expressed, round(changed_share * expressed.size), replace=False)
    log_fc[changed] = rng.normal(0, effect_sd, changed.size)
    lowered = pd.DataFrame(thin(chosen.to_numpy(), group, log_fc, rng), index=chosen.index, columns=chosen.columns)
    return with_known_effects(f"thinned/{name}/n{n_per_group}/seed{seed}", lowered, group, log_fc)


def all_thinned(seeds: Sequence[int] = range(10)) -> Iterator[CountData]:
    """Yeast WT (10 per group), bottomly within each strain (5), geuvadis within each sex (10 and 20).

    Groups are random: in bottomly they cut across its three flow-cell batches unevenly, which is part of the test.
    """
    yeast = yeast_replicates("WT")
    for seed in seeds:
        yield thinned("yeast", yeast, 10, seed)
    counts, samples = read_counts("bottomly")
    for strain, seed in product(("C57BL/6J", "DBA/2J"), seeds):
        yield thinned(f"bottomly_{strain[:3]}", counts[samples["strain"] == strain], 5, seed)
    counts, samples = read_counts("geuvadis_sex")
    for sex, n, seed in product(("male", "female"), (10, 20), seeds):
        yield thinned(f"geuvadis_{sex}", counts[samples["sex"] == sex], n, seed)
