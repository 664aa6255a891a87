"""The kept fit: what is computed once, what it gives, and when it is dropped."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv
from bulkvi.regression import fit as fit_module
from bulkvi.regression import hidden
from bulkvi.study import study_design
from tests.cohorts import fit, make_cohort


@pytest.fixture(scope="module")
def model() -> bv.BulkVI:
    adata = make_cohort(n_per_group=6)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age")
    return fit(adata)


@pytest.fixture
def n_regressions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of columns of every design that is regressed on from now on."""
    designs: list[int] = []
    regress = fit_module.regress_genes

    def counted(study: Any, features: pd.DataFrame, **kept: Any) -> Any:
        designs.append(features.shape[1])
        return regress(study, features, **kept)

    monkeypatch.setattr(fit_module, "regress_genes", counted)
    monkeypatch.setattr(hidden, "regress_genes", counted)
    return designs


QUERIES: dict[str, tuple[Callable[[bv.BulkVI], Any], Callable[[fit_module.GeneFit], Any]]] = {
    "contrast": (
        lambda model: model.differential_expression("group", "B", "A", latent_columns=1),
        lambda fit: fit.contrast("group", "B", "A", latent_columns=1),
    ),
    "omnibus": (lambda model: model.omnibus_test("group"), lambda fit: fit.omnibus("group")),
    "hidden": (lambda model: model.latent_report(), lambda fit: fit.hidden()),
    "dispersions": (lambda model: model.get_dispersions(), lambda fit: fit.dispersions()),
    "outliers": (lambda model: model.get_outliers(), lambda fit: fit.outliers()),
    "rates": (
        lambda model: model.get_group_rates(["gene002"], "group", within="auto"),
        lambda fit: fit.group_rates(["gene002"], "group", within="auto"),
    ),
    "curve": (
        lambda model: model.get_rate_curve(["gene002"], "age", n_points=3),
        lambda fit: fit.rate_curve(["gene002"], "age", n_points=3),
    ),
    "slope": (lambda model: model.get_slope_weights("age"), lambda fit: fit.slope_weights("age")),
    "weights": (
        lambda model: model.get_contrast_weights("group", "B", "A"),
        lambda fit: fit.contrast_weights("group", "B", "A"),
    ),
    "columns": (lambda model: model.get_tested_columns("group"), lambda fit: fit.tested_columns("group")),
    "design": (lambda model: model.get_design_matrix(), lambda fit: fit.design_matrix),
}


@pytest.mark.parametrize("query", QUERIES)
def test_the_model_gives_what_its_fit_gives(model: bv.BulkVI, query: str) -> None:
    of_model, of_fit = QUERIES[query]
    one, other = of_model(model), of_fit(model.gene_fit())
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
        assert one.attrs == other.attrs
    else:
        assert list(one) == list(other)


def test_each_design_is_regressed_once_whatever_is_queried(n_regressions: list[int]) -> None:
    adata = make_cohort(n_per_group=6)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age")
    model = fit(adata)
    for _ in range(2):
        model.differential_expression("group", "B", "A", latent_columns=1)
        model.differential_expression(contrast={"age": 1}, latent_columns=1, effect="total")
        model.differential_expression("group", "B", "A", latent_columns=0, delta=0.5)
        model.omnibus_test("group", latent_columns=0)
        for of_model, _ in QUERIES.values():
            of_model(model)
    assert n_regressions == [3, 4]  # the design, and the design with one latent column


def test_training_drops_what_came_from_the_network_and_no_more(n_regressions: list[int]) -> None:
    adata = make_cohort(n_per_group=6)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = fit(adata)
    before = model.differential_expression("group", "B", "A", latent_columns=1)
    model.train(max_steps=60, progress_bar=False)
    after = model.differential_expression("group", "B", "A", latent_columns=1)
    assert n_regressions == [2, 3, 3]
    assert not np.allclose(before["log_fc_decoded"], after["log_fc_decoded"])
    fresh = bv.BulkVI(adata, n_latent=2)
    fresh.train(60, progress_bar=False)
    fresh.train(60, progress_bar=False)
    pd.testing.assert_frame_equal(after, fresh.differential_expression("group", "B", "A", latent_columns=1))


def test_the_fit_is_never_saved(model: bv.BulkVI, tmp_path: object) -> None:
    model.get_dispersions()
    model.save(f"{tmp_path}/model", save_anndata=True)
    loaded = bv.BulkVI.load(f"{tmp_path}/model")
    assert loaded._fit is None
    assert not [name for name, _ in model._get_user_attributes() if name.endswith("_") and "fit" in name]
    pd.testing.assert_frame_equal(loaded.get_dispersions(), model.get_dispersions())


def swap_labels(adata: AnnData) -> None:
    adata.obs["group"] = adata.obs["group"].map({"A": "B", "B": "A"}).astype("category")


def double_size_factors(adata: AnnData) -> None:
    adata.obs["size_factor"] = 2 * adata.obs["size_factor"]


def add_one(adata: AnnData) -> None:
    adata.X = adata.X + 1


def reverse_genes(adata: AnnData) -> None:
    adata.var_names = adata.var_names[::-1]


CHANGES: dict[Callable[[AnnData], None], str] = {
    swap_labels: r"adata.obs\['group'\] has other values since setup_anndata",
    double_size_factors: r"adata.obs\['size_factor'\] has other values since setup_anndata",
    add_one: "adata.X has other values since setup_anndata",
    reverse_genes: "genes of adata are not those that were registered",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: getattr(change, "__name__", ""))
def test_a_fit_whose_samples_changed_says_so(change: Callable[[AnnData], None]) -> None:
    adata = make_cohort(n_per_group=6)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age")
    kept = bv.BulkVI(adata, n_latent=2).gene_fit()
    kept.dispersions()
    change(adata)
    for name, (_, of_fit) in QUERIES.items():
        if name != "design":
            with pytest.raises(ValueError, match=CHANGES[change]):
                of_fit(kept)


def test_a_contrast_of_another_design_is_refused_by_name(model: bv.BulkVI) -> None:
    kept = model.gene_fit()
    bv.BulkVI.setup_anndata(model.adata, size_factor_key="size_factor", design="~ group + site")
    with pytest.raises(KeyError, match=r"no columns \['site\[T.site1\]'\]; it has"):
        kept.contrast(contrast={"site[T.site1]": 1})
    with pytest.raises(ValueError, match="'site' is not in the design"):
        kept.omnibus("site")


def test_other_samples_have_a_fit_of_their_own(model: bv.BulkVI) -> None:
    first, kept, table = model.adata, model.gene_fit(), model.get_dispersions()
    other = make_cohort(n_per_group=6)[::-1].copy()
    bv.BulkVI.setup_anndata(other, size_factor_key="size_factor", design="~ group + age")
    try:
        model.adata = other
        assert model.gene_fit().study.adata is other
        np.testing.assert_allclose(model.get_dispersions()["dispersion"], table["dispersion"], rtol=1e-6)
    finally:
        model.adata = first
    assert kept.study.adata is first
    pd.testing.assert_frame_equal(kept.dispersions(), table)


def test_the_formula_of_the_samples_is_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    adata = make_cohort(n_per_group=6)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group + age", batch_key="batch")
    model = fit(adata)
    evaluated: list[int] = []
    apply = study_design.apply_design

    def counted(design: Any, obs: pd.DataFrame) -> pd.DataFrame:
        evaluated.append(len(obs))
        return apply(design, obs)

    monkeypatch.setattr(study_design, "apply_design", counted)
    model.differential_expression(contrast={"age": 1}, latent_columns=1)
    model.differential_expression(contrast={"age": 1}, latent_columns=0)
    model.omnibus_test("age", latent_columns=1)
    model.latent_report()
    assert evaluated == [adata.n_obs]
