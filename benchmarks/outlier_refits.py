"""Leave-one-out by cavity beside a model that was trained without the sample: ``python -m benchmarks.outlier_refits``.

For some samples of a cohort, tail probabilities of `bulkvi.tl.outliers`, and of a network, last layer and size factors that were
learned from the other samples.
"""

import argparse

import numpy as np
from anndata import AnnData
from scipy.stats import kstest, spearmanr

import bulkvi as bv
from benchmarks.outliers import cohort
from bulkvi.regression.outliers import score_samples


def trained(adata: AnnData) -> bv.BulkVI:
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = bv.BulkVI(adata)
    model.train(progress_bar=False)
    return model


def compare(adata: AnnData, n_samples: int) -> dict[str, float]:
    """Agreement of the two, over the counts of some samples."""
    cavity = bv.tl.outliers(trained(adata.copy()), progress_bar=False).scores.p_value
    chosen = np.random.default_rng(0).choice(adata.n_obs, n_samples, replace=False)
    refitted = []
    for sample in chosen:
        others = adata[np.arange(adata.n_obs) != sample].copy()
        model = trained(others)
        offset = np.log(adata.obs["size_factor"].to_numpy()[[sample]])
        x = np.asarray(adata.X, dtype=float)[[sample]]
        refitted.append(score_samples(x, model.last_layer().posterior, np.ones((1, 1)), offset).p_value[0])
    one, other = cavity[chosen].ravel(), np.ravel(refitted)
    difference = np.abs(np.log10(one) - np.log10(other))
    small = np.minimum(one, other) < 1e-3
    return {
        "spearman": float(spearmanr(one, other).statistic),
        "median |log10 ratio|": float(np.median(difference)),
        "ks, cavity": float(kstest(one, "uniform").statistic),
        "ks, refitted": float(kstest(other, "uniform").statistic),
        "below 1e-3, cavity": float((one < 1e-3).mean()),
        "below 1e-3, refitted": float((other < 1e-3).mean()),
        "correlation of log p where one is below 1e-3": float(
            np.corrcoef(np.log(one[small]), np.log(other[small]))[0, 1]
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohorts", nargs="*", default=["bottomly", "geuvadis_sex"])
    parser.add_argument("--samples", type=int, default=5)
    arguments = parser.parse_args()
    for name in arguments.cohorts:
        print(name, compare(cohort(name), arguments.samples), flush=True)


if __name__ == "__main__":
    main()
