"""Latent space: are known groups apart in it, are batches mixed?"""

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances, silhouette_score


def principal_components(adata: AnnData, n_components: int, *, without_batch: bool = False) -> np.ndarray:
    """Principal components of log(1 + count / size factor).

    ``without_batch`` subtracts the mean of each batch from each gene before.
    """
    x = np.log1p(np.asarray(adata.X, dtype=float) / adata.obs["size_factor"].to_numpy()[:, None])
    if without_batch:
        x = x - pd.DataFrame(x).groupby(adata.obs["batch"].to_numpy()).transform("mean").to_numpy()
    return PCA(min(n_components, adata.n_obs - 1), svd_solver="full").fit_transform(x)


def separation(z: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """How far apart groups are.

    - ``silhouette``: mean over the samples of (nearest other group - own group) / the larger of them, as mean distances;
      -1 to 1, 0 for groups that overlap
    - ``nearest``: share of samples whose nearest other sample has the same label
    - ``nearest_by_chance``: the same for random labels of the same sizes
    """
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    distance = pairwise_distances(z)
    np.fill_diagonal(distance, np.inf)
    return {
        "silhouette": float(silhouette_score(z, codes)),
        "nearest": float((codes[distance.argmin(1)] == codes).mean()),
        "nearest_by_chance": float((sizes * (sizes - 1)).sum() / (codes.size * (codes.size - 1))),
    }


def known_groups(z: np.ndarray, adata: AnnData) -> dict[str, float]:
    """Separation of the labels, and of the batches where there are any (columns ``batch_...``)."""
    found = separation(z, adata.obs["label"].to_numpy())
    if "batch" in adata.obs:
        of_batches = separation(z, adata.obs["batch"].to_numpy())
        found |= {f"batch_{name}": value for name, value in of_batches.items()}
    return found
