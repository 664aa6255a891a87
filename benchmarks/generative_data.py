"""The cohorts of the generative benchmark, and samples held out of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import bulkvi as bv
from benchmarks.heldout_split import random_split

MIN_COUNTS = 10


@dataclass(frozen=True)
class Cohort:
    """Known groups and batches of a cohort; no model is given the label."""

    label: tuple[str, ...]
    """Columns of obs that together name the known groups."""
    n_held_out: int
    batch: str | None = None
    strata: tuple[str, ...] = ()
    """Columns of which every combination keeps a sample in training."""


COHORTS = {
    "gse60450": Cohort(("cell_type", "stage"), 2, strata=("cell_type", "stage")),
    "bottomly": Cohort(("strain",), 4, batch="batch", strata=("strain", "batch")),
    "geuvadis_sex": Cohort(("sex",), 17, strata=("sex",)),
    "gtex_skin": Cohort(("tissue",), 4, batch="center", strata=("tissue",)),
    "fission": Cohort(("minute",), 7, batch="replicate", strata=("strain", "minute")),
    "hammer": Cohort(("protocol", "time"), 2, strata=("protocol", "time")),
}


def load(name: str, n_genes: int | None = None) -> AnnData:
    """Counts with the columns ``label``, ``batch`` (where one is known), ``strata``, ``size_factor`` and ``depth``.

    All genes with at least ``MIN_COUNTS`` counts; ``n_genes`` of them at random if given.
    """
    cohort = COHORTS[name]
    if name == "gse60450":
        adata = bv.datasets.gse60450()
        adata = adata[:, np.asarray(adata.X).sum(0) >= MIN_COUNTS].copy()
    else:
        folder = Path(os.environ["BULKVI_DATA_DIR"]) / name
        samples = pd.read_csv(folder / "samples.tsv", sep="\t", index_col=0, dtype=str)
        counts = pd.read_csv(folder / "counts.tsv.gz", sep="\t", index_col=0)[samples.index].T
        counts = counts.loc[:, counts.sum() >= MIN_COUNTS]
        adata = AnnData(counts, obs=samples)
    if n_genes is not None:
        genes = np.random.default_rng(0).permutation(adata.n_vars)[:n_genes]
        adata = adata[:, np.sort(genes)].copy()
    obs = pd.DataFrame({"label": _joined(adata.obs, cohort.label)}, index=adata.obs_names)
    obs["strata"] = _joined(adata.obs, cohort.strata)
    if cohort.batch is not None:
        obs["batch"] = adata.obs[cohort.batch].astype(str)
    own = AnnData(np.asarray(adata.X, dtype=np.float32), obs=obs, var=pd.DataFrame(index=adata.var_names))
    with_size_factors(own, own)
    return own


def _joined(obs: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    return obs[list(columns)].astype(str).agg("/".join, axis=1)


def with_size_factors(adata: AnnData, reference: AnnData) -> None:
    """Write ``size_factor`` (median of ratios) and ``depth``, the same times the mean total count of the reference.

    The totals are those of genes that the models see; ``depth`` is what a decoder of proportions can take for a size factor.
    """
    if adata is reference:
        bv.pp.size_factors(adata)
    else:
        bv.pp.size_factors(adata, reference=reference)
    adata.obs["depth"] = adata.obs["size_factor"] * float(np.asarray(reference.X).sum(1).mean())


def split(adata: AnnData, n_held_out: int, seed: int) -> tuple[AnnData, AnnData]:
    """Training samples and held-out samples, whose size factors are relative to the former.

    Genes without a count in the training samples are left out of both.
    """
    parts = random_split(adata.obs["strata"].to_numpy(), n_held_out, seed)
    seen = np.asarray(adata.X)[parts.train].sum(0) > 0
    train, held_out = adata[parts.train, seen].copy(), adata[parts.held_out, seen].copy()
    with_size_factors(train, train)
    with_size_factors(held_out, train)
    return train, held_out
