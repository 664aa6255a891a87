from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bulkvi as bv
from bulkvi.study.design import apply_design, make_design
from bulkvi.study.formula import read_formula
from tests.cohorts import fit, make_cohort

OBS = pd.DataFrame({"cell": list("aabbccdd"), "x": np.arange(8.0) ** 1.5, "my col": list("uv") * 4})

MORE = pd.concat([OBS, OBS[::-1]]).assign(x=np.arange(16) ** 1.5)


@pytest.mark.parametrize(
    "formula",
    [
        "~ C(open('canary', 'w').write('x'))",
        "~ I((lambda: open('canary', 'w'))())",
        "~ x.to_csv('canary')",
        "~ scale(x, _state=open('canary', 'w'))",
        "~ bs(x, extrapolation='\" + str(open('canary', 'w')) + \"')",
    ],
)
def test_nothing_of_a_formula_is_run(formula: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them are in tests/trust."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="The design .* (is not built, because of|no mark may stand before)"):
        make_design(formula, OBS)
    assert not (tmp_path / "canary").exists()


def test_an_unknown_transform_is_answered_with_what_to_do() -> None:
    with pytest.raises(
        ValueError, match=r"because of 'hill': formulas take the transforms C, .*adata.obs\['name'\] = function"
    ):
        make_design("~ hill(x)", OBS)


def test_rewritten_names_are_never_shown() -> None:
    """The rewritten names are in no column, state or message."""
    design, _ = make_design("~ C(`my col`) + scale(x) + cell", MORE)
    assert "bulkvi" not in repr(design)
    with pytest.raises(ValueError, match=r"cannot be built from adata.obs: (?!.*bulkvi)") as raised:
        make_design("~ log(`my col`)", OBS)
    assert "my col" in str(raised.value)


def test_a_saved_state_is_found_whatever_other_columns_there_are() -> None:
    design, matrix = make_design("~ scale(x) + cell", OBS)
    more = pd.concat([pd.DataFrame({"first": 1, "x_": 2}, index=OBS.index), OBS.iloc[:, ::-1]], axis=1)
    pd.testing.assert_frame_equal(apply_design(design, more[:2]), matrix[:2])
    assert list(design.transform_state) == ["scale(x)"]


@pytest.mark.parametrize("name", ["1", "0", "-1"])
def test_a_column_called_like_the_intercept_is_a_column(name: str) -> None:
    design, matrix = make_design(f"~ `{name}` + cell", OBS.rename(columns={"x": name}))
    np.testing.assert_array_equal(matrix[name], OBS["x"])
    assert design.variables == tuple(sorted([name, "cell"]))


@pytest.mark.parametrize(
    ("formula", "renamed"), [("~ Intercept + cell", {"x": "Intercept"}), ("~ cell + `cell[T.b]`", {"x": "cell[T.b]"})]
)
def test_names_of_two_columns_of_the_matrix_are_refused(formula: str, renamed: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="two columns that are called"):
        make_design(formula, OBS.rename(columns=renamed))


def test_levels_that_a_formula_leaves_out_are_named() -> None:
    """formulaic codes them as the reference."""
    with pytest.raises(ValueError, match="levels that the design .* does not list"):
        make_design("~ C(cell, levels=['a', 'b', 'c'])", OBS)


def test_whole_numbers_do_not_overflow_in_arithmetic() -> None:
    _, matrix = make_design("~ I(x**40)", OBS.assign(x=np.arange(1, 9)))
    assert matrix.iloc[-1, 1] == pytest.approx(8.0**40)


def test_terms_are_counted_before_they_are_multiplied_out() -> None:
    for formula in (
        "~ (cell + x)**40",
        "~ " + " * ".join(f"c{k}" for k in range(20)),
        "~ " + ":".join(f"c{k}" for k in range(20)),
    ):
        with pytest.raises(ValueError, match="multiplies out to more than"):
            read_formula(formula, ["cell", "x", *(f"c{k}" for k in range(20))])


def test_groups_of_a_slope_are_said_to_be_points_of_a_line() -> None:
    adata = make_cohort()
    adata.obs["dose"] = np.arange(adata.n_obs) % 3 * 5
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ dose + group")
    model = fit(adata)
    with pytest.warns(
        UserWarning, match=r"'dose' is a slope in the design: 10 vs 0 is the change along a straight line.*C\(dose\)"
    ):
        model.differential_expression("dose", 10, 0)


REFUSED: dict[str, tuple[object, type[Exception], str]] = {
    "no text": (3, TypeError, "must be a formula such as .*, not int"),
    "empty": (" ~ ", ValueError, "is empty. Write '~ batch"),
    "too long": ("~ " + "x + " * 3_000 + "x", ValueError, "characters, more than 10,000.*as a matrix"),
    "open backtick": ("~ `my col", ValueError, "a backtick is opened and not closed"),
    "open quote": ("~ C(cell, 'a", ValueError, "a quote is opened and not closed"),
    "escaped quote": ("~ C(cell, 'a\\'", ValueError, "a quote is opened and not closed"),
    "nested": ("~ " + "(" * 60 + "x" + ")" * 60, ValueError, "nested too deeply"),
    "strange sign": ("~ x; cell", ValueError, "';' is no part of a formula"),
    "prefixed text": ("~ C(cell, f'a')", ValueError, "no mark may stand before a text, as 'f' does"),
    "random intercept": ("~ x + (1 | cell)", ValueError, "random effect of 'cell'.*donor_key='cell'(?!.*slope of)"),
    "random slope": ("~ x + (x | cell)", ValueError, "random effect of 'cell'.*A slope of 'x' that differs"),
    "left side": ("cell ~ x", ValueError, "left-hand side"),
    "dot": ("~ .", ValueError, "'.' is no abbreviation of columns"),
    "operator": ("~ x < cell", ValueError, "Arithmetic goes into I"),
    "not closed": ("~ x + (cell", ValueError, r"not a formula \("),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_formula_is_refused_with_the_reason(case: str) -> None:
    formula, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        read_formula(formula, OBS.columns)  # type: ignore[arg-type]


def test_names_that_python_would_parse_otherwise_are_columns() -> None:
    parsed = read_formula("~ class + cell.line + x %in% cell", ["class", "cell.line", "x", "cell"])
    assert parsed.variables == ("cell", "cell.line", "class", "x")
    assert parsed.shown(parsed.rewritten) == "~ class + cell.line + x %in% cell"
