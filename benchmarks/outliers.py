"""Injected outliers, after the authors of OUTRIDER (Brechtmann et al. 2018): ``python -m benchmarks.outliers``.

A count is replaced, with probability ``frequency``, by ``round(s 2^(mu + z sd))`` or ``round(s 2^(mu - z sd))``, where mu and sd are mean
and standard deviation over the samples of log2(count / s + 1) of its gene. Genes with a mean count of at least 10. The score of a
method is the area under its precision-recall curve over all counts of the cohort: counts that were outliers before anything was
injected are false for every method. Principal components get the number that is best for these very outliers, and the autoencoder
the same number.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import kstest
from sklearn.metrics import average_precision_score

import bulkvi as bv
from benchmarks.generative_data import load
from benchmarks.outlier_methods import autoencoder_scores, bulkvi_scores, component_scores, gene_wise_scores

MIN_MEAN = 10
N_GENES = {"bottomly": 4_000, "geuvadis_sex": 1_500}
Z_SCORES = (2, 3, 4, 6)
FREQUENCIES = {"single": 5e-4, "frequent": 1e-2}
SIDES = {"both": 0, "up": 1, "down": -1}


def inject(adata: AnnData, z: float, frequency: float, seed: int) -> tuple[AnnData, np.ndarray]:
    """Copy a cohort and put outliers into it; returns it and the side of each outlier (1, -1; 0 for none), samples x genes."""
    rng = np.random.default_rng([seed, int(10 * z)])
    x, s = np.asarray(adata.X, dtype=float), adata.obs["size_factor"].to_numpy()[:, None]
    log_rate = np.log2(x / s + 1)
    side = np.where(rng.random(x.shape) < frequency, rng.choice([-1, 1], x.shape), 0)
    replaced = np.round(s * 2 ** (log_rate.mean(0) + side * z * log_rate.std(0, ddof=1)))
    side = np.where((replaced == x) | (replaced > 1e8), 0, side)
    changed = adata.copy()
    changed.X = np.where(side != 0, replaced, x).astype(np.float32)
    bv.pp.size_factors(changed)
    return changed, side


def cohort(name: str) -> AnnData:
    """Genes with a mean count of at least `MIN_MEAN`, some of them at random."""
    adata = load(name)
    adata = adata[:, np.asarray(adata.X).mean(0) >= MIN_MEAN].copy()
    chosen = np.random.default_rng(0).permutation(adata.n_vars)[: N_GENES[name]]
    adata = adata[:, np.sort(chosen)].copy()
    bv.pp.size_factors(adata)
    return adata


def compare(adata: AnnData, side: np.ndarray) -> list[dict[str, Any]]:
    """Score every method; one row for each, and side of the outliers."""
    begin = time.perf_counter()
    ours, p_value = bulkvi_scores(adata)
    seconds = time.perf_counter() - begin
    components = component_scores(adata)
    best = max(
        (n for n in components if n), key=lambda n: average_precision_score(side.ravel() != 0, components[n].ravel())
    )
    scores = {
        "bulkvi": ours,
        "autoencoder, NB": autoencoder_scores(adata, best),
        "principal components, z-scores": components[best],
        "z-scores": components[0],
        "NB per gene": gene_wise_scores(adata),
    }
    clean = p_value[side == 0]
    rows = []
    for method, score in scores.items():
        row: dict[str, Any] = {"method": method, "n_components": best if method[0] in "ap" else np.nan}
        for name, sign in SIDES.items():
            used = (side == 0) | (side == sign) | (sign == 0)
            row[name] = average_precision_score(side[used] != 0, score[used])
        if method == "bulkvi":
            row |= {"ks": kstest(clean, "uniform").statistic, "below_001": (clean < 1e-3).mean(), "seconds": seconds}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohorts", nargs="*", default=list(N_GENES))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--frequencies", nargs="*", default=list(FREQUENCIES))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/outliers.csv"))
    arguments = parser.parse_args()
    found = []
    for name in arguments.cohorts:
        clean = cohort(name)
        for seed in range(arguments.seeds):
            for kind in arguments.frequencies:
                for z in Z_SCORES:
                    adata, side = inject(clean, z, FREQUENCIES[kind], seed)
                    label = {
                        "cohort": name,
                        "frequency": kind,
                        "z": z,
                        "seed": seed,
                        "n_outliers": int((side != 0).sum()),
                    }
                    rows = [label | row for row in compare(adata, side)]
                    found += rows
                    print(label, {row["method"]: round(row["both"], 3) for row in rows}, rows[0]["ks"], flush=True)
                    pd.DataFrame(found).to_csv(arguments.out, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
