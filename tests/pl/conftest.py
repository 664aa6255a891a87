"""A small cohort to draw, and figures that need no display and are closed after each test."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    plt.switch_backend("agg")
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def cohort(rng: np.random.Generator) -> AnnData:
    """6 samples x 30 genes with a latent state of 3 dimensions; one sample has no stage and no age."""
    depth = np.array([[1.0], [2.0], [4.0], [0.5], [1.5], [0.8]])
    obs = pd.DataFrame(
        {
            "stage": pd.Categorical(["virgin", "lactation", "virgin", None, "lactation", "pregnancy"]),
            "age": [10.0, 20.0, 30.0, np.nan, 50.0, 60.0],
            "treated": [True, False, True, False, True, False],
            "size_factor": depth.ravel(),
        },
        index=[f"s{i}" for i in range(6)],
    )
    adata = AnnData(rng.poisson(100 * depth, size=(6, 30)).astype(np.float32), obs=obs)
    adata.obsm["X_bulkvi"] = rng.normal(size=(6, 3))
    return adata


@pytest.fixture
def history() -> dict[str, pd.DataFrame]:
    """As scvi-tools keeps it: a table of one column of objects for each quantity."""
    values = {
        "elbo_train": [9.0, 5.0, 4.0],
        "elbo_validation": [9.5, 6.0, 5.5],
        "kl_local_train": [0.1, 0.5, 0.6],
        "train_loss": [9.0, 5.0, 4.0],
    }
    epochs = pd.RangeIndex(3, name="epoch")
    return {key: pd.DataFrame({key: numbers}, index=epochs, dtype=object) for key, numbers in values.items()}
