"""Cohorts and small studies with a known answer: what a study can learn from a reference is judged on these.

A `Cohort` becomes a reference once; a study is a `CountData` of samples that are not in it. Functions named after a comparison return the
cohort of a seed and the pool of samples from which studies are drawn; `benchmarks.calibration_scenarios.thinned` adds known effects.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmarks.calibration_scenarios import (
    MIN_COUNTS,
    base_mean,
    read_counts,
    thin,
    thinned,
    with_known_effects,
    yeast_replicates,
)
from benchmarks.peers import CountData

N_HELD_OUT = 24
"""People of one sex that no reference sees: enough for eight against eight, with a choice."""
SHIFT_SD = 0.5
"""Standard deviation (log2) over genes of the difference between two studies that is common to all samples of a study."""
DEPTH = 0.1
"""Share of the reads that a shallow study keeps."""
EXTRA_CV2 = 0.1
"""Squared coefficient of variation of the noise that a noisier study has beside its own."""
HIDDEN_GENES = 4000
HIDDEN_COHORT = 40


@dataclass(frozen=True, eq=False)
class Cohort:
    """Samples of which a reference is made.

    Attributes
    ----------
    name
        What it is, with its seed: the same name is the same data.
    counts
        Integers, samples x genes.
    obs
        What is told about the samples.
    design
        Formula on ``obs``; None for no design.
    """

    name: str
    counts: pd.DataFrame
    obs: pd.DataFrame
    design: str | None


# ------------------------------------------------------------------ studies of a pool


def study(name: str, pool: pd.DataFrame, n: int, seed: int) -> CountData:
    """Two random groups of the pool, a tenth of the genes changed by normal log2 effects of standard deviation 0.8."""
    return thinned(name, pool, n, seed)


def null_study(name: str, pool: pd.DataFrame, n: int, seed: int) -> CountData:
    """Two random groups of the pool that differ by nothing."""
    chosen = pool.iloc[np.random.default_rng([n, seed, 3]).permutation(len(pool))[: 2 * n]]
    return with_known_effects(f"null/{name}/n{n}/seed{seed}", chosen, np.repeat([0, 1], n), np.zeros(pool.shape[1]))


def moved_along(name: str, pool: pd.DataFrame, n: int, seed: int, log_fc: pd.Series) -> CountData:
    """Two random groups of the pool that differ by the given log2 fold changes (indexed by gene), thinned in; 0 elsewhere."""
    rng = np.random.default_rng([n, seed, 11])
    chosen = pool.iloc[rng.permutation(len(pool))[: 2 * n]]
    group, effect = np.repeat([0, 1], n), log_fc.reindex(pool.columns).fillna(0).to_numpy()
    lowered = pd.DataFrame(thin(chosen.to_numpy(), group, effect, rng), index=chosen.index, columns=chosen.columns)
    return with_known_effects(f"along/{name}/n{n}/seed{seed}", lowered, group, effect)


# ------------------------------------------------------------------ one laboratory


def geuvadis_within_sex(seed: int) -> tuple[Cohort, pd.DataFrame]:
    """Cohort without 24 people of one sex (men for odd seeds), and these people."""
    counts, samples = read_counts("geuvadis_sex")
    sex = ("female", "male")[seed % 2]
    held = np.random.default_rng([31, seed]).choice(np.flatnonzero(samples["sex"] == sex), N_HELD_OUT, replace=False)
    kept = np.setdiff1d(np.arange(len(samples)), held)
    return Cohort(f"geuvadis_{seed}", counts.iloc[kept], samples[["sex"]].iloc[kept], "~ sex"), counts.iloc[held]


def geuvadis_smaller(seed: int, n_fewer: int = 20) -> Cohort:
    """The cohort of `geuvadis_within_sex` without some of its samples: what adding them changes."""
    cohort, _ = geuvadis_within_sex(seed)
    kept = np.sort(np.random.default_rng([37, seed]).permutation(len(cohort.counts))[n_fewer:])
    return replace(
        cohort, name=f"{cohort.name}_less_{n_fewer}", counts=cohort.counts.iloc[kept], obs=cohort.obs.iloc[kept]
    )


# ------------------------------------------------------------------ one study to another


def yeast_halves(seed: int) -> tuple[Cohort, pd.DataFrame]:
    """Wild-type replicates with low numbers as cohort, those with high numbers as pool, or the other way round (odd seeds).

    Lanes are summed in these counts and no batch is recorded; the numbers of the replicates are the order of the libraries.
    """
    counts = yeast_replicates("WT")
    middle = len(counts) // 2
    halves = counts.iloc[:middle], counts.iloc[middle:]
    cohort, pool = halves[seed % 2], halves[1 - seed % 2]
    return Cohort(f"yeast_half_{seed % 2}", cohort, pd.DataFrame(index=cohort.index), None), pool


def bottomly_by_experiment(seed: int) -> tuple[Cohort, pd.DataFrame, pd.DataFrame]:
    """Mice of two of the three experiments as cohort; counts and sample table of the third, 3 and 4 mice of the two strains."""
    counts, samples = read_counts("bottomly")
    left_out = (4, 6, 7)[seed % 3]
    there = (samples["batch"] == left_out).to_numpy()
    obs = pd.DataFrame({"strain": samples["strain"], "experiment": "e" + samples["batch"].astype(str)})
    enough = counts.to_numpy()[~there].sum(axis=0) >= MIN_COUNTS
    cohort = Cohort(f"bottomly_without_{left_out}", counts.loc[~there, enough], obs[~there], "~ strain + experiment")
    return cohort, counts[there], obs[there]


def bottomly_study(counts: pd.DataFrame, obs: pd.DataFrame, n: int, seed: int) -> CountData:
    """Mice of one experiment, each group with as many of a strain (n = 2: 1 + 1; n = 3: 2 of the strain with more mice), effects thinned in; strain told."""
    rng = np.random.default_rng([n, seed, 13])
    of = {strain: rng.permutation(np.flatnonzero(obs["strain"] == strain)) for strain in ("C57BL/6J", "DBA/2J")}
    few, many = sorted(of.values(), key=len)
    groups = [np.append(few[k], many[k * (n - 1) : (k + 1) * (n - 1)]) for k in (0, 1)]
    chosen = np.concatenate(groups)
    data = _thinned_as_given(f"thinned/bottomly/n{n}/seed{seed}", counts.iloc[chosen], n, seed)
    return replace(data, covariates=obs[["strain"]].iloc[chosen].reset_index(drop=True))


def _thinned_as_given(name: str, counts: pd.DataFrame, n: int, seed: int) -> CountData:
    """The first half of the samples against the second, a tenth of the genes changed."""
    rng = np.random.default_rng([n, seed, 17])
    group, log_fc = np.repeat([0, 1], n), np.zeros(counts.shape[1])
    expressed = np.flatnonzero(counts.to_numpy().sum(axis=0) >= MIN_COUNTS)
    changed = rng.choice(expressed, round(0.1 * expressed.size), replace=False)
    log_fc[changed] = rng.normal(0, 0.8, changed.size)
    lowered = pd.DataFrame(thin(counts.to_numpy(), group, log_fc, rng), index=counts.index, columns=counts.columns)
    return with_known_effects(name, lowered, group, log_fc)


def as_of_another_study(pool: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The pool as if another laboratory had measured it: genes shifted (sd 0.5, log2), a tenth of the depth, more noise.

    Each read is kept with a probability drawn anew for each sample and gene from a beta distribution, whose mean is the share kept
    times the shift of the gene, and whose squared coefficient of variation is `EXTRA_CV2`.
    """
    rng = np.random.default_rng([41, seed])
    mean = np.minimum(DEPTH * np.exp2(rng.normal(0, SHIFT_SD, pool.shape[1])), 0.8)
    size = (1 - mean) / mean / EXTRA_CV2 - 1
    kept = rng.beta(mean * size, (1 - mean) * size, pool.shape)
    return pd.DataFrame(rng.binomial(pool.to_numpy(), kept), index=pool.index, columns=pool.columns)


# ------------------------------------------------------------------ wrong references


def genes_permuted(data: CountData, seed: int) -> CountData:
    """The same study, the names of its genes dealt out at random: any reference is wrong for it."""
    names = np.random.default_rng([43, seed]).permutation(data.counts.columns)
    truth = None if data.truth is None else data.truth.set_axis(names)
    return replace(data, name=f"permuted {data.name}", counts=data.counts.set_axis(names, axis=1), truth=truth)


def skin_cohort() -> Cohort:
    """Skin and fibroblasts (GTEx) at the genes of geuvadis: another tissue. Ids carry versions."""
    counts, samples = read_counts("gtex_skin")
    there, _ = read_counts("geuvadis_sex")
    known = counts.columns.str.replace(r"\.\d+$", "", regex=True).isin(there.columns)
    known &= counts.to_numpy().sum(axis=0) >= MIN_COUNTS
    tissue = np.where(samples["tissue"].str.startswith("Cells"), "fibroblasts", "skin")
    return Cohort("gtex_skin", counts.loc[:, known], pd.DataFrame({"tissue": tissue}, index=counts.index), "~ tissue")


def pasilla_study(seed: int) -> CountData:
    """Three against three flies' cell lines, treatment and library type balanced over the groups and told, effects thinned in."""
    counts, samples = read_counts("pasilla")
    rng = np.random.default_rng([47, seed])
    single, paired = rng.permutation(["untreated1", "untreated2"]), rng.permutation(["untreated3", "untreated4"])
    treated = rng.permutation(["treated2", "treated3"])
    chosen = [single[0], paired[0], treated[0], single[1], paired[1], treated[1]]
    data = _thinned_as_given(f"thinned/pasilla/n3/seed{seed}", counts.loc[chosen], 3, seed)
    return replace(data, covariates=samples.loc[chosen, ["library_type", "condition"]].reset_index(drop=True))


def mice_named_as_flies() -> Cohort:
    """bottomly under the ids of pasilla, by rank of the mean count: names agree by accident, and even levels do."""
    mice, samples = read_counts("bottomly")
    flies, _ = read_counts("pasilla")
    by_mean = [table.columns[np.argsort(-base_mean(table), kind="stable")] for table in (mice, flies)]
    n = min(sum(table.to_numpy().sum(axis=0) >= MIN_COUNTS) for table in (mice, flies))
    counts = mice[by_mean[0][:n]].set_axis(by_mean[1][:n], axis=1)
    return Cohort("mice_named_as_flies", counts, samples[["strain"]], "~ strain")


# ------------------------------------------------------------------ real effects along the directions of the reference


def yeast_strains(n: int, seed: int, *, both_strains: bool) -> tuple[Cohort, pd.DataFrame, np.ndarray]:
    """Cohort of the replicates that are not in the study, of wild type or of both strains, their labels not told; counts and group of the study."""
    strains = [yeast_replicates("WT"), yeast_replicates("Snf2")]
    rng = np.random.default_rng([n, seed, 53])
    orders = [rng.permutation(len(strain)) for strain in strains]
    chosen = pd.concat([strain.iloc[order[:n]] for strain, order in zip(strains, orders, strict=True)])
    others = [strain.iloc[np.sort(order[n:])] for strain, order in zip(strains, orders, strict=True)]
    counts = pd.concat(others) if both_strains else others[0]
    counts = counts.loc[:, counts.to_numpy().sum(axis=0) >= MIN_COUNTS]
    name = f"yeast_{'both' if both_strains else 'wt'}_n{n}_{seed}"
    return Cohort(name, counts, pd.DataFrame(index=counts.index), None), chosen, np.repeat([0, 1], n)


def snf2_study(chosen: pd.DataFrame, group: np.ndarray, truth: pd.DataFrame, seed: int) -> CountData:
    """Snf2 over wild type, judged by ``truth`` (``truth_yeast.consensus``)."""
    counts = chosen.loc[:, chosen.to_numpy().sum(axis=0) >= MIN_COUNTS]
    known = truth.reindex(counts.columns)
    known["status"] = known["status"].fillna(-1).astype(int)
    known["base_mean"] = base_mean(counts)
    return CountData(f"wt_snf2/yeast/n{len(group) // 2}/seed{seed}", counts, group, truth=known)


# ------------------------------------------------------------------ a hidden batch that the reference has seen


def hidden_batch(n_upper: int, seed: int) -> tuple[Cohort, CountData, np.ndarray]:
    """Cohort of one group in two batches, a study of three against three in the same batches, and the batch of its samples.

    One sample of group 0 and ``n_upper`` of group 1 are of the upper batch: correlation with the group 0, .33 or .71 for 1, 2 or 3, which
    are those that three against three can have. All samples are from one simulation, none is in both; the cohort is the same for all three.
    """
    from bulkvi.datasets import simulate

    of_pool = 12  # half of them in each batch, more or less
    sizes = (HIDDEN_COHORT + of_pool, of_pool)
    adata = simulate(n_per_group=sizes, n_genes=HIDDEN_GENES, n_hidden=1, seed=seed)
    counts = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
    batch = adata.obs["true_hidden_0"].to_numpy()
    first, second = np.arange(of_pool), sizes[0] + np.arange(of_pool)
    chosen = np.concatenate([_of_batches(first, batch, 1), _of_batches(second, batch, n_upper)])
    cohort = counts.iloc[of_pool : sizes[0]]
    cohort = cohort.loc[:, cohort.to_numpy().sum(axis=0) >= MIN_COUNTS]
    name = f"{n_upper} of 3 in the upper batch/simulated/n3/seed{seed}"
    data = with_known_effects(name, counts.iloc[chosen], np.repeat([0, 1], 3), adata.var["true_log_fc"].to_numpy())
    return Cohort(f"hidden_{seed}", cohort, pd.DataFrame(index=cohort.index), None), data, batch[chosen]


def _of_batches(samples: np.ndarray, batch: np.ndarray, n_upper: int) -> np.ndarray:
    """The first three of ``samples`` of which ``n_upper`` are of the upper batch."""
    upper, lower = samples[batch[samples] > 0], samples[batch[samples] < 0]
    return np.concatenate([upper[:n_upper], lower[: 3 - n_upper]])
