"""Where size factors come from, and whether the column still holds them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.model._fields import study_of
from bulkvi.regression.composition_shift import describe_source
from bulkvi.study.size_factors import SizeFactorSource, source_from, source_of
from tests.cohorts import make_cohort, set_up

OWN = SizeFactorSource("median_of_ratios", 0, reference=False)
USERS = SizeFactorSource()


def found(adata: AnnData) -> SizeFactorSource:
    return source_from(source_of(adata, "size_factor"))


def rounded_to_float32(adata: AnnData) -> AnnData:
    adata.obs["size_factor"] = adata.obs["size_factor"].astype(np.float32)
    return adata


def renamed(adata: AnnData) -> AnnData:
    adata.obs_names = [f"new {k}" for k in range(adata.n_obs)]
    return adata


KEPT: dict[str, Callable[[AnnData], AnnData]] = {
    "as it is": lambda adata: adata,
    "some samples": lambda adata: adata[::3].copy(),
    "a view": lambda adata: adata[5:],
    "another order": lambda adata: adata[::-1].copy(),
    "other names": renamed,
    "some genes": lambda adata: adata[:, :50].copy(),
    "single precision": rounded_to_float32,
}


@pytest.mark.parametrize("change", KEPT.values(), ids=KEPT)
def test_size_factors_stay_bulkvis_own(change: Callable[[AnnData], AnnData]) -> None:
    assert found(change(make_cohort())) == OWN


def replaced(adata: AnnData) -> AnnData:
    adata.obs["size_factor"] = np.linspace(0.5, 2, adata.n_obs)
    return adata


def one_replaced(adata: AnnData) -> AnnData:
    adata.obs.loc[adata.obs_names[3], "size_factor"] *= 1.01
    return adata


def without_record(adata: AnnData) -> AnnData:
    adata.uns.clear()
    return adata


def with_a_record_of_ones_own(adata: AnnData) -> AnnData:
    adata.uns["size_factor_source"] = "by hand"
    return adata


def beside_others(adata: AnnData) -> AnnData:
    other = make_cohort(seed=1)
    other.obs_names = [f"other {k}" for k in range(other.n_obs)]
    return ad.concat([adata, other], uns_merge="first")


CHANGED: dict[str, Callable[[AnnData], AnnData]] = {
    "replaced": replaced,
    "one replaced": one_replaced,
    "no record": without_record,
    "no such record": with_a_record_of_ones_own,
    "more samples": beside_others,
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_column_with_other_values_is_the_users(change: Callable[[AnnData], AnnData]) -> None:
    assert found(change(make_cohort())) == USERS


def test_the_model_keeps_the_origin_without_the_record(tmp_path: Path) -> None:
    """Also when it is loaded with the samples from another file."""
    adata = make_cohort()
    model = set_up(adata)
    adata.uns.pop("size_factor_source")
    assert study_of(model.registry, adata, {}).source == OWN
    model.save(str(tmp_path / "model"))
    again = adata.copy()
    again.uns.clear()
    loaded = bulkvi.BulkVI.load(str(tmp_path / "model"), adata=again)
    assert study_of(loaded.registry, loaded.adata, {}).source == OWN
    again.obs["size_factor"] *= np.linspace(0.9, 1.1, again.n_obs)
    assert study_of(loaded.registry, loaded.adata, {}).source == USERS


@pytest.mark.parametrize(
    ("source", "unchanged", "words"),
    [
        (OWN, True, "estimated from all genes"),
        (OWN._replace(reference=True), True, "estimated from all genes"),
        (OWN._replace(n_control_genes=1_200), False, "estimated from 1,200 control genes"),
        (USERS, False, "given by the user"),
    ],
)
def test_only_factors_from_all_genes_assume_that_most_do_not_change(
    source: SizeFactorSource, unchanged: Any, words: str
) -> None:
    assert source.most_genes_unchanged is unchanged
    assert words in describe_source(source)
