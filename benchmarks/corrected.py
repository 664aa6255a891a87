"""Is the batch gone from corrected expression, and is the strain still there? bottomly: two strains, three batches.

``python -m benchmarks.corrected``; the figures are in ``docs/method/model.md``.
"""

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA

import bulkvi as bv
from benchmarks.generative_data import load
from benchmarks.generative_latent import separation

N_GENES = 3_000
N_COMPONENTS = 5
N_PARTS = 6
"""Genes by mean expression, over which the standard deviation is compared."""


def without_batch(values: np.ndarray, batch: pd.Series, group: pd.Series) -> np.ndarray:
    """Subtract batch effects of a linear model with the group, which sum to zero over the batches: limma's removeBatchEffect."""
    groups = pd.get_dummies(group, dtype=float).to_numpy()
    batches = pd.get_dummies(batch, dtype=float).to_numpy()
    effects = batches[:, :-1] - batches[:, [-1]]
    coefficients = np.linalg.lstsq(np.hstack([groups, effects]), values, rcond=None)[0]
    return values - effects @ coefficients[groups.shape[1] :]


def expressions(adata: AnnData) -> dict[str, np.ndarray]:
    """Log2 expression of all samples by method."""
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="batch", design="~ label")
    model = bv.BulkVI(adata)
    logs = np.log2(1 + np.asarray(adata.X, dtype=float) / adata.obs["size_factor"].to_numpy()[:, None])
    return {
        "log2(1 + count / size factor)": logs,
        "the same, linear batch effects removed": without_batch(logs, adata.obs["batch"], adata.obs["label"]),
        "get_corrected_expression([])": model.get_corrected_expression([]).to_numpy(),
        "get_corrected_expression()": model.get_corrected_expression().to_numpy(),
    }


def scores(adata: AnnData) -> pd.DataFrame:
    """Separation of strains and batches by principal components, and median standard deviation of genes by mean expression."""
    mean = np.asarray(adata.X / adata.obs["size_factor"].to_numpy()[:, None]).mean(0)
    part = pd.qcut(mean, N_PARTS, labels=False)
    rows = {}
    for name, values in expressions(adata).items():
        components = PCA(N_COMPONENTS, svd_solver="full").fit_transform(values)
        strain, batch = (separation(components, adata.obs[column].to_numpy()) for column in ("label", "batch"))
        spread = pd.Series(values.std(0)).groupby(part).median()
        rows[name] = {
            "strain silhouette": strain["silhouette"],
            "batch silhouette": batch["silhouette"],
            "batch nearest": batch["nearest"],
            "batch nearest by chance": batch["nearest_by_chance"],
            "sd, lowest sixth": spread.iloc[0],
            "sd, highest sixth": spread.iloc[-1],
        }
    return pd.DataFrame(rows).T


if __name__ == "__main__":
    print(scores(load("bottomly", N_GENES)).round(3).to_string())
