import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from benchmarks.outliers import compare, inject


@pytest.fixture
def adata() -> AnnData:
    adata = bulkvi.datasets.simulate(n_per_group=10, n_genes=250, de_share=0.0)
    adata = adata[:, np.asarray(adata.X).mean(0) >= 10].copy()
    bulkvi.pp.size_factors(adata)
    return adata


def test_injected_counts_are_z_standard_deviations_off(adata: AnnData):
    changed, side = inject(adata, 4, 0.02, 0)
    x, s = np.asarray(adata.X, dtype=float), adata.obs["size_factor"].to_numpy()[:, None]
    y = np.log2(x / s + 1)
    placed = np.asarray(changed.X)
    expected = np.round(s * 2 ** (y.mean(0) + 4 * side * y.std(0, ddof=1)))
    np.testing.assert_allclose(placed[side != 0], expected[side != 0], rtol=1e-6)
    np.testing.assert_array_equal(placed[side == 0], x[side == 0])
    assert (side != 0).mean() == pytest.approx(0.02, abs=0.01)
    np.testing.assert_array_equal(inject(adata, 4, 0.02, 0)[1], side)
    assert (inject(adata, 4, 0.02, 1)[1] != side).any()


@pytest.mark.slow
def test_every_method_is_scored(adata: AnnData):
    rows = compare(*inject(adata, 6, 0.01, 0))
    assert [row["method"] for row in rows][0] == "bulkvi"
    assert len(rows) == 5
    assert all(0 <= row[name] <= 1 for row in rows for name in ("both", "up", "down"))
    assert rows[0]["both"] > 0.7
