from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from bulkvi.study.design import make_design
from bulkvi.study.formula import read_formula
from bulkvi.study.formula_calls import MAX_FACTORS, MAX_TERMS

X = np.linspace(0.1, 0.9, 8)
OBS = pd.DataFrame({"x": X, "y": X**2, "cell": list("aabbccdd"), "my col": X + 1, "np.x": X + 2})

VALUES: dict[str, Callable[[], np.ndarray]] = {
    "I(x + y * 2)": lambda: X + 2 * X**2,
    "I(-x / 10 + 1)": lambda: 1 - X / 10,
    "I(x > 0.5)": lambda: X > 0.5,
    "I(~(x > 0.5))": lambda: X <= 0.5,
    "I((x > 0.2) & (y < 0.5) | (x == 0.1))": lambda: (X > 0.2) & (X**2 < 0.5) | (X == 0.1),
    "I(x // 0.3 + x % 0.3)": lambda: X // 0.3 + X % 0.3,
    "I(x**2)": lambda: X**2,
    "np.log(x)": lambda: np.log(X),
    "numpy.maximum(x, y)": lambda: np.maximum(X, X**2),
    "np.clip(x, 0.2, 0.8)": lambda: np.clip(X, 0.2, 0.8),
    "log2(x)": lambda: np.log2(X),
    "exp10(x)": lambda: 10**X,
    "I(x * np.pi)": lambda: X * np.pi,
    "slope(x)": lambda: X,
    "Q('my col')": lambda: X + 1,
    "I(`np.x` * 2)": lambda: 2 * (X + 2),
    "center(x)": lambda: X - X.mean(),
    "scale(x)": lambda: (X - X.mean()) / X.std(ddof=1),
    "standardize(x, ddof=0)": lambda: (X - X.mean()) / X.std(),
}


@pytest.mark.parametrize("call", VALUES)
def test_a_call_has_the_values_of_numpy(call: str) -> None:
    design, matrix = make_design(f"~ {call}", OBS)
    np.testing.assert_allclose(matrix.iloc[:, 1].to_numpy(), VALUES[call]().astype(float), atol=1e-12)
    assert not any("bulkvi" in name for name in design.columns)


WIDTHS = {
    "bs(x, df=4)": 4,
    "bs(x, knots=[0.3, 0.6], degree=2)": 4,
    "poly(x, 2)": 2,
    "C(cell, contr.sum)": 3,
    "C(cell, contr.treatment(base='c'))": 3,
    "C(cell, Treatment(reference='b'))": 3,
    "C(cell, contr.custom([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1]]))": 3,
    "C(cell, levels=['d', 'c', 'b', 'a'])": 3,
    "C(cell, contr.poly(scores=[1, 2, 3, -4]))": 3,
}


@pytest.mark.parametrize("call", WIDTHS)
def test_settings_reach_the_transform(call: str) -> None:
    assert make_design(f"~ {call}", OBS)[1].shape[1] == 1 + WIDTHS[call]


REFUSED = {
    "I('a')**2 + I(2**3)": "numbers by themselves are not calculated",
    "I(x.sum())": "formulas take the transforms",
    "I(x.values)": "a dot is allowed in a column's name",
    "I([x])": "that is no part of a formula",
    "I(x < 1 < 2)": "that is no part of a formula",
    "np.log(x, out=x)": "one to three values and no settings",
    "np.where(x, x, x, x)": "one to three values and no settings",
    "np.sum(x)": "formulas take the transforms",
    "slope(x + y)": "the name of a column is wanted",
    "Q(x)": "Q takes the name of a column in quotes",
    "bs(x, 3, 2)": "settings after the second one are given by name",
    "bs(x, df=1001)": "1001 is more than 1000",
    "bs(x, degree=21)": "21 is more than 20",
    "poly(x, 21)": "21 is more than 20",
    "scale(x, _state=1)": "scale has no setting '_state' here",
    "scale(x, **y)": r"scale has no setting '\*\*' here",
    "C(cell, levels=x)": "a setting is a number, a text, a list of them",
    "I(x + 9007199254740993)": r"numbers are real and at most 2\*\*53",
    "I(x + 1j)": "numbers are real",
}


@pytest.mark.parametrize("call", REFUSED)
def test_anything_else_is_refused_with_the_part_and_the_reason(call: str) -> None:
    with pytest.raises(ValueError, match=f"(?s)not built, because of .*{REFUSED[call]}"):
        make_design(f"~ {call}", OBS)


@pytest.mark.parametrize(
    ("formula", "allowed"),
    [
        (" * ".join("abcdef"), True),
        (" * ".join("abcdefg"), False),
        ("(a + b + c)**3", True),
        ("(a + b)**8", True),  # degree counts different factors
        ("(a + b)**60", False),
        (":".join("abcdef"), True),
        (":".join("abcdefg"), False),
        ("a / b / c", True),
        ("(a + b + c + d + e + f + g)**7", False),
        ("a + b - a", True),
    ],
)
def test_the_size_of_a_formula_is_bounded(formula: str, allowed: bool) -> None:
    columns = list("abcdefgh")
    if allowed:
        parsed = read_formula(f"~ {formula}", columns)
        assert len(parsed.terms) <= MAX_TERMS
        assert max(len(list(term.factors)) for term in parsed.terms) <= MAX_FACTORS
    else:
        with pytest.raises(ValueError, match="multiplies out to more than"):
            read_formula(f"~ {formula}", columns)
