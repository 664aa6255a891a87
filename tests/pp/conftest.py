"""Small AnnData of counts, and a check that an error leaves it alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData


@pytest.fixture
def cohort(rng: np.random.Generator) -> AnnData:
    """10 samples of different depth x 40 genes, some of them with zeros."""
    depth = 2 ** rng.uniform(-2, 2, size=(10, 1))
    counts = rng.negative_binomial(5, 5 / (5 + depth * np.exp(rng.normal(3, 2, size=40))))
    counts[:, 5] += 1
    return AnnData(
        counts.astype(np.float32),
        obs=pd.DataFrame({"group": ["a", "b"] * 5}, index=[f"s{i}" for i in range(10)]),
        var=pd.DataFrame({"symbol": "x"}, index=[f"g{i}" for i in range(40)]),
    )


@pytest.fixture
def raises_and_changes_nothing() -> Callable:
    """A ``pytest.raises`` that also compares the AnnData before and after."""

    @contextmanager
    def check(adata: AnnData, error: type[Exception], match: str) -> Iterator[None]:
        before = adata.to_memory() if adata.isbacked else adata.copy()
        with pytest.raises(error, match=match):
            yield
        after = adata.to_memory() if adata.isbacked else adata
        pd.testing.assert_frame_equal(after.obs, before.obs)
        pd.testing.assert_frame_equal(after.var, before.var)
        np.testing.assert_array_equal(after.X, before.X)
        assert after.layers.keys() == before.layers.keys()
        assert after.uns.keys() == before.uns.keys()

    return check
