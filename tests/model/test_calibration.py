import pandas as pd
import pytest
from anndata import AnnData

from tests.cohorts import set_up


def test_calibration_permutes_the_labels_of_the_registered_samples(cohort: AnnData) -> None:
    model = set_up(cohort[:, :60].copy())
    one, again = (
        model.calibrate("group", "B", "A", n_permutations=3, seed=1, progress_bar=False, n_jobs=n_jobs)
        for n_jobs in (1, 2)
    )
    assert one.n_relabellings == 3
    pd.testing.assert_frame_equal(one.fdr, again.fdr)
    model.adata.obs["group"] = model.adata.obs["group"].map({"A": "B", "B": "A"}).astype("category")
    with pytest.raises(ValueError, match=r"adata.obs\['group'\] has other values"):
        model.calibrate("group", "B", "A", n_permutations=3, progress_bar=False)
