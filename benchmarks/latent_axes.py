"""Do known groups come apart in the latent representation, and what does shrinking the loadings give?

``python -m benchmarks.latent_axes [COHORT ...]``; the figures are in ``docs/method/model.md``.
"""

import sys

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA

import bulkvi as bv
from benchmarks.generative_data import COHORTS, load
from benchmarks.generative_latent import separation

N_GENES = 3_000
N_COMPONENTS = (5, 10)


def representations(adata: AnnData) -> dict[str, np.ndarray]:
    """Latent states of a model with defaults and no design, and principal components of log(1 + count / size factor)."""
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    model = bv.BulkVI(adata)
    model.train(progress_bar=False)
    log_counts = np.log1p(np.asarray(adata.X, dtype=float) / adata.obs["size_factor"].to_numpy()[:, None])
    components = {
        f"PCA, {n} components": PCA(n, svd_solver="full").fit_transform(log_counts)
        for n in N_COMPONENTS
        if n < adata.n_obs
    }
    return {
        "whitened": model.get_latent_representation(axes="whitened"),
        "decoded rates, not shrunk": np.log(model.get_normalized_expression(return_numpy=True)),
        "principal axes": model.get_latent_representation(),
    } | components


def scores(cohort: str, n_genes: int = N_GENES) -> pd.DataFrame:
    """Silhouette of the known groups, and share of samples whose nearest neighbour is of the same group."""
    adata = load(cohort, n_genes)
    labels = adata.obs["label"].to_numpy()
    rows = {name: separation(state, labels) for name, state in representations(adata).items()}
    return pd.DataFrame(rows).T[["silhouette", "nearest"]]


if __name__ == "__main__":
    for name in sys.argv[1:] or COHORTS:
        print(name, scores(name).round(3).to_string(), sep="\n", flush=True)
