from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import bulkvi as bv
from bulkvi.study.study_design import add_design_matrix
from tests.cohorts import fit


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
