"""Tail probabilities where nothing was injected: ``python -m benchmarks.outlier_heldout``.

Held-out samples are scored by a reference built from the others, the others by leave-one-out; genes with a mean count above 10 in the
training samples. Kolmogorov's distance from the uniform distribution, and the shares of p-values below .05 and .001.
"""

import argparse
from typing import Any

import numpy as np
from scipy.stats import kstest

import bulkvi as bv
from benchmarks.generative_data import COHORTS, load, split

MIN_MEAN = 10
N_GENES = 2_000


def calibration(p_value: np.ndarray) -> dict[str, float]:
    """Distance from the uniform distribution, of all and of the worst sample, and shares of small p-values."""
    return {
        "ks": kstest(p_value.ravel(), "uniform").statistic,
        "ks, worst sample": max(kstest(row, "uniform").statistic for row in p_value),
        "below .05": (p_value < 0.05).mean(),
        "below .001": (p_value < 1e-3).mean(),
    }


def measure(name: str, seed: int, n_genes: int) -> dict[str, dict[str, Any]]:
    """Calibration of held-out samples and of leave-one-out."""
    train, held_out = split(load(name, n_genes), COHORTS[name].n_held_out, seed)
    bv.BulkVI.setup_anndata(train, size_factor_key="size_factor")
    model = bv.BulkVI(train)
    model.train(progress_bar=False)
    reference = bv.Reference.from_model(model, name=name)
    common = train.var_names[np.asarray(train.X).mean(0) > MIN_MEAN]
    new, cohort = reference.score(held_out), bv.tl.outliers(model, progress_bar=False)
    return {
        kind: calibration(scores.table("p_value")[common].to_numpy()) | {"calls": len(scores.calls())}
        for kind, scores in (("held out", new), ("leave-one-out", cohort))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohorts", nargs="*", default=["bottomly", "geuvadis_sex", "fission", "gtex_skin"])
    parser.add_argument("--genes", type=int, default=N_GENES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.cohorts:
        for kind, found in measure(name, arguments.seed, arguments.genes).items():
            print(name, kind, {key: round(float(value), 4) for key, value in found.items()}, flush=True)


if __name__ == "__main__":
    main()
