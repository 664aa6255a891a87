"""Reason codes: what depends on units, and what does not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
from bulkvi.regression import contrast as _flags
from bulkvi.regression import fit
from bulkvi.regression.contrast import Contrast, unit_of_contrast
from tests.cohorts import make_cohort, set_up


@pytest.fixture(scope="module")
def dosed() -> AnnData:
    adata = make_cohort(n_per_group=6)
    rng = np.random.default_rng(0)
    adata.obs["dose"] = rng.permutation(np.linspace(0, 10, adata.n_obs))
    adata.obs["purity"] = rng.uniform(0.4, 0.9, adata.n_obs)
    weak = rng.poisson(0.1, (adata.n_obs, 40)) * (rng.random(40) < 0.7)
    return AnnData(np.hstack([adata.X, weak]).astype(np.float32), obs=adata.obs, uns=adata.uns)


def trained(adata: AnnData, design: str = "~ group") -> bulkvi.BulkVI:
    model = set_up(adata, design)
    model.train(10, progress_bar=False)  # the flags read nothing of the network
    return model


def flags(adata: AnnData, design: str, column: str) -> pd.Series:
    return trained(adata.copy(), design).differential_expression(contrast={column: 1}, latent_columns=0)["flag"]


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 365.25, 1e6])
def test_flags_do_not_depend_on_the_unit_of_a_covariate(dosed: AnnData, unit: float) -> None:
    """Of a dose in mol/l every gene was flagged, of one in molecules none."""
    expected = flags(dosed, "~ group + dose", "dose")
    n_weak = expected.str.contains("low_information").sum()
    assert 20 <= n_weak <= 60
    changed = dosed.copy()
    changed.obs["dose"] *= unit
    pd.testing.assert_series_equal(flags(changed, "~ group + dose", "dose"), expected)


def test_a_fraction_is_judged_over_the_fractions_that_occur(dosed: AnnData) -> None:
    assert flags(dosed, "~ group + purity", "purity").str.contains("low_information").mean() < 0.2


def test_a_covariate_is_judged_as_two_groups_of_equal_size_are(dosed: AnnData) -> None:
    adata = dosed.copy()
    adata.obs["half"] = np.where(adata.obs["group"] == "B", 3.0, 1.0)
    by_slope = trained(adata.copy(), "~ half").differential_expression(contrast={"half": 1}, latent_columns=0)
    by_group = trained(adata.copy(), "~ group").differential_expression("group", "B", "A", latent_columns=0)
    np.testing.assert_allclose(2 * by_slope["log_fc_se"], by_group["log_fc_se"], rtol=1e-6)
    pd.testing.assert_series_equal(by_slope["flag"], by_group["flag"])


COLUMNS = pd.DataFrame({"Intercept": 1.0, "b": [0.0, 0, 1, 1, 0, 1], "x": [1.0, 2, 3, 4, 5, 6]})


@pytest.mark.parametrize(
    ("weights", "groups", "unit"),
    [
        ({"b": 1.0}, None, 1.0),
        ({"x": 1.0}, (np.arange(3), np.arange(3, 6)), 1.0),
        ({"Intercept": 1.0}, None, 1.0),
        ({}, None, 1.0),
    ],
    ids=["categories", "groups", "level", "nothing"],
)
def test_the_unit_of_everything_else_is_one(weights: dict[str, float], groups: Any, unit: float) -> None:
    compared = Contrast(pd.Series(weights, COLUMNS.columns, dtype=float).fillna(0.0), "", groups)
    assert unit_of_contrast(COLUMNS, compared) == unit


def test_the_unit_of_a_weighted_covariate_goes_with_its_weight() -> None:
    one, ten = (
        unit_of_contrast(COLUMNS, Contrast(pd.Series([0, 0, weight], COLUMNS.columns, dtype=float), "", None))
        for weight in (1.0, 10.0)
    )
    residual = COLUMNS["x"] - COLUMNS["b"] * (COLUMNS["x"][COLUMNS["b"] == 1].mean() - 8 / 3) - 8 / 3
    assert one == pytest.approx(2 * residual.std(ddof=0))
    assert ten == pytest.approx(one / 10)


def test_a_trend_that_did_not_settle_concerns_the_genes_that_lean_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    adata = make_cohort()
    model = trained(adata)
    plain = model.get_dispersions()
    regression = model.gene_fit().regression
    prior = regression.fit.prior._replace(converged=False)
    unsettled = regression._replace(fit=regression.fit._replace(prior=prior))
    monkeypatch.setattr(fit, "regress_genes", lambda *_, **__: unsettled)
    model._fit = None
    with pytest.warns(UserWarning, match="The trend of the dispersions over the mean did not settle"):
        table = model.differential_expression("group", "B", "A", latent_columns=0)
    flagged = table["flag"].str.contains("not_converged")
    informed = unsettled.fit.prior.informed
    assert 0 < flagged.sum() < len(flagged)
    np.testing.assert_array_equal(flagged, ~informed)
    assert not plain["flag"].str.contains("not_converged").any()
    with pytest.warns(UserWarning, match=_flags.TREND_UNSETTLED[:30]):
        model.omnibus_test("group", latent_columns=0)


def test_low_information_is_a_standard_error_above_two() -> None:
    """2 log2, as docs/guide/table.md says: a fold change of 4 is one standard error."""
    se = np.array([0.1, 1.99, 2.01, 2.4, 50.0])
    flags = _flags.effect_flags(np.zeros(5, dtype=bool), se)
    assert flags["low_information"].tolist() == [False, False, True, True, True]
    np.testing.assert_array_equal(_flags.effect_flags(se > 2, se / 2, unit=2.0)["low_information"], se > 2)
