"""Size factors from the genes that a user takes for unchanged."""

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi.pp as pp

SPIKES = [f"ERCC-{k}" for k in range(8)]


@pytest.fixture
def spiked() -> AnnData:
    """Eight spike-ins behind 60 genes that double in half of the samples."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 2, 6)[:, None]
    genes = rng.poisson(rng.lognormal(4, 1, 60) * depth * np.repeat([1, 2], 3)[:, None])
    counts = np.hstack([genes, rng.poisson(rng.lognormal(5, 0.5, 8) * depth)]).astype(np.float32)
    names = [f"g{k}" for k in range(60)] + SPIKES
    adata = AnnData(counts, var=pd.DataFrame({"symbol": [f"S{k}" for k in range(68)]}, index=names))
    adata.var["spike"] = adata.var_names.isin(SPIKES)
    adata.layers["length"] = rng.uniform(500, 2_000, counts.shape)
    return adata


@pytest.mark.parametrize("method", ["median_of_ratios", "poscounts"])
@pytest.mark.parametrize("offset", [None, "length"])
def test_factors_are_those_of_the_control_genes_alone(spiked: AnnData, method: Any, offset: str | None) -> None:
    """DESeq2's controlGenes: geometric means are by gene, the median is over the control genes."""
    alone = spiked[:, SPIKES].copy()
    pp.size_factors(alone, method=method, offset_key=offset)
    pp.size_factors(spiked, method=method, offset_key=offset, control_genes=SPIKES)
    np.testing.assert_allclose(spiked.obs["size_factor"], alone.obs["size_factor"], rtol=1e-12)
    column = "log_geometric_mean" if offset is None else "log_geometric_mean_per_offset"
    assert np.isneginf(spiked.var[column]).tolist() == [True] * 60 + [False] * 8


FORMS: dict[str, Callable[[AnnData], Any]] = {
    "tuple of names": lambda adata: tuple(SPIKES),
    "index": lambda adata: adata.var_names[60:],
    "names that repeat": lambda adata: [*SPIKES, *SPIKES],
    "mask": lambda adata: adata.var_names.str.startswith("ERCC-"),
    "list of truth values": lambda adata: adata.var["spike"].tolist(),
    "series by gene, in another order": lambda adata: adata.var["spike"].iloc[::-1],
    "series that may have missing values": lambda adata: adata.var["spike"].astype("boolean"),
    "column": lambda adata: "spike",
    "symbols": lambda adata: adata.var["symbol"].iloc[60:].tolist(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_names_the_same_genes(spiked: AnnData, form: Callable[[AnnData], Any]) -> None:
    expected = spiked.copy()
    pp.size_factors(expected, control_genes=SPIKES)
    pp.size_factors(spiked, control_genes=form(spiked))
    pd.testing.assert_series_equal(spiked.obs["size_factor"], expected.obs["size_factor"])


def test_a_column_of_zeros_and_ones_is_a_mask(spiked: AnnData) -> None:
    spiked.var["control"] = spiked.var["spike"].astype(int)
    pp.size_factors(spiked, control_genes="control")
    assert spiked.uns["size_factor_source"]["columns"]["size_factor"]["n_control_genes"] == 8


def test_new_samples_are_measured_on_the_control_genes_of_the_reference(spiked: AnnData) -> None:
    pp.size_factors(spiked, control_genes=SPIKES)
    new = spiked[:3].copy()
    new.X[:, :60] *= 4
    del new.uns["size_factor_source"]
    pp.size_factors(new, reference=spiked)
    np.testing.assert_allclose(new.obs["size_factor"], spiked.obs["size_factor"].iloc[:3], rtol=1e-12)
    assert new.uns["size_factor_source"]["columns"]["size_factor"]["n_control_genes"] == 8
    whole = spiked.copy()
    pp.size_factors(whole)
    pp.size_factors(new, reference=whole, control_genes=SPIKES[:5])
    record = new.uns["size_factor_source"]["columns"]["size_factor"]
    assert (record["n_control_genes"], record["reference"]) == (5, True)


def test_control_genes_that_were_filtered_out_are_left_out_with_a_warning(spiked: AnnData) -> None:
    spiked.X[:, 60:62] = 0
    pp.filter_genes(spiked, min_counts=10)
    with pytest.warns(UserWarning, match=r"2 of 8 control genes are not among.*'ERCC-0', 'ERCC-1'.*filter_genes"):
        pp.size_factors(spiked, control_genes=SPIKES)
    assert spiked.uns["size_factor_source"]["columns"]["size_factor"]["n_control_genes"] == 6


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no such column": ("ERCC-", KeyError, r"not a column of adata.var.*str.startswith\('ERCC-'\)"),
    "no such gene": (["a", "b", "c"], KeyError, "none of the 3 names.*filter_genes"),
    "none": ([], ValueError, "0 are among the genes, and at least 3 are needed"),
    "two": (SPIKES[:2], ValueError, "2 are among the genes, and at least 3"),
    "short mask": ([True] * 5, ValueError, "mask of 5 values; adata has 68 genes"),
    "positions": ([60, 61, 62], TypeError, "names of genes.*it holds 60"),
    "number": (3, TypeError, "list of gene names.*type int"),
    "table": (pd.DataFrame({"a": [True]}), TypeError, "type DataFrame"),
    "text column": ("symbol", ValueError, "must hold True or False"),
    "series of other genes": (
        pd.Series(True, index=[f"x{k}" for k in range(68)]),
        ValueError,
        "Series by names such as",
    ),
    "missing": (pd.Series([True, None] * 34, dtype="boolean"), ValueError, "missing for 34 genes"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_other_things_are_refused_and_nothing_is_changed(
    spiked: AnnData, case: tuple[Any, type[Exception], str]
) -> None:
    given, error, message = case
    with pytest.raises(error, match=message):
        pp.size_factors(spiked, control_genes=given)
    assert "size_factor" not in spiked.obs and not spiked.uns


def test_control_genes_with_zeros_need_poscounts(spiked: AnnData) -> None:
    spiked.X[0, 60:66] = 0
    with pytest.raises(ValueError, match="2 of them have a count in every sample.*poscounts"):
        pp.size_factors(spiked, control_genes=SPIKES)
    pp.size_factors(spiked, control_genes=SPIKES, method="poscounts")
    spiked.X[0, 60:] = 0
    with pytest.raises(ValueError, match="every one of the 8 control genes has a zero"):
        pp.size_factors(spiked, control_genes=SPIKES)


def test_the_origin_is_recorded_by_column_and_survives_a_file(spiked: AnnData, tmp_path: Any) -> None:
    pp.size_factors(spiked)
    pp.size_factors(spiked, control_genes=SPIKES, key_added="spikes")
    spiked.write_h5ad(tmp_path / "a.h5ad")
    columns = ad.read_h5ad(tmp_path / "a.h5ad").uns["size_factor_source"]["columns"]
    assert {key: (record["method"], record["n_control_genes"]) for key, record in columns.items()} == {
        "size_factor": ("median_of_ratios", 0),
        "spikes": ("median_of_ratios", 8),
    }


def test_three_control_genes_are_enough_and_two_are_not(spiked: AnnData) -> None:
    pp.size_factors(spiked, control_genes=SPIKES[:3])
    assert spiked.uns["size_factor_source"]["columns"]["size_factor"]["n_control_genes"] == 3
    with pytest.raises(ValueError, match="2 are among the genes, and at least 3 are needed"):
        pp.size_factors(spiked, control_genes=SPIKES[:2])
