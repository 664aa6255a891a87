from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi
import bulkvi as bv
from bulkvi.study.study_design import add_design_matrix, intercept_of
from tests.cohorts import fit
from tests.model.test_query import new_samples


@pytest.mark.parametrize(
    ("design", "columns"),
    [
        (None, ["Intercept"]),
        ("~ group", ["Intercept", "group[T.B]"]),
        ("~ 0 + group", ["group[A]", "group[B]"]),
        ("~ 0 + group:site", None),
        ("~ 0 + age", ["Intercept", "age"]),
    ],
)
def test_an_intercept_is_always_in_the_span(cohort: AnnData, design: str | None, columns: list[str] | None) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design=design)
    matrix = fit(cohort, max_steps=10).get_design_matrix()
    if columns is not None:
        assert list(matrix.columns) == columns
    np.testing.assert_allclose(matrix.to_numpy() @ intercept_of(matrix), 1)
    assert np.linalg.matrix_rank(matrix) == matrix.shape[1]
    assert matrix.index.equals(cohort.obs_names)


def test_batches_and_covariates_stand_beside_the_design_by_name(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(
        cohort,
        size_factor_key="size_factor",
        batch_key="batch",
        design="~ group",
        categorical_covariate_keys=["site"],
        continuous_covariate_keys=["age"],
    )
    matrix = fit(cohort, max_steps=10).get_design_matrix()
    names = ["group[T.B]", "batch[T.b2]", "site[T.site1]", "site[T.site2]", "age"]
    assert set(matrix.columns) == {"Intercept", *names}
    np.testing.assert_array_equal(matrix["batch[T.b2]"], (cohort.obs["batch"] == "b2").astype(float))
    np.testing.assert_array_equal(matrix["site[T.site2]"], (cohort.obs["site"] == "site2").astype(float))
    np.testing.assert_allclose(matrix["age"], cohort.obs["age"])


def p_values(adata: AnnData, contrast: dict[str, float], design: str = "~ age * group") -> np.ndarray:
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=design)
    model = fit(adata, max_steps=10)
    table = model.differential_expression(contrast=contrast, latent_columns=0)
    return np.log10(table["p_value"].to_numpy())


@pytest.mark.parametrize("unit", [1e-9, 1e-15, 1e9])
def test_contrasts_do_not_depend_on_the_unit_of_a_measurement(cohort: AnnData, unit: float) -> None:
    """A dose of 1e-8 mol/l was below the threshold of what counts as a weight, and another question was answered."""
    other = cohort.copy()
    other.obs["age"] *= unit
    tables = []
    for adata, size in ((cohort, 1.0), (other, unit)):
        bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ 0 + group + age")
        model = fit(adata, max_steps=10)
        first, second = adata.obs["age"].iloc[[0, 1]]
        tables += [model.differential_expression("age", first, second, latent_columns=0)]
        tables += [model.differential_expression(contrast={"age": size}, latent_columns=0)]
        with pytest.raises(ValueError, match="compares nothing"):
            model.differential_expression(contrast={"group[A]": 1, "age": 1 / size})
    assert tables[2].attrs["query"]["effect"] == "direct"
    for one, same in ((0, 2), (1, 3)):
        np.testing.assert_allclose(tables[same]["log_fc_mle"], tables[one]["log_fc_mle"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("far", [2e3, 1e8])
def test_measurements_may_be_far_from_zero(far: float, cohort: AnnData) -> None:
    """Years (2020 and the like) cost digits, 1e6 made all p-values wrong, and 1e8 ended in a LinAlgError."""
    cohort.obs["when"] = np.arange(cohort.n_obs) % 5.0
    other = cohort.copy()
    other.obs["when"] += far
    for contrast in ({"when": 1.0}, {"group[T.B]": 1.0}):
        near, moved = (p_values(adata, contrast, "~ when + group") for adata in (cohort, other))
        np.testing.assert_allclose(moved, near, atol=1e-4)


@pytest.mark.parametrize(
    ("argument", "given"),
    [("batch_key", {"batch_key": "plate"}), ("categorical_", {"categorical_covariate_keys": ["plate"]})],
)
def test_a_level_without_samples_is_refused_with_the_remedy(
    cohort: AnnData, argument: str, given: dict[str, Any]
) -> None:
    cohort.obs["plate"] = cohort.obs["batch"].cat.add_categories(["none"])
    with pytest.raises(ValueError, match=rf"{argument}.*: .*without samples: \['none'\].*remove_unused_categories"):
        bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", **given)


def test_samples_without_a_batch_of_the_model_are_compared(cohort: AnnData, tmp_path: Path) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group", batch_key="batch")
    fit(cohort, max_steps=10).save(str(tmp_path / "model"))
    part = cohort[cohort.obs["batch"] == "b1"].copy()
    part.obs["batch"] = part.obs["batch"].astype(str)
    alone = part.copy()
    model = bulkvi.BulkVI.load(str(tmp_path / "model"), adata=part)
    assert list(model.get_design_matrix().columns) == ["Intercept", "group[T.B]"]
    found = model.differential_expression("group", "B", "A", latent_columns=0)
    bulkvi.BulkVI.setup_anndata(alone, size_factor_key="size_factor", design="~ group")
    expected = fit(alone, max_steps=10).differential_expression("group", "B", "A", latent_columns=0)
    np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-6)
    assert np.isfinite(found["log_fc_decoded"]).all()
    with pytest.raises(KeyError, match=r"no columns \['batch\[T.b2\]'\]"):
        model.differential_expression(contrast={"batch[T.b2]": 1})
    with pytest.raises(ValueError, match="do not tell 'batch' from the rest of the design"):
        model.omnibus_test("batch")


def test_a_query_from_one_new_batch_is_compared(cohort: AnnData) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ group", batch_key="batch")
    query = new_samples(cohort)
    query.obs["batch"] = "elsewhere"
    model = bulkvi.BulkVI.load_query_data(query, fit(cohort, max_steps=10))
    model.train(10, progress_bar=False)
    table = model.differential_expression("group", "B", "A")
    assert list(model.get_design_matrix().columns) == ["Intercept", "group[T.B]"]
    assert np.isfinite(table.select_dtypes("number")).all().all()


def test_a_comparison_that_the_samples_at_hand_do_not_tell_is_refused(cohort: AnnData, tmp_path: Path) -> None:
    bulkvi.BulkVI.setup_anndata(cohort, size_factor_key="size_factor", design="~ batch + group")
    fit(cohort, max_steps=10).save(str(tmp_path / "model"))
    confounded = cohort[(cohort.obs["batch"] == "b1") == (cohort.obs["group"] == "A")].copy()
    model = bulkvi.BulkVI.load(str(tmp_path / "model"), adata=confounded)
    with pytest.raises(
        ValueError, match=r"do not tell group: B vs A.*What they tell: \['Intercept', 'batch\[T.b2\]'\]"
    ):
        model.differential_expression("group", "B", "A")
    with pytest.raises(ValueError, match="do not tell 'batch' from the rest"):
        model.omnibus_test("batch")


@pytest.fixture
def adata() -> AnnData:
    adata = bv.datasets.simulate(n_per_group=5, n_genes=120, seed=0)
    bv.pp.size_factors(adata, method="poscounts")
    adata.obs["age"] = np.linspace(20, 60, adata.n_obs) ** 1.1
    return adata


def matrix_of(adata: AnnData) -> pd.DataFrame:
    """The matrix of '~ age + group' under other names, its rows in another order."""
    own = {"(Intercept)": 1.0, "years": adata.obs["age"], "B over A": (adata.obs["group"] == "B").astype(int)}
    return pd.DataFrame(own, index=adata.obs_names).iloc[::-1]


def test_a_matrix_gives_the_answers_of_its_formula(adata: AnnData, tmp_path: Path) -> None:
    by_formula = adata.copy()
    bv.BulkVI.setup_anndata(by_formula, size_factor_key="size_factor", design="~ age + group")
    plain = fit(by_formula).differential_expression(contrast={"group[T.B]": 1}, latent_columns=0)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=matrix_of(adata))
    model = fit(adata)
    assert model.get_design_matrix().columns.tolist() == ["Intercept", "years", "B over A"]
    table = model.differential_expression(contrast={"B over A": 1}, latent_columns=0)
    pd.testing.assert_frame_equal(
        table.drop(columns=["contrast", "log_fc_decoded"]),
        plain.drop(columns=["contrast", "log_fc_decoded"]),
        rtol=1e-6,
    )
    with pytest.raises(ValueError, match=r"given as a matrix.*give contrast=.*'B over A'"):
        model.differential_expression("group", "B", "A")
    model.save(str(tmp_path / "model"), save_anndata=True)
    again = bv.BulkVI.load(str(tmp_path / "model"))
    pd.testing.assert_frame_equal(again.differential_expression(contrast={"B over A": 1}, latent_columns=0), table)
    new = by_formula[:3].copy()
    with pytest.raises(KeyError, match=r"needs the columns \['B over A', 'years'\]"):
        model.get_latent_representation(new)


def test_a_matrix_without_a_constant_has_no_intercept(adata: AnnData) -> None:
    groups = pd.get_dummies(adata.obs["group"], dtype=float)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=groups)
    model = bv.BulkVI(adata)
    assert model.get_design_matrix().columns.tolist() == ["A", "B"]


WRONG = {
    "rows missing": (lambda m: m.iloc[1:], "1 samples are missing"),
    "numbered rows": (lambda m: m.reset_index(drop=True), "matrix.index = adata.obs_names"),
    "repeated rows": (lambda m: pd.concat([m, m.iloc[:1]]), "a row for each"),
    "repeated names": (lambda m: m.set_axis(["a", "b", "b"], axis=1), r"names of their own; \['b'\]"),
    "text": (lambda m: m.assign(site="x"), "'site' does not hold finite numbers"),
    "missing": (lambda m: m.assign(years=np.nan), "'years' does not hold finite numbers"),
    "two constants": (lambda m: m.assign(two=2), "2 constant columns"),
    "not full rank": (lambda m: m.assign(twice=2 * m["years"]), "'twice' follows from 'years'"),
    "nothing in a column": (lambda m: m.assign(none=0), "'none' is zero in every sample"),
    "another column of obs": (lambda m: m.rename(columns={"years": "size_factor"}), "'size_factor' with other values"),
    "no columns": (lambda m: m.iloc[:, :0], "it has none"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_matrix_is_said_and_nothing_is_left_behind(adata: AnnData, name: str) -> None:
    change, said = WRONG[name]
    before = adata.obs.copy()
    with pytest.raises(ValueError, match=said):
        bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design=change(matrix_of(adata)))
    pd.testing.assert_frame_equal(adata.obs, before)


def test_columns_that_obs_has_already_stay(adata: AnnData) -> None:
    matrix = pd.DataFrame({"age": adata.obs["age"], "one": 1})
    assert add_design_matrix(adata, matrix) == "~ 1 + column(age)"
