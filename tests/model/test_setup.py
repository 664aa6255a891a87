import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import bulkvi


def snapshot(adata: AnnData) -> tuple[Any, ...]:
    x = adata.X.toarray() if sparse.issparse(adata.X) else adata.X
    return x.copy(), adata.obs.copy(), sorted(adata.obsm), sorted(adata.uns), sorted(adata.varm)


def setup(adata: AnnData, **changes: Any) -> None:
    bulkvi.BulkVI.setup_anndata(adata, **({"size_factor_key": "size_factor"} | changes))


def set_count(adata: AnnData, value: float) -> None:
    adata.X = adata.X.astype(float)
    adata.X[3, 5] = value


def set_size_factor(adata: AnnData, value: float) -> None:
    adata.obs.iloc[2, adata.obs.columns.get_loc("size_factor")] = value


def set_column(adata: AnnData, name: str, values: Any) -> None:
    adata.obs[name] = values


def duplicate(adata: AnnData, axis: str) -> None:
    names = getattr(adata, axis).tolist()
    setattr(adata, axis, [names[1], *names[1:]])


def with_unused_level(adata: AnnData) -> None:
    adata.obs["group"] = adata.obs["group"].cat.add_categories(["C"])


# what is done to a good cohort, the arguments, the error and what its message must name
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "fraction": (lambda a: set_count(a, 1.5), {}, ValueError, "raw counts.*1.5"),
    "negative": (lambda a: set_count(a, -1), {}, ValueError, "raw counts.*-1"),
    "nan": (lambda a: set_count(a, np.nan), {}, ValueError, "raw counts.*nan"),
    "empty sample": (lambda a: a.X.__setitem__(4, 0), {}, ValueError, "no counts at all.*sample_4|no counts at all"),
    "no size factor": (lambda a: None, {"size_factor_key": "sf"}, KeyError, "sf.*pp.size_factors"),
    "zero size factor": (lambda a: set_size_factor(a, 0), {}, ValueError, "finite and > 0.*0.0"),
    "negative size factor": (lambda a: set_size_factor(a, -1), {}, ValueError, "finite and > 0"),
    "nan size factor": (lambda a: set_size_factor(a, np.nan), {}, ValueError, "finite and > 0.*nan"),
    "constant size factor": (lambda a: set_column(a, "size_factor", 1.0), {}, ValueError, "is 1 in every sample"),
    "text size factor": (lambda a: None, {"size_factor_key": "site"}, ValueError, "must hold numbers"),
    "same sample name": (lambda a: duplicate(a, "obs_names"), {}, ValueError, "sample names.*unique"),
    "same gene name": (lambda a: duplicate(a, "var_names"), {}, ValueError, "gene names.*unique"),
    "no layer": (lambda a: None, {"layer": "counts"}, KeyError, "counts"),
    "unknown batch": (lambda a: None, {"batch_key": "plate"}, KeyError, "plate.*age"),
    "unknown covariate": (lambda a: None, {"continuous_covariate_keys": ["bmi"]}, KeyError, "bmi.*age"),
    "text as list": (lambda a: None, {"categorical_covariate_keys": "site"}, TypeError, r"\['site'\]"),
    "text as number": (lambda a: None, {"continuous_covariate_keys": ["site"]}, ValueError, "finite numbers"),
    "unknown in design": (lambda a: None, {"design": "~ dose"}, KeyError, "dose"),
    "no formula": (lambda a: None, {"design": "~ +"}, ValueError, "not a formula"),
    "group without samples": (with_unused_level, {"design": "~ group"}, ValueError, r"without samples: \['C'\]"),
    "aliased with batch": (
        lambda a: set_column(a, "plate", a.obs["group"].astype(str)),
        {"design": "~ group", "batch_key": "plate"},
        ValueError,
        "'plate_B' follows from 'group",
    ),
    "total counts": (
        lambda a: set_column(a, "size_factor", np.asarray(a.X).sum(1) * 1e3),
        {},
        ValueError,
        r"geometric mean of .*e\+0\d; size factors are relative.*\['size_factor'\] /= ",
    ),
    "too many columns": (
        lambda a: set_column(a, "donor", a.obs_names.to_numpy()),
        {"design": "~ donor", "continuous_covariate_keys": ["age"]},
        ValueError,
        "25 columns for 24 samples",
    ),
    "no intercept": (lambda a: None, {"design": "~ 0 + group", "batch_key": "batch"}, ValueError, "no intercept"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_and_nothing_is_changed(
    cohort: AnnData, case: tuple[Any, dict[str, Any], type[Exception], str]
) -> None:
    spoil, arguments, error, message = case
    spoil(cohort)
    before = snapshot(cohort)
    with pytest.raises(error, match=f"(?s){message}"):
        setup(cohort, **arguments)
    after = snapshot(cohort)
    np.testing.assert_array_equal(before[0], after[0])
    pd.testing.assert_frame_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_three_samples_are_too_few(cohort: AnnData) -> None:
    with pytest.raises(ValueError, match="3 samples.*at least 4"):
        setup(cohort[[0, 1, 13]].copy())


def test_not_an_anndata(cohort: AnnData) -> None:
    with pytest.raises(TypeError, match="DataFrame"):
        setup(cohort.to_df())


def test_integer_valued_floats_pass(cohort: AnnData) -> None:
    cohort.X = cohort.X.astype(np.float64)
    setup(cohort)


def test_design_matrix_is_stored_without_its_intercept(cohort: AnnData) -> None:
    setup(cohort, design="~ batch + group")
    matrix = cohort.obsm["_bulkvi_design"]
    assert list(matrix.columns) == ["batch[T.b2]", "group[T.B]"]
    np.testing.assert_array_equal(matrix["group[T.B]"], cohort.obs["group"] == "B")


def test_columns_that_nobody_named_may_hold_anything(cohort: AnnData) -> None:
    """A list in a column was unhashable; a column named 0 was looked for as '0'."""
    cohort.obs["lists"] = pd.Series([[1, 2]] * cohort.n_obs, cohort.obs_names)
    cohort.obs[0] = np.repeat(["u", "v"], cohort.n_obs // 2)
    setup(cohort, design="~ site")
    report = bulkvi.tl.check_design(cohort, "~ site")
    assert "lists" in str(report)


def test_the_setup_can_be_viewed_in_a_plain_script(tmp_path: Path) -> None:
    """scvi-tools 1.4.2 calls rich.pretty without importing it, and could not freeze the state of a design."""
    script = tmp_path / "view.py"
    script.write_text(
        "import bulkvi\n"
        "adata = bulkvi.datasets.simulate(n_per_group=3, n_genes=30)\n"
        "bulkvi.pp.size_factors(adata)\n"
        "bulkvi.BulkVI.setup_anndata(adata, size_factor_key='size_factor', design='~ group')\n"
        "bulkvi.BulkVI(adata).view_anndata_setup()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'size_factor_key': 'size_factor'" in done.stdout
    assert "design State Registry" in done.stdout
    assert "group[T.B]" in done.stdout
