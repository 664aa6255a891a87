"""False alarms of `check_samples` on clean data, and labels exchanged on purpose that it finds.

    BULKVI_DATA_DIR=... python -m benchmarks.sample_checks [--seed 1] [--repeats 20] [--genes 1500] [--out FILE]

Clean data: real cohorts with random balanced labels, alone or beside what is known of the samples, and with their true
labels; simulated cohorts with batches. Exchanges: all pairs of samples of two groups, or some of them. Cohorts are cut to
some genes for speed.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi

RANDOM = "random"
QUIET = ("", "not_checked")


class Clean(NamedTuple):
    """A cohort whose labels are right, or mean nothing."""

    name: str
    adata: AnnData
    label: str
    design: str | None = None
    within: tuple[str, ...] = ()
    """Columns within whose levels random labels are balanced."""
    size: int | None = None
    """Samples in each random subset; all if None."""
    n_labels: int = 2


def read_cohort(name: str) -> AnnData:
    folder = Path(os.environ["BULKVI_DATA_DIR"]) / name
    counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)
    obs = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0).astype(str)
    adata = AnnData(counts[obs.index].T.to_numpy(np.float32), obs=obs)
    adata.var_names = counts.index.astype(str)
    return adata


def prepared(adata: AnnData, n_genes: int | None) -> AnnData:
    adata = adata.copy()
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    if n_genes is not None and n_genes < adata.n_vars:
        chosen = np.random.default_rng(0).permutation(adata.n_vars)[:n_genes]
        adata = adata[:, np.sort(chosen)].copy()
    return adata


def balanced(obs: pd.DataFrame, within: tuple[str, ...], n_labels: int, rng: np.random.Generator) -> np.ndarray:
    labels = np.empty(len(obs), dtype=object)
    strata = [np.arange(len(obs))] if not within else [*obs.groupby(list(within), observed=True).indices.values()]
    for members in strata:
        codes = (np.arange(len(members)) + rng.integers(n_labels)) % n_labels
        labels[members] = np.array([*"abcd"])[rng.permutation(codes)]
    return labels


def clean_cohorts(n_genes: int | None) -> Iterator[Clean]:
    bottomly = prepared(read_cohort("bottomly"), n_genes)
    yield Clean("bottomly, true strain", bottomly, "strain", "~ strain + batch")
    yield Clean("bottomly, random beside strain and batch", bottomly, RANDOM, "~ strain + batch + random", ("strain",))
    yield Clean("bottomly, random beside strain", bottomly, RANDOM, "~ strain + random", ("strain",))
    yield Clean("bottomly, 12 samples, random beside strain", bottomly, RANDOM, "~ strain + random", ("strain",), 12)
    yeast = read_cohort("schurch_yeast_odd")
    wild = prepared(yeast[(yeast.obs["condition"] == "WT") & (yeast.obs["bad_replicate"] == "False")], n_genes)
    yield Clean("yeast wild type, random", wild, RANDOM)
    yield Clean("yeast wild type, 6 samples, random", wild, RANDOM, size=6)
    yield Clean("yeast wild type, 10 samples, three random labels", wild, RANDOM, size=10, n_labels=3)
    geuvadis = prepared(read_cohort("geuvadis_sex"), n_genes)
    yield Clean("geuvadis, true sex", prepared(read_cohort("geuvadis_sex"), None), "sex")
    yield Clean("geuvadis, 40 samples, random beside sex", geuvadis, RANDOM, "~ sex + random", size=40)
    yield Clean("geuvadis, 20 samples, random", geuvadis, RANDOM, size=20)
    yield Clean("geuvadis, 8 samples, random", geuvadis, RANDOM, size=8)
    mammary = prepared(read_cohort("gse60450_mammary"), n_genes)
    yield Clean("GSE60450, true cell type", mammary, "cell_type", "~ cell_type + stage")
    yield Clean("GSE60450, random beside group", mammary, RANDOM, "~ group + random", ("group",))
    yield Clean(
        "GSE60450, random beside cell type and stage", mammary, RANDOM, "~ cell_type + stage + random", ("group",)
    )


def simulated_cohorts(seed: int, repeats: int) -> Iterator[Clean]:
    for number in range(repeats):
        batches = bulkvi.datasets.simulate(n_per_group=8, n_genes=1000, n_batches=3, seed=1000 * seed + number)
        yield Clean("simulated, true group beside 3 batches", prepared(batches, None), "group", "~ batch + group")
        hidden = bulkvi.datasets.simulate(n_per_group=6, n_genes=1000, n_hidden=2, seed=1000 * seed + number)
        yield Clean("simulated, true group, 2 hidden factors", prepared(hidden, None), "group")
        noisy = _with_a_noisy_platform(number + 1000 * seed)
        yield Clean("simulated, true group, one platform noisier", noisy, "group", "~ platform + group")


def _with_a_noisy_platform(seed: int) -> AnnData:
    adata = bulkvi.datasets.simulate(n_per_group=8, n_genes=1000, n_batches=2, seed=seed)
    adata.obs["platform"] = adata.obs["batch"].astype(str).to_numpy()
    noisy = (adata.obs["platform"] == "b2").to_numpy()
    rng = np.random.default_rng(seed)
    counts = np.asarray(adata.X, dtype=float)
    counts[noisy] = rng.poisson(counts[noisy] * rng.lognormal(0, 0.7, (int(noisy.sum()), adata.n_vars)))
    adata.X = counts.astype(np.float32)
    return prepared(adata, None)


def false_alarms(cohort: Clean, seed: int, repeats: int) -> Counter[str]:
    """Number of samples by flag; ``pairs`` is the number of samples times labels."""
    rng = np.random.default_rng(seed)
    counted: Counter[str] = Counter()
    for _ in range(repeats if cohort.label == RANDOM else 1):
        some = cohort.adata
        if cohort.size is not None:
            some = some[np.sort(rng.permutation(some.n_obs)[: cohort.size])]
        some = some.copy()
        if cohort.label == RANDOM:
            some.obs[RANDOM] = balanced(some.obs, cohort.within, cohort.n_labels, rng)
        table = bulkvi.tl.check_samples(some, cohort.label, design=cohort.design)
        counted["pairs"] += len(table)
        counted.update(flag for flag in table["flag"] if flag not in QUIET)
    return counted


def exchanges(
    name: str, label: str, design: str | None, n_genes: int | None, some: int | None, seed: int
) -> dict[str, object]:
    """Labels of two samples exchanged: how many of them are marked, and how many others."""
    adata = prepared(read_cohort(name), n_genes)
    levels = adata.obs[label].unique()[:2]
    pairs = [*product(*(adata.obs_names[adata.obs[label] == level] for level in levels))]
    chosen = [pairs[k] for k in np.random.default_rng(seed).permutation(len(pairs))[:some]]
    found, whole, others = 0, 0, 0
    for pair in chosen:
        wrong = adata.copy()
        wrong.obs.loc[list(pair), label] = wrong.obs.loc[list(pair[::-1]), label].to_numpy()
        flag = bulkvi.tl.check_samples(wrong, label, design=design)["flag"]
        marked = set(flag.index[flag.str.contains("swapped|sex_mismatch")])
        found += len(marked & set(pair))
        whole += marked >= set(pair)
        others += len(marked - set(pair))
    return {
        "data": name,
        "design": design or f"~ {label}",
        "exchanges": f"{len(chosen)} of {len(pairs)}",
        "both found": whole,
        "share found": found / 2 / len(chosen),
        "others marked": others,
    }


EXCHANGES = (
    ("gse60450_mammary", "cell_type", None, None, None),
    ("gse60450_mammary", "cell_type", "~ cell_type + stage", None, None),
    ("airway", "dex", None, None, None),
    ("airway", "dex", "~ cell_line + dex", None, None),
    ("pasilla", "condition", None, None, None),
    ("pasilla", "condition", "~ library_type + condition", None, None),
    ("hammer", "protocol", None, None, None),
    ("bottomly", "strain", "~ strain + batch", 4000, 20),
    ("bottomly", "strain", None, 4000, 20),
    ("schurch_yeast_odd", "condition", None, 2000, 6),
    ("geuvadis_sex", "sex", None, None, 6),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--genes", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=None, help="csv of the false alarms")
    parser.add_argument("--only", choices=("clean", "exchanges"), default=None)
    options = parser.parse_args()
    if options.only != "exchanges":
        counted: dict[str, Counter[str]] = {}
        for cohort in [*clean_cohorts(options.genes), *simulated_cohorts(options.seed, options.repeats)]:
            counted.setdefault(cohort.name, Counter()).update(false_alarms(cohort, options.seed, options.repeats))
            print(cohort.name, dict(counted[cohort.name]), flush=True)
        table = pd.DataFrame(counted).T.fillna(0).astype(int)
        table.loc["all"] = table.sum()
        table["share_flagged"] = table.drop(columns="pairs").sum(axis=1) / table["pairs"]
        print(table.to_string())
        if options.out is not None:
            table.to_csv(options.out, index_label="cohort")
    if options.only != "clean":
        for arguments in EXCHANGES:
            print(exchanges(*arguments, seed=options.seed), flush=True)


if __name__ == "__main__":
    main()
