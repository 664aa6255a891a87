import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.study.columns import as_labels, names_groups
from bulkvi.study.design import apply_design, make_design

GROUPS = {
    "donor": [1, 2, 3, 4, 5, 1, 2, 3, 4],  # a partner is missing
    "DonorID": [101, 102, 103, 104, 105, 101, 102, 103, 104],
    "batch": [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 2.0],
    "clone": [1e3, 1e3, 2e3, 2e3, 1e5, 1e5, 1e3, 2e3, 1e5],
    "plate_2": [7, 9, 7, 9, 20, 20, 7, 9, 20],
    "treatment": [1, 2, 3, 1, 2, 3, 1, 2, 3],
    "arm": [0, 1, 2, 0, 1, 2, 0, 1, 2],
}
SLOPES = {
    "age": [31, 40, 31, 40, 31, 40, 31, 40, 52],
    "dose": [0, 1, 2, 0, 1, 2, 0, 1, 2],
    "library_size": [1, 2, 3, 1, 2, 3, 1, 2, 3],
    "timePoint": [1, 2, 3, 1, 2, 3, 1, 2, 3],
    "treatment": [0, 10, 100, 0, 10, 100, 0, 10, 100],
    "cells": [2, 5, 7, 1, 9, 4, 8, 3, 6],
    "treated": [0, 1, 0, 1, 0, 1, 0, 1, 1],
    "batch": [0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 2.5],
}


@pytest.mark.parametrize("name", GROUPS)
def test_numbers_that_name_groups_are_coded_as_groups(name: str) -> None:
    values = pd.Series(GROUPS[name])
    assert names_groups(name, values)
    obs = pd.DataFrame({name: values, "text": "g" + values.astype(str)})
    design, matrix = make_design(f"~ {name}", obs)
    _, plain = make_design(
        "~ text", obs.assign(text=obs["text"].astype(pd.CategoricalDtype(obs.sort_values(name)["text"].unique())))
    )
    np.testing.assert_array_equal(matrix, plain)
    pd.testing.assert_frame_equal(apply_design(design, obs.iloc[[4, 0]]), matrix.iloc[[4, 0]])
    assert not any(".0]" in column for column in design.columns)  # 1.0 is written as 1


@pytest.mark.parametrize("name", SLOPES)
def test_measurements_are_slopes(name: str) -> None:
    values = pd.Series(SLOPES[name], dtype=float)
    assert not names_groups(name, values)
    assert make_design(f"~ {name}", pd.DataFrame({name: values}))[1].columns.tolist() == ["Intercept", name]


@pytest.mark.parametrize(
    ("formula", "width"), [("~ C(dose)", 3), ("~ slope(donor)", 2), ("~ I(donor)", 2), ("~ donor", 5)]
)
def test_either_can_be_forced(formula: str, width: int) -> None:
    obs = pd.DataFrame({"donor": GROUPS["donor"], "dose": SLOPES["dose"]})
    assert make_design(formula, obs)[1].shape[1] == width


def test_whole_numbers_are_written_alike_as_labels() -> None:
    assert as_labels(pd.Series([1.0, 2.0])).tolist() == as_labels(pd.Series([1, 2], dtype="Int64")).tolist() == [1, 2]
    assert as_labels(pd.Series([1.5, 2.0])).tolist() == [1.5, 2.0]
    assert as_labels(pd.Series([True, False])).dtype == bool


@pytest.mark.parametrize("function", ["check_design", "setup_anndata"])
def test_what_numbers_are_taken_for_is_said_in_python(function: str) -> None:
    adata = bv.datasets.simulate(n_per_group=4, n_genes=60, seed=0)
    adata.obs["donor"] = [1, 2, 3, 4] * 2
    adata.obs["ph"] = adata.obs["strength"] = [10, 20, 40, 80] * 2
    bv.pp.size_factors(adata, method="poscounts")
    call = {
        "check_design": lambda: bv.tl.check_design(adata, "~ donor + group"),
        "setup_anndata": lambda: bv.BulkVI.setup_anndata(
            adata, size_factor_key="size_factor", design="~ donor + group"
        ),
    }[function]
    with pytest.warns(
        UserWarning, match=r"'donor' holds the numbers 1, 2, 3, 4, taken for names of 4 groups.*slope\(donor\)"
    ) as raised:
        call()
    assert raised[0].filename == __file__
    with pytest.warns(
        UserWarning,
        match=r"'strength' holds the numbers 10, 20, 40, 80 and enters the design as a slope.*C\(strength\)",
    ):
        bv.tl.check_design(adata, "~ strength + group")


def test_check_design_compares_the_columns_as_the_design_reads_them() -> None:
    adata = bv.datasets.simulate(n_per_group=4, n_genes=60, seed=0)
    adata.obs["donor"] = [1.0, 2.0, 3.0, 4.0] * 2
    with pytest.warns(UserWarning, match="names of 4 groups"):
        found = bv.tl.check_design(adata, "~ donor + group")
    assert found.cells.columns.tolist() == ["donor", "group", "n_samples"]
    assert bv.tl.check_design(adata, "~ slope(donor) + group").cells.columns.tolist() == ["group", "n_samples"]
