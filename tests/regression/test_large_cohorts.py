"""Cohorts of hundreds of samples without any effect: at their size the smallest bias would call genes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from tests.cohorts import fit


def n_calls(adata: AnnData, n_latent: int) -> tuple[int, int]:
    """Calls of group B against A at 5 %, by adjusted p-value and by s-value."""
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    table = fit(adata, max_steps=40, n_latent=n_latent).differential_expression("group", "B", "A")
    return int((table["adj_p_value"] < 0.05).sum()), int((table["s_value"] < 0.05).sum())


@pytest.mark.slow
def test_random_halves_of_a_human_cohort_have_no_calls(data_dir: Path, rng: np.random.Generator) -> None:
    counts = pd.read_csv(data_dir / "geuvadis_sex" / "counts.tsv.gz", sep="\t", index_col=0)
    counts = counts[counts.mean(axis=1) >= 10][::3]  # thousands of genes, in a third of the time
    adata = AnnData(counts.T.astype(np.float32))
    bulkvi.pp.size_factors(adata)
    assert adata.n_obs == 85
    for _ in range(3):
        adata.obs["group"] = rng.permutation(np.repeat(["A", "B"], [42, 43]))
        assert n_calls(adata, n_latent=10) == (0, 0)


@pytest.mark.slow
def test_three_hundred_against_three_hundred_have_no_calls() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=300, n_genes=2000, de_share=0, trend="geuvadis", seed=0)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    assert n_calls(adata, n_latent=3) == (0, 0)
