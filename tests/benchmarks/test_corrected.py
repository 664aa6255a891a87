import numpy as np
import pandas as pd

from benchmarks.corrected import scores, without_batch
from tests.cohorts import make_cohort


def test_linear_batch_effects_are_removed_and_the_group_is_kept(rng: np.random.Generator):
    group, batch = pd.Series(list("aaabbb") * 2), pd.Series(list("xyxyxy") + list("xxyyxy"))
    true = rng.normal(size=(1, 5)) + np.outer(group == "b", [1, 2, 0, 0, -1])
    found = without_batch(true + np.outer(np.where(batch == "x", 1, -1), rng.normal(size=5)), batch, group)
    np.testing.assert_allclose(found, true, atol=1e-9)


def test_scores_have_a_row_for_each_method():
    adata = make_cohort()
    adata.obs["label"] = adata.obs["group"]
    table = scores(adata)
    assert np.isfinite(table.to_numpy()).all()
    assert (table["batch nearest"].to_numpy() <= 1).all()
    assert len(table) == 4
