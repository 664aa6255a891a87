"""Who decides where zero is: the genes, or the size factors."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.regression import hidden as _hidden
from tests.cohorts import fit, make_hidden

N_GENES, N_SPIKES = 250, 30


def global_change(log_fc: float = 1.0, *, n_per_group: int = 4, seed: int = 0, batch: float = 0.0) -> AnnData:
    """Every gene changes by about ``log_fc`` (log2), 30 spike-ins behind them do not; ``obs["cells"]`` is the true depth.

    ``batch`` is the sd of the effects of a batch that is as frequent in both groups.
    """
    rng = np.random.default_rng(seed)
    n = 2 * n_per_group
    group, site = np.repeat([0, 1], n_per_group), np.tile([0, 1], n_per_group)
    depth = rng.uniform(0.7, 1.4, n)[:, None]
    log_rate = rng.normal(5, 1, N_GENES) + np.log(2) * np.outer(group, rng.normal(log_fc, 0.1, N_GENES))
    log_rate = log_rate + np.outer(site, rng.normal(0, batch, N_GENES))
    genes = rng.poisson(rng.gamma(20, np.exp(log_rate) * depth / 20))
    spikes = rng.poisson(rng.gamma(200, rng.lognormal(5, 1, N_SPIKES) * depth / 200))
    obs = pd.DataFrame(
        {"group": np.array(["A", "B"])[group], "site": np.array(["x", "y"])[site], "cells": depth[:, 0]},
        index=[f"s{k}" for k in range(n)],
    )
    obs["donor"] = [f"d{k}" for k in site + 2 * (np.arange(n) % n_per_group // 2)]
    names = [f"g{k}" for k in range(N_GENES)] + [f"ERCC-{k}" for k in range(N_SPIKES)]
    return AnnData(np.hstack([genes, spikes]).astype(np.float32), obs=obs, var=pd.DataFrame(index=names))


def model_of(adata: AnnData, key: str, design: str = "~ group", **more: Any) -> bulkvi.BulkVI:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key=key, design=design, **more)
    return fit(adata, n_latent=3)


def check(table: pd.DataFrame, log_fc: float) -> None:
    genes, spikes = table.iloc[:N_GENES], table.iloc[N_GENES:]
    assert genes["log_fc"].median() == pytest.approx(log_fc, abs=0.2)
    assert genes["log_fc_mle"].median() == pytest.approx(log_fc, abs=0.2)
    assert (genes["adj_p_value"] < 0.05).mean() > 0.85
    assert (spikes["adj_p_value"] < 0.05).mean() < 0.1
    assert abs(spikes["log_fc_mle"].median()) < 0.15
    assert table.attrs["composition_shift"] == 0
    assert table.attrs["composition_shift_seen"] == pytest.approx(log_fc, abs=0.2)


@pytest.fixture(scope="module")
def doubled() -> bulkvi.BulkVI:
    """All genes double; size factors by spike-ins. Do not change it."""
    adata = global_change()
    bulkvi.pp.size_factors(adata, control_genes=adata.var_names.str.startswith("ERCC-"))
    return model_of(adata, "size_factor")


def test_a_global_change_stays_under_control_genes(doubled: bulkvi.BulkVI) -> None:
    with pytest.warns(UserWarning, match=r"around a log2 fold change of \+1.0\d.*from 30 control genes"):
        table = doubled.differential_expression("group", "B", "A")
    check(table, 1.0)
    assert table.attrs["size_factors"] == {
        "method": "median_of_ratios",
        "n_control_genes": 30,
        "reference": False,
    }
    assert table.attrs["query"]["composition_shift"] is None


@pytest.mark.filterwarnings("ignore:Most effects lie around", "ignore:Unchanged genes have")
def test_either_can_be_asked_for_and_differ_by_the_shift(doubled: bulkvi.BulkVI) -> None:
    raw = doubled.differential_expression("group", "B", "A", composition_shift=False)
    moved = doubled.differential_expression("group", "B", "A", composition_shift=True)
    shift = moved.attrs["composition_shift"]
    assert shift == moved.attrs["composition_shift_seen"] == raw.attrs["composition_shift_seen"]
    np.testing.assert_allclose(raw["log_fc_mle"] - shift, moved["log_fc_mle"], atol=1e-9)
    np.testing.assert_allclose(raw["log_fc_decoded"] - shift, moved["log_fc_decoded"], atol=1e-6)
    assert (moved["adj_p_value"].iloc[N_GENES:] < 0.05).mean() > 0.9  # the spike-ins seem to go down
    assert moved.attrs["query"]["composition_shift"] is True and raw.attrs["query"]["composition_shift"] is False
    pd.testing.assert_frame_equal(raw, doubled.differential_expression("group", "B", "A"))


@pytest.mark.filterwarnings("ignore:Most effects lie around")
def test_latent_columns_do_not_explain_a_global_change_away() -> None:
    """What cell counts are off by is a hidden factor that all genes follow alike, as they follow a global change."""
    adata = global_change(n_per_group=6, seed=3)
    adata.obs["cells"] *= np.exp(np.random.default_rng(1).normal(0, 0.15, 12))
    model = model_of(adata, "cells")
    alone = model.differential_expression("group", "B", "A", latent_columns=0)["log_fc_mle"].iloc[:N_GENES].median()
    for number in (1, 2):
        table = model.differential_expression("group", "B", "A", latent_columns=number)
        assert 1 <= table.attrs["n_latent_columns"] <= number
        assert table["log_fc_mle"].iloc[:N_GENES].median() == pytest.approx(alone, abs=0.1)


def test_own_size_factors_are_moved_and_the_warning_says_how_to_leave_them() -> None:
    adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=600, up_share=1.0, de_share=0.7, seed=4)
    bulkvi.pp.filter_genes(adata, min_counts=10)
    bulkvi.pp.size_factors(adata)
    adata.obs["mine"] = adata.obs["true_depth"] / np.exp(np.log(adata.obs["true_depth"]).mean())
    with pytest.warns(UserWarning, match="Unchanged genes have.*subtracted from all effects.*composition_shift=False"):
        moved = model_of(adata, "size_factor").differential_expression("group", "B", "A", latent_columns=0)
    with warnings.catch_warnings(action="ignore"):
        given = model_of(adata, "mine").differential_expression("group", "B", "A", latent_columns=0)
    assert moved.attrs["composition_shift"] < -0.3 and given.attrs["composition_shift"] == 0
    truth = adata.var["true_log_fc"]
    unchanged = (truth == 0) & (adata.X.sum(0) > 500)
    for table in (moved, given):
        assert abs(table["log_fc_mle"][unchanged].median()) < 0.1


@pytest.mark.filterwarnings("ignore:Most effects lie around")
def test_calibration_reads_the_same_zero(doubled: bulkvi.BulkVI) -> None:
    given = {"n_permutations": 4, "progress_bar": False}
    raw = doubled.calibrate("group", "B", "A", **given).genes  # type: ignore[arg-type]
    table = doubled.differential_expression("group", "B", "A", latent_columns=0)
    np.testing.assert_allclose(raw["p_value"], table["p_value"])
    moved = doubled.calibrate("group", "B", "A", composition_shift=True, **given).genes  # type: ignore[arg-type]
    assert (moved["adj_p_value"].iloc[:N_GENES] < 0.05).mean() < 0.2 < (raw["adj_p_value"].iloc[:N_GENES] < 0.05).mean()


def test_an_omnibus_test_sees_a_global_change(doubled: bulkvi.BulkVI) -> None:
    table = doubled.omnibus_test("group")
    assert (table["adj_p_value"].iloc[:N_GENES] < 0.05).mean() > 0.85
    assert (table["adj_p_value"].iloc[N_GENES:] < 0.05).mean() < 0.1


@pytest.mark.parametrize("wrong", ["yes", 1, 0.5])
def test_the_argument_is_true_false_or_none(doubled: bulkvi.BulkVI, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"composition_shift is {wrong!r}: give True"):
        doubled.differential_expression("group", "B", "A", composition_shift=wrong)
    with pytest.raises(TypeError, match="composition_shift is"):
        doubled.calibrate("group", "B", "A", composition_shift=wrong)


def test_the_alignment_is_told_who_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    adata = make_hidden()
    bulkvi.pp.size_factors(adata, control_genes=adata.var_names[::3])
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata, max_steps=20)
    seen = []
    align = _hidden.align

    def watched(*args: Any, **options: Any) -> Any:
        seen.append(options["common"])
        return align(*args, **options)

    monkeypatch.setattr(_hidden, "align", watched)
    with warnings.catch_warnings(action="ignore"):
        for shift in (None, False, True):
            model.differential_expression("group", "B", "A", latent_columns=1, composition_shift=shift)
    assert seen == [True, True, False]


CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any], float]] = {
    "cell counts": ({}, "~ group", {}, 1.0),
    "four times less": ({"log_fc": -2.0}, "~ group", {}, -2.0),
    "a batch in the design": ({"batch": 0.6}, "~ site + group", {}, 1.0),
    "a batch that is not": ({"batch": 0.6, "n_per_group": 6}, "~ group", {}, 1.0),
    "donors": ({"n_per_group": 6}, "~ group", {"donor_key": "donor"}, 1.0),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Most effects lie around")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_global_change_stays_under_size_factors_of_a_column(
    case: tuple[dict[str, Any], str, dict[str, Any], float],
) -> None:
    made, design, more, log_fc = case
    adata = global_change(**made, seed=5)
    adata.obs["cells"] /= np.exp(np.log(adata.obs["cells"]).mean())
    check(model_of(adata, "cells", design, **more).differential_expression("group", "B", "A"), log_fc)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Most effects lie around")
def test_a_global_change_stays_under_housekeeping_genes_and_an_offset() -> None:
    adata = global_change(seed=6)
    adata.layers["length"] = np.random.default_rng(0).uniform(0.5, 2, adata.shape)
    adata.X = np.rint(adata.X * adata.layers["length"]).astype(np.float32)
    genes = [f"ERCC-{k}" for k in range(0, 30, 2)]
    bulkvi.pp.size_factors(adata, offset_key="length", control_genes=genes)
    check(model_of(adata, "size_factor", offset_key="length").differential_expression("group", "B", "A"), 1.0)
