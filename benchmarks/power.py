"""Does `tl.power` predict, from three against three, what six and ten against as many then find?

python -m benchmarks.power [--sets 8]

Pilot and future studies are disjoint replicates of one cohort. Yeast, WT against Snf2: changed genes are those of
`truth_yeast.consensus` (all clean replicates, the pilot's among them), and of the predictions only genes that it judges are counted, as genes
with few counts have no known effect. GEUVADIS, within a sex: the same effects, N(0, 0.8^2) for a tenth of the genes (log2), are thinned into
pilot and future studies. A future study is analysed by ``differential_expression`` with defaults, the network trained.
"""

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi as bv
from benchmarks.calibration_scenarios import MIN_COUNTS, read_counts, thin, yeast_replicates
from benchmarks.truth_yeast import consensus
from bulkvi.regression.simulate import draw_truth
from bulkvi.regression.simulate_study import analyse, draw_study, plan_study

PILOT, SIZES = 3, (6, 10)
DELTAS = (0.0, 0.3, 0.5, 1.0)
"""Absolute effects, log2, above which genes count as changed; 0 is any change."""
N_DRAWS, LEVEL, ALPHA = 9, 0.8, 0.05
CLOSE = 0.07


class Case(NamedTuple):
    """A pilot and its future studies."""

    name: str
    studies: dict[int, tuple[pd.DataFrame, np.ndarray]]
    """Counts and group (0, 1) by samples per group."""
    truth: pd.DataFrame
    """``log_fc`` (log2; NaN where unknown) and ``status`` (1: changed) of all genes."""


def yeast_cases(n_sets: int) -> Iterator[Case]:
    """WT against Snf2."""
    strains, truth = [yeast_replicates("WT"), yeast_replicates("Snf2")], consensus()
    for seed in range(n_sets):
        rng = np.random.default_rng([seed, 4242, 0])
        orders = [rng.permutation(len(strain)) for strain in strains]
        chosen = {PILOT: [order[:PILOT] for order in orders]}
        for n in SIZES:
            chosen[n] = [rng.permutation(order[PILOT:])[:n] for order in orders]
        studies = {
            n: (pd.concat([s.iloc[c] for s, c in zip(strains, of_n, strict=True)]), np.repeat([0, 1], n))
            for n, of_n in chosen.items()
        }
        yield Case(f"yeast {seed}", studies, truth)


def geuvadis_cases(n_sets: int) -> Iterator[Case]:
    """Men or women against like, effects thinned in."""
    counts, samples = read_counts("geuvadis_sex")
    for seed in range(-(-n_sets // 2)):
        for number, sex in enumerate(("male", "female"), 1):
            cohort = counts[samples["sex"] == sex]
            rng = np.random.default_rng([seed, 4242, number])
            order = rng.permutation(len(cohort))
            n_used = 2 * (PILOT + sum(SIZES))
            expressed = np.flatnonzero(cohort.iloc[order[:n_used]].to_numpy().sum(0) >= MIN_COUNTS)
            log_fc = np.zeros(cohort.shape[1])
            changed = rng.choice(expressed, round(0.1 * expressed.size), replace=False)
            log_fc[changed] = rng.normal(0, 0.8, changed.size)
            studies, begin = {}, 0
            for n in (PILOT, *SIZES):
                part, group = cohort.iloc[order[begin : begin + 2 * n]], np.repeat([0, 1], n)
                begin += 2 * n
                lowered = thin(part.to_numpy(), group, log_fc, rng)
                studies[n] = (pd.DataFrame(lowered, part.index, part.columns), group)
            truth = pd.DataFrame({"log_fc": log_fc, "status": (log_fc != 0).astype(int)}, cohort.columns)
            yield Case(f"geuvadis {sex} {seed}", studies, truth)


def model_of(counts: pd.DataFrame, group: np.ndarray) -> bv.BulkVI:
    """Set up a model, genes with few counts left out."""
    counts = counts.loc[:, counts.to_numpy().sum(0) >= MIN_COUNTS]
    obs = pd.DataFrame({"group": np.where(group == 1, "B", "A")}, [f"s{i}" for i in range(len(group))])
    adata = AnnData(counts.to_numpy(np.float32), obs=obs, var=pd.DataFrame(index=counts.columns))
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    return bv.BulkVI(adata)


def score(case: Case) -> Iterator[dict[str, object]]:
    """Measured and predicted shares of changed genes found, and calls, for each size."""
    plan = plan_study(model_of(*case.studies[PILOT]).gene_fit(), "group", "B", "A", latent_columns="auto", depth=1.0)
    genes = plan.study.genes
    truth = case.truth.reindex(genes)
    judged, size = truth["log_fc"].notna().to_numpy(), truth["log_fc"].abs().to_numpy()
    drawn = [draw_truth(plan.pilot, np.random.default_rng([0, draw])) for draw in range(N_DRAWS)]
    for n in SIZES:
        model = model_of(*case.studies[n])
        model.train(progress_bar=False)
        table = model.differential_expression("group", "B", "A")
        called = (table["adj_p_value"] < ALPHA).reindex(genes, fill_value=False).to_numpy()
        studies = [draw_study(plan, t, (n, n), np.random.default_rng([0, i, n])) for i, t in enumerate(drawn)]
        found = [analyse(plan, study).adj_p_value < ALPHA for study in studies]
        for delta in DELTAS:
            changed = judged & ((truth["status"] == 1).to_numpy() if delta == 0 else size > delta)
            large = [judged & (np.abs(t.effect) > delta * np.log(2)) for t in drawn]
            predicted = [f[k].mean() if k.any() else 0.0 for f, k in zip(found, large, strict=True)]
            yield _row(case.name, n, f"share above {delta:g}", float(called[changed].mean()), predicted)
        yield _row(case.name, n, "calls", float(called.sum()), [float(f.sum()) for f in found])


def _row(name: str, n: int, what: str, measured: float, predicted: list[float]) -> dict[str, object]:
    low, high = np.quantile(predicted, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="weibull")
    expected = float(np.mean(predicted))
    return {
        "cohort": name.split()[0],
        "set": name,
        "n": n,
        "what": what,
        "measured": measured,
        "predicted": expected,
        "error": expected - measured,
        "close": abs(expected - measured) < CLOSE,
        "held": low <= measured <= high,
        "width": high - low,
    }


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the sets; ``close`` and ``held`` are counts, ``se`` is the standard error of the mean error."""
    by = rows.groupby(["cohort", "what", "n"])
    table = by[["measured", "predicted", "error", "width"]].mean()
    table["se"] = by["error"].sem()
    return table.join(by[["close", "held"]].sum().astype(int)).assign(sets=by.size())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=8)
    n_sets = parser.parse_args().sets
    cases = [*yeast_cases(n_sets), *geuvadis_cases(n_sets)]
    print(summarise(pd.DataFrame([row for case in cases for row in score(case)])).round(3).to_string())
