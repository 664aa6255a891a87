"""Random intercepts of donors against a fixed effect for each, against none, and against limma's duplicateCorrelation.

python -m benchmarks.donors [--seeds N] [--genes N] [--voom] [--only TEXT] [--real] [--cost]

Simulated counts are negative binomial about means that donors move (natural log; each gene has a standard deviation of its
own), with a tenth of the genes changed. ``--voom`` needs R with limma and edgeR; ``--real`` the folder BULKVI_DATA_DIR.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from benchmarks.calibration_scenarios import read_counts
from benchmarks.scores import called, fdp, null_share, tpr, tpr_at_fdp
from bulkvi.datasets._draws import TRENDS, draw_effects
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.donors.fit import fit_donor_genes
from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.effects.summary import summarise_effect
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.outliers.outliers import find_outliers

LN2 = np.log(2)
R_SCRIPT = Path(__file__).with_suffix(".R")
MOST_FIXED = 40
"""Most donors that get an effect each, or go through R: both would take minutes a data set."""


class Cohort(NamedTuple):
    """A data set; the effect is that of the last column of ``design``."""

    counts: np.ndarray
    design: np.ndarray
    donor: np.ndarray
    log_fc: np.ndarray
    """Natural log; NaN where unknown."""


class Answer(NamedTuple):
    """What a method says of each gene; natural log."""

    p_value: np.ndarray
    adj_p_value: np.ndarray
    estimate: np.ndarray
    half_width: np.ndarray
    """Of the 95 % interval of the estimate without shrinkage."""
    seconds: float


def paired(n_donors: int, n_single: int = 0) -> pd.DataFrame:
    """Both groups from each donor, but one of them from the last ``n_single``."""
    rows = [(d, g) for d in range(n_donors) for g in (0, 1) if d < n_donors - n_single or g == d % 2]
    return pd.DataFrame(rows, columns=["donor", "group"])


def nested(n_donors: int, n_repeats: int) -> pd.DataFrame:
    """Donors in one group each, several samples of each."""
    rows = [(d, d % 2) for d in range(n_donors) for _ in range(n_repeats)]
    return pd.DataFrame(rows, columns=["donor", "group"])


def times(n_donors: int, n_times: int) -> pd.DataFrame:
    """Every donor at every time; the last one is compared with the first."""
    rows = [(d, k) for d in range(n_donors) for k in range(n_times)]
    return pd.DataFrame(rows, columns=["donor", "group"])


SCENARIOS: dict[str, tuple[pd.DataFrame, dict]] = {
    "3 pairs": (paired(3), {}),
    "4 pairs": (paired(4), {}),
    "6 pairs": (paired(6), {}),
    "12 pairs": (paired(12), {}),
    "30 pairs": (paired(30), {}),
    "100 pairs": (paired(100), {}),
    "12 donors, 6 in one group": (paired(12, 6), {}),
    "30 donors, 15 in one group": (paired(30, 15), {}),
    "6 donors, 4 times": (times(6, 4), {}),
    "12 donors, 3 times": (times(12, 3), {}),
    "nested, 3 x 4": (nested(3, 4), {}),
    "nested, 4 x 3": (nested(4, 3), {}),
    "nested, 5 x 3": (nested(5, 3), {}),
    "nested, 6 x 3": (nested(6, 3), {}),
    "nested, 12 x 2": (nested(12, 2), {}),
    "nested, 12 x 4": (nested(12, 4), {}),
    "nested, 30 x 2": (nested(30, 2), {}),
    "6 pairs, no donor effects": (paired(6), {"donor_sd": 0.0}),
    "nested, 12 x 3, no donor effects": (nested(12, 3), {"donor_sd": 0.0}),
    "12 pairs, donor effects in 30 %": (paired(12), {"donor_share": 0.3}),
    "nested, 12 x 3, donor effects in 30 %": (nested(12, 3), {"donor_share": 0.3}),
}


def simulate(
    samples: pd.DataFrame, seed: int, *, n_genes: int, donor_sd: float = 0.4, donor_share: float = 1.0
) -> Cohort:
    """Counts of a human cohort's means and dispersions; donor sd log-normal about ``donor_sd`` (sd 0.4 of its log)."""
    rng = np.random.default_rng([seed, len(samples)])
    base = TRENDS["geuvadis"].draw_base_mean(n_genes, rng)
    dispersion = TRENDS["geuvadis"].draw_dispersion(base, rng)
    log_fc = LN2 * draw_effects(n_genes, 0.1, 0.5, "normal", 1.0, rng)
    donor, group = samples["donor"].to_numpy(), samples["group"].to_numpy()
    sd = donor_sd * np.exp(rng.normal(0, 0.4, n_genes)) * (rng.random(n_genes) < donor_share)
    shift = rng.standard_normal((donor.max() + 1, n_genes)) * sd
    depth = np.exp(rng.uniform(-0.35, 0.35, (len(samples), 1)))
    changed = group == group.max()
    mean = depth * base * np.exp(shift[donor] + np.outer(changed, log_fc))
    counts = rng.poisson(mean * dispersion * rng.gamma(1 / dispersion, size=mean.shape)).astype(float)
    levels = group[:, None] == np.arange(1, group.max() + 1)
    kept = counts.sum(0) >= 10
    return Cohort(counts[:, kept], np.column_stack([np.ones(len(samples)), levels]), donor, log_fc[kept])


def ours(cohort: Cohort, donors: str) -> Answer | None:
    """The regressions with donors ``random``, ``fixed`` or ``ignored``; None where they cannot be fixed."""
    design = cohort.design
    if donors == "fixed":
        own = (cohort.donor[:, None] == np.unique(cohort.donor)[1:]).astype(float)
        design = np.hstack([design[:, :1], own, design[:, 1:]])
        if own.shape[1] > MOST_FIXED or np.linalg.matrix_rank(design) < design.shape[1]:
            return None
    offset = np.log(median_of_ratios(cohort.counts).size_factors)
    started = time.process_time()
    given = {"offset": offset, "ridge": effect_ridge(design)}
    outliers = find_outliers(cohort.counts, design, **given)
    given["weights"] = None if (outliers.weight == 1).all() else outliers.weight
    random = None
    if donors == "random":
        mixed = fit_donor_genes(cohort.counts, design, cohort.donor, **given)
        fit, random = mixed.genes, mixed.donors
    else:
        fit = fit_genes(cohort.counts, design, **given)
    contrast = np.eye(design.shape[1])[-1]
    effect = effect_likelihood(fit.nodes, contrast)
    settled = handle_separation(effect, cohort.counts, design, contrast, fit, donors=random, **given)
    summary = summarise_effect(
        settled.effect,
        log_p=settled.log_p,
        tested=cohort.counts.max(0) > 0,
        inflation=noise_inflation(cohort.counts, design, offset, fit, random),
    )
    seconds = time.process_time() - started
    return Answer(summary.p_value, summary.adj_p_value, summary.mle, 1.96 * summary.se, seconds)


def voom(cohort: Cohort) -> Answer | None:
    """limma-voom with duplicateCorrelation, twice over, as its authors advise."""
    if np.unique(cohort.donor).size > MOST_FIXED:
        return None
    with tempfile.TemporaryDirectory() as folder:
        pd.DataFrame(cohort.counts.T).to_csv(Path(folder) / "counts.csv")
        pd.DataFrame({"donor": cohort.donor}).to_csv(Path(folder) / "samples.csv")
        pd.DataFrame(cohort.design).to_csv(Path(folder) / "design.csv", index=False)
        subprocess.run(["Rscript", str(R_SCRIPT), folder], check=True, capture_output=True)
        table = pd.read_csv(Path(folder) / "result.csv")
        seconds = float((Path(folder) / "cpu.txt").read_text())
    half_width = LN2 * table["se"] * student.ppf(0.975, table["df"])
    parts = (table["p_value"], table["adj_p_value"], LN2 * table["log_fc"], half_width)
    return Answer(*(part.to_numpy() for part in parts), seconds)


def scores(cohort: Cohort, answer: Answer) -> dict[str, float]:
    """How well a method did."""
    status = (cohort.log_fc != 0).astype(int)
    calls = called(answer.adj_p_value, 0.05)
    inside = np.abs(answer.estimate - cohort.log_fc) <= answer.half_width
    return {
        "calls": calls.sum(),
        "false": (calls & (status == 0)).sum(),
        "FDR": np.nan_to_num(fdp(calls, status)),
        "TPR": tpr(calls, status),
        "TPR at 5 % FDP": tpr_at_fdp(answer.p_value, status, 0.05),
        "null p < .05": null_share(answer.p_value, status, 0.05),
        "coverage": inside.mean(),
        "coverage, changed": inside[status == 1].mean(),
        "seconds": answer.seconds,
    }


def airway() -> Cohort:
    """Four donors, with and without dexamethasone."""
    counts, samples = read_counts("airway")
    kept = counts.to_numpy().sum(0) >= 10
    treated = (samples["dex"] == "trt").to_numpy().astype(float)
    column = "cell_line" if "cell_line" in samples else "cell"
    y = counts.to_numpy(dtype=float)[:, kept]
    return Cohort(
        y, np.column_stack([np.ones(len(y)), treated]), pd.factorize(samples[column])[0], np.full(y.shape[1], np.nan)
    )


def simulations(options: argparse.Namespace) -> Iterator[dict]:
    """A row for each data set and method."""
    methods: dict[str, Callable[[Cohort], Answer | None]] = {
        kind: partial(ours, donors=kind) for kind in ("random", "fixed", "ignored")
    }
    if options.voom:
        methods["voom"] = voom
    for name, (samples, how) in SCENARIOS.items():
        if options.only not in name:
            continue
        for seed in range(options.seeds):
            cohort = simulate(samples, seed, n_genes=options.genes, **how)
            for method, answer_of in methods.items():
                answer = answer_of(cohort)
                if answer is not None:
                    yield {"scenario": name, "seed": seed, "method": method, **scores(cohort, answer)}


def cost() -> None:
    """CPU seconds of the regressions, and of the whole analysis."""
    for n_donors in (6, 12, 30):
        cohort = simulate(paired(n_donors), 0, n_genes=18_000)
        offset = np.log(median_of_ratios(cohort.counts).size_factors)
        given = {"offset": offset, "ridge": effect_ridge(cohort.design)}
        started = time.process_time()
        fit_genes(cohort.counts, cohort.design, **given)
        plain = time.process_time()
        fit_donor_genes(cohort.counts, cohort.design, cohort.donor, **given)
        mixed = time.process_time()
        whole = {kind: ours(cohort, kind) for kind in ("ignored", "random", "fixed")}
        words = ", ".join(f"{kind} {answer.seconds:.2f}" for kind, answer in whole.items() if answer is not None)
        print(f"{n_donors} pairs: plain {plain - started:.2f}, with donors {mixed - plain:.2f}; whole: {words}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--genes", type=int, default=3000)
    parser.add_argument("--only", default="")
    parser.add_argument("--voom", action="store_true")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    if options.real:
        cohort = airway()
        answers = {kind: ours(cohort, kind) for kind in ("fixed", "random", "ignored")}
        for kind, answer in answers.items():
            if answer is None:
                continue
            both = called(answer.adj_p_value, 0.05) & called(answers["fixed"].adj_p_value, 0.05)
            calls = called(answer.adj_p_value, 0.05).sum()
            rank = pd.Series(answer.p_value).corr(pd.Series(answers["fixed"].p_value), method="spearman")
            print(f"airway, donors {kind}: {calls} calls, {both.sum()} shared with fixed, rank correlation {rank:.3f}")
        return
    warm = simulate(paired(4), 0, n_genes=200)
    for kind in ("random", "fixed", "ignored"):
        ours(warm, kind)  # compile
    if options.cost:
        cost()
        return
    table = pd.DataFrame(simulations(options))
    mean = table.groupby(["scenario", "method"], sort=False).mean().drop(columns="seed")
    total = table.groupby(["scenario", "method"], sort=False)[["calls", "false"]].sum()
    mean.insert(2, "false of all calls", total["false"] / total["calls"].clip(1))
    print(mean.round(3).to_string())


if __name__ == "__main__":
    main()
