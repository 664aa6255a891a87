import numpy as np

from benchmarks.latent_axes import representations
from tests.cohorts import make_cohort


def test_each_representation_has_a_row_for_each_sample():
    adata = make_cohort()
    states = representations(adata)
    assert list(states)[-2:] == ["PCA, 5 components", "PCA, 10 components"]
    for state in states.values():
        assert len(state) == adata.n_obs
        assert np.isfinite(state).all()
