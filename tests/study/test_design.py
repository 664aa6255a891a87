import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from bulkvi.study.design import (
    apply_design,
    columns_of_variable,
    design_from_state,
    make_design,
    plain_design,
    without_intercept,
)


@pytest.fixture
def obs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cell": list("aabbccdd"),
            "dex": pd.Categorical(["u", "t"] * 4, categories=["u", "t"]),
            "twin": pd.Categorical(["U", "T"] * 4, categories=["U", "T"]),
            "age": np.arange(8.0) ** 1.5,
            "run": [1, 1, 2, 2, 3, 3, 1, 2],
            "treated": [False, True] * 4,
            "gap": ["x", None] * 4,
            "spare": pd.Categorical(["u", "t"] * 4, categories=["u", "t", "q"]),
            "species": "human",
            "my column": np.arange(8.0),
        },
        index=[f"s{i}" for i in range(8)],
    )


COLUMNS = {
    "~ cell + dex": ["Intercept", "cell[T.b]", "cell[T.c]", "cell[T.d]", "dex[T.t]"],
    "~ 0 + dex": ["dex[u]", "dex[t]"],
    "~ dex * age": ["Intercept", "dex[T.t]", "age", "dex[T.t]:age"],
    "~ scale(age)": ["Intercept", "scale(age)"],
    "~ np.log(age + 1)": ["Intercept", "np.log(age + 1)"],
    "~ C(run)": ["Intercept", "C(run)[T.2]", "C(run)[T.3]"],
    "~ treated": ["Intercept", "treated[T.True]"],
    "~ `my column`": ["Intercept", "my column"],
    "~ 1": ["Intercept"],
}


@pytest.mark.parametrize(("formula", "columns"), COLUMNS.items(), ids=COLUMNS)
def test_columns(obs: pd.DataFrame, formula: str, columns: list[str]) -> None:
    design, matrix = make_design(formula, obs)
    assert list(matrix.columns) == columns == list(design.columns)


@pytest.mark.parametrize("formula", [*COLUMNS, "~ bs(age, df=4)"])
def test_a_few_samples_are_coded_as_they_were_among_all(obs: pd.DataFrame, formula: str) -> None:
    design, matrix = make_design(formula, obs)
    pd.testing.assert_frame_equal(apply_design(design, obs.iloc[[3, 0]]), matrix.iloc[[3, 0]])


REFUSED = {
    "~ nope": (KeyError, "nope"),
    "~ scale(nope)": (KeyError, "nope"),
    "~ dex +": (ValueError, "not a formula"),
    "cell ~ dex": (ValueError, "left-hand side"),
    "~ dex + twin": (ValueError, "'dex' and 'twin' divide the samples alike"),
    "~ gap": (ValueError, "missing for 4 samples.*s1"),
    "~ dex + species": (ValueError, "'species' of adata.obs has one level, 'human'"),
    "~ spare": (ValueError, r"levels without samples: \['q'\]"),
}


@pytest.mark.parametrize(("formula", "error"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_built_is_refused(obs: pd.DataFrame, formula: str, error: tuple[type[Exception], str]) -> None:
    with pytest.raises(error[0], match=error[1]):
        make_design(formula, obs)


@pytest.mark.parametrize(
    ("formula", "variable", "columns"),
    [
        ("~ dex * age", "age", ["age", "dex[T.t]:age"]),
        ("~ C(run) + dex", "run", ["C(run)[T.2]", "C(run)[T.3]"]),
        ("~ `my column` + dex", "my column", ["my column"]),
        ("~ dex", "cell", []),
    ],
)
def test_columns_that_a_variable_enters(obs: pd.DataFrame, formula: str, variable: str, columns: list[str]) -> None:
    design, _ = make_design(formula, obs)
    assert columns_of_variable(design, obs, variable) == columns


@pytest.mark.parametrize("formula", ["~ cell", "~ C(run)"])
def test_unknown_levels_of_new_samples_are_refused(obs: pd.DataFrame, formula: str) -> None:
    design, _ = make_design(formula, obs)
    new = obs.assign(cell="z", run=9)
    with pytest.raises(ValueError, match="levels"):
        apply_design(design, new)


def test_variables_that_divide_the_samples_alike_are_named_in_the_words_of_the_table() -> None:
    obs = pd.DataFrame({"batch": list("xxyy"), "condition": list("ccdd"), "age": [1.0, 3, 2, 5]})
    with pytest.raises(
        ValueError, match=r"'batch' and 'condition' divide the samples alike \(x is c, y is d\). No analysis"
    ):
        make_design("~ batch + condition + age", obs)


DATES = pd.date_range("2020-01-01", periods=8)
NOT_TAKEN = {
    "infinite": ("~ x", [*range(1, 8), np.inf], r"'x' is not a finite number in 1 samples.*'s7': inf"),
    "log of zero": ("~ log(x)", np.arange(8.0), r"'log\(x\)' is not a finite number.*'s0': -inf.*log\(x \+ 1\)"),
    "log of negative": ("~ log(x)", np.arange(8.0) - 2, r"not a finite number in 3 samples.*'s0': nan"),
    "dates": ("~ x + dex", DATES, r"'x' holds dates \(datetime64.*numbers, text, yes/no and categories.*C\(x\)"),
    "periods": ("~ x", DATES.to_period("D"), r"'x' holds dates \(period"),
    "durations": ("~ x", DATES - DATES[0], r"'x' is of dtype timedelta64.*column of numbers"),
    "lists": ("~ x", pd.Series([[1], [2]] * 4).to_numpy(), r"'x' holds things such as \[1\]"),
}


@pytest.mark.parametrize("case", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_a_column_that_no_design_takes_is_named_with_what_to_do(
    obs: pd.DataFrame, case: tuple[str, object, str]
) -> None:
    formula, values, message = case
    with pytest.raises(ValueError, match=message):
        make_design(formula, obs.assign(x=values))


def test_dates_may_be_categories(obs: pd.DataFrame) -> None:
    _, matrix = make_design("~ C(x)", obs.assign(x=DATES[[0, 1] * 4]))
    assert matrix.shape == (8, 2)


def test_new_samples_outside_a_transform_are_named(obs: pd.DataFrame) -> None:
    design, _ = make_design("~ log(age + 1)", obs)
    with pytest.raises(ValueError, match=r"'log\(age \+ 1\)' is not a finite number in 1 samples.*'s2': -inf"):
        apply_design(design, obs.assign(age=np.where(obs.index == "s2", -1.0, obs["age"])))


def test_columns_of_a_variable_in_samples_that_lack_levels_of_another(obs: pd.DataFrame) -> None:
    """Samples were coded anew, so that columns moved up where a level was absent."""
    design, _ = make_design("~ cell + dex", obs)
    few = obs[obs["cell"].isin(["a", "c"])]
    assert columns_of_variable(design, few, "dex") == ["dex[T.t]"]
    assert columns_of_variable(design, obs[:1], "cell") == ["cell[T.b]", "cell[T.c]", "cell[T.d]"]


def test_a_design_for_other_packages_holds_no_name_of_the_user(obs: pd.DataFrame) -> None:
    plain = plain_design("~ `my column` + C(run, contr.treatment(base=2)) + C(dex, levels=['t', 'u'])", obs)
    words = [word for names in plain.word_of.values() for word in names]
    assert set(plain.word_of) == {"my column", "run", "dex"} and sorted(plain.columns) == sorted(words)
    assert "column`" not in plain.formula and "'u'" in plain.formula
    _, expected = make_design("~ `my column` + C(run, contr.treatment(base=2)) + C(dex, levels=['t', 'u'])", obs)
    np.testing.assert_allclose(model_matrix(plain.formula, plain.columns), expected)
    with pytest.raises(ValueError, match="must be of letters, digits"):
        plain_design("~ C(cell, levels=['a', 'b', '(e)'])", obs.assign(cell=["a", "a", "b", "b", *["(e)"] * 4]))


def test_a_state_of_an_older_version_is_refused(obs: pd.DataFrame) -> None:
    design, _ = make_design("~ scale(age)", obs)
    with pytest.raises(ValueError, match="does not hold how its transforms.*train it again"):
        apply_design(design._replace(transform_state={}), obs)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("~ " + " + ".join(f"c{k}" for k in range(17)), "18 terms for 8 samples"),
        ("~ a:b:c:d", "'a:b:c:d' has 4,096 columns for 8 samples"),
    ],
)
def test_far_more_columns_than_samples_are_refused_before_they_are_built(formula: str, message: str) -> None:
    letters = {name: list("abcdefgh") for name in "abcd"}
    numbers = {f"c{k}": np.arange(8.0) ** (k / 5) for k in range(17)}
    with pytest.raises(ValueError, match=message):
        make_design(formula, pd.DataFrame(letters | numbers))


def test_the_network_gets_no_intercept(obs: pd.DataFrame) -> None:
    design, matrix = make_design("~ dex", obs)
    assert list(without_intercept(matrix).columns) == ["dex[T.t]"]
    assert (without_intercept(matrix).dtypes == np.float32).all()
    assert design_from_state(design._asdict()) == design
