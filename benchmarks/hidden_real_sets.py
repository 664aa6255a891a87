"""Real cohorts with variation that the design does not say: data sets of `benchmarks.hidden_real`.

A data set's name is ``scenario/n<per group>/<number>``. Samples stay real; where a shift or noise of a second study is added, it
is added by keeping reads with a probability (binomial thinning), so that counts stay counts and their noise the real one.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.calibration_scenarios import MIN_COUNTS, base_mean, read_counts, thin, with_known_effects
from benchmarks.peers import CountData

UNBALANCED = (0.3, 0.6)
"""Share of the variance of the groups that the batch explains; 4:1 against 1:4 is 0.36."""
STUDY_SHARES = (0.3, 0.5)
SHIFT_SDS = (0.5, 1.0)
MEAN_KEPT = 0.7
MEDIAN_EXTRA_CV2 = 0.05


def bottomly() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Counts and samples; ``group`` is 1 for DBA/2J, ``batch`` the experiment as text."""
    counts, samples = read_counts("bottomly")
    samples = samples.assign(
        group=(samples["strain"] == "DBA/2J").astype(int), batch="b" + samples["batch"].astype(str)
    )
    return counts, samples


def explained(group: np.ndarray, batch: np.ndarray) -> float:
    """Share of the variance of ``group`` between the levels of ``batch``."""
    group = np.asarray(group, dtype=float)
    means = pd.Series(group).groupby(np.asarray(batch)).transform("mean").to_numpy()
    return float(means.var() / group.var())


def strains(sizes: tuple[int, ...], n_subsets: int) -> Iterator[tuple[CountData, pd.DataFrame]]:
    """The strains of bottomly and their batches: all samples, and random subsets of ``sizes`` a strain."""
    counts, samples = bottomly()
    yield _strains(counts, samples, np.arange(len(samples)), "all/n10/0")
    for size in sizes:
        for number in range(n_subsets):
            rng = np.random.default_rng([size, number])
            chosen = [rng.permutation(np.flatnonzero(samples["group"] == group))[:size] for group in (0, 1)]
            yield _strains(counts, samples, np.concatenate(chosen), f"random/n{size}/{number}")


def unbalanced_strains(n_subsets: int) -> Iterator[tuple[CountData, pd.DataFrame]]:
    """Subsets of bottomly in which a strain is four of one batch and one of another, the other strain one and four."""
    counts, samples = bottomly()
    for number in range(n_subsets):
        rng = np.random.default_rng([41, number])
        batch = ["b7", "b4"][number % 2]  # of batch 6 there are four C57BL/6J, of the others four DBA/2J
        wanted = {(0, "b6"): 4, (0, batch): 1, (1, "b6"): 1, (1, batch): 4}
        chosen = [
            rng.permutation(np.flatnonzero((samples["group"] == group) & (samples["batch"] == one)))[:size]
            for (group, one), size in wanted.items()
        ]
        yield _strains(counts, samples, np.concatenate(chosen), f"strains 4:1/n5/{number}")


def _strains(
    counts: pd.DataFrame, samples: pd.DataFrame, chosen: np.ndarray, name: str
) -> tuple[CountData, pd.DataFrame]:
    part = counts.iloc[chosen]
    part = part.loc[:, part.to_numpy().sum(axis=0) >= MIN_COUNTS]
    return CountData(name, part, samples["group"].to_numpy()[chosen]), samples[["batch"]].iloc[chosen]


def unbalanced_nulls(n_splits: int) -> Iterator[tuple[CountData, pd.DataFrame]]:
    """Groups that mean nothing, unbalanced over the batch: within each strain, and over both with the strain in the design."""
    counts, samples = bottomly()
    within = {strain[:3]: np.flatnonzero(samples["strain"] == strain) for strain in ("C57BL/6J", "DBA/2J")}
    for name, members in (within | {"both": np.arange(len(samples))}).items():
        batch, strain = samples["batch"].to_numpy()[members], samples["group"].to_numpy()[members]
        for number, group in enumerate(_unbalanced(batch, strain, n_splits)):
            covariates = samples[["strain"]].iloc[members] if name == "both" else None
            data = with_known_effects(
                f"null {name}/n{len(members) // 2}/{number}", counts.iloc[members], group, np.zeros(counts.shape[1])
            )
            yield CountData(data.name, data.counts, group, covariates, data.truth), samples[["batch"]].iloc[members]


def _unbalanced(batch: np.ndarray, strain: np.ndarray, n_splits: int) -> Iterator[np.ndarray]:
    """Distinct random halves with `UNBALANCED` batches and, of two strains, about as many of each on both sides."""
    rng, seen = np.random.default_rng(5), set()
    for _ in range(20_000):
        group = rng.permutation(np.arange(batch.size) % 2)
        fits = UNBALANCED[0] <= explained(group, batch) <= UNBALANCED[1]
        fits &= strain.min() == strain.max() or explained(group, strain) < 0.02
        key = min(group.tobytes(), (1 - group).tobytes())
        if fits and key not in seen:
            seen.add(key)
            yield group
        if len(seen) == n_splits:
            return


def two_studies(sizes: tuple[int, ...], n_sets: int) -> Iterator[tuple[CountData, pd.DataFrame]]:
    """Women of geuvadis_sex as if of two studies, three in four of a group of one study; no gene differs by group.

    "shift": 30 to 50 % of the genes are shifted in study 2 by normal log2 factors of sd 0.5 to 1. "shift and noise": besides,
    reads of study 2 are kept with a probability drawn anew for each sample and gene, which adds a squared coefficient of
    variation that differs by gene (log-normal, median 0.05), so that dispersions differ between the studies.
    """
    counts, samples = read_counts("geuvadis_sex")
    women = counts[samples["sex"] == "female"]
    for kind in ("shift", "shift and noise"):
        for size in sizes:
            for number in range(n_sets):
                rng = np.random.default_rng([17, size, number])
                chosen = women.iloc[rng.permutation(len(women))[: 2 * size]]
                major = round(0.75 * size)
                study = np.concatenate([np.arange(size) >= major, np.arange(size) < major]).astype(int)
                shifted = rng.random(women.shape[1]) < rng.uniform(*STUDY_SHARES)
                log_fc = np.where(shifted, rng.normal(0, rng.uniform(*SHIFT_SDS), women.shape[1]), 0.0)
                values = thin(chosen.to_numpy(), study, log_fc, rng)
                if kind == "shift and noise":
                    values = _noisier(values, study, rng)
                moved = pd.DataFrame(values, index=chosen.index, columns=chosen.columns)
                group = np.repeat([0, 1], size)
                data = with_known_effects(f"{kind}/n{size}/{number}", moved, group, np.zeros(women.shape[1]))
                yield data, pd.DataFrame({"study": np.where(study, "second", "first")}, index=chosen.index)


def _noisier(counts: np.ndarray, study: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reads of study 2 kept with beta probabilities of mean `MEAN_KEPT`, those of study 1 with that probability."""
    most = (
        0.9 * (1 - MEAN_KEPT) / MEAN_KEPT
    )  # the largest squared coefficient of variation that a beta of this mean has
    cv2 = np.minimum(MEDIAN_EXTRA_CV2 * np.exp(rng.normal(size=counts.shape[1])), most)
    size = (1 - MEAN_KEPT) / MEAN_KEPT / cv2 - 1
    drawn = rng.beta(MEAN_KEPT * size, (1 - MEAN_KEPT) * size, counts.shape)
    return rng.binomial(counts, np.where(study[:, None] == 1, drawn, MEAN_KEPT))


def sexes(sizes: tuple[int, ...], n_subsets: int) -> Iterator[tuple[CountData, pd.DataFrame]]:
    """Men over women of geuvadis_sex: all, and random subsets."""
    counts, samples = read_counts("geuvadis_sex")
    male = (samples["sex"] == "male").to_numpy().astype(int)
    everyone = [("all", int(min(male.sum(), (1 - male).sum())), 0, np.arange(len(male)))]
    for size in sizes:
        for number in range(n_subsets):
            rng = np.random.default_rng([23, size, number])
            chosen = [rng.permutation(np.flatnonzero(male == sex))[:size] for sex in (0, 1)]
            everyone.append(("random", size, number, np.concatenate(chosen)))
    for name, size, number, chosen in everyone:
        part = counts.iloc[chosen]
        part = part.loc[:, part.to_numpy().sum(axis=0) >= MIN_COUNTS]
        truth = chromosomes(counts.columns).reindex(part.columns)
        known = pd.DataFrame({"log_fc": np.nan, "status": np.where(truth["of_sex"], 1, 0)}, index=part.columns)
        known["base_mean"] = base_mean(part)
        yield CountData(f"{name}/n{size}/{number}", part, male[chosen], truth=known), truth


def chromosomes(genes: pd.Index) -> pd.DataFrame:
    """Symbol, chromosomes and whether X or Y is among them, of Ensembl gene ids; from R's org.Hs.eg.db, kept in the cache."""
    path = Path(__file__).with_name(".cache") / "chromosomes.tsv"
    if not path.exists():
        code = (
            'suppressMessages(library(org.Hs.eg.db)); ids <- readLines(file("stdin")); '
            'known <- suppressMessages(select(org.Hs.eg.db, ids, c("SYMBOL", "CHR"), "ENSEMBL")); '
            'write.table(known, sep="\\t", row.names=FALSE, quote=FALSE)'
        )
        asked = subprocess.run(
            ["Rscript", "-e", code], input="\n".join(genes), capture_output=True, text=True, check=False
        )
        if asked.returncode:
            raise RuntimeError(f"Chromosomes need R with org.Hs.eg.db (Debian: r-bioc-org.hs.eg.db): {asked.stderr}")
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as partial:
            partial.write(asked.stdout)
        Path(partial.name).replace(path)
    known = pd.read_csv(StringIO(path.read_text()), sep="\t", keep_default_na=False)
    joined = known.groupby("ENSEMBL").agg(
        symbol=("SYMBOL", "first"), chromosome=("CHR", lambda values: ",".join(sorted(set(values))))
    )
    table = joined.reindex(genes, fill_value="")
    table["of_sex"] = [bool({"X", "Y"} & set(found.split(","))) for found in table["chromosome"]]
    return table
