"""Formulas as an attacker, or a column with an odd name, would write them: none runs code, and good ones mean what they meant."""

import re
import shlex
from pathlib import Path
from typing import Any

import formulaic
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from typer.testing import CliRunner

import bulkvi as bv
from bulkvi.cli import app
from bulkvi.study.design import Design, apply_design, make_design
from tests.trust.verdict import equal, refused

N = 24
CANARY = "canary.txt"


@pytest.fixture(autouse=True)
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Payloads write this file into the folder they run in."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / CANARY).exists(), "the formula ran code"


def samples() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "cell": np.tile(list("abcd"), N // 4),
            "dex": np.repeat(["u", "t"], N // 2),
            "age": rng.uniform(20, 70, N),
            "hours": np.tile([0, 2, 6], N // 3),
            "run": np.tile([1, 2, 3], N // 3),
            "x": rng.normal(3, 0.5, N),
            "my col": rng.normal(size=N),
            "group": np.tile(["p", "q", "r"], N // 3),
        },
        index=[f"s{k}" for k in range(N)],
    )


def cohort(**columns: Any) -> AnnData:
    obs = samples().assign(**columns)
    counts = np.random.default_rng(1).poisson(60, size=(N, 70))
    adata = AnnData(counts.astype(np.float32), obs=obs)
    adata.obs["size_factor"] = np.linspace(0.9, 1.1, N)
    return adata


WRITE = f"open('{CANARY}', 'w').write('x')"
SYSTEM = f"__import__('os').system('touch {CANARY}')"
PAYLOADS = [
    f"~ C({SYSTEM})",
    f"~ I({WRITE})",
    f"~ {WRITE}",
    f"~ {{{WRITE}}}",
    f"~ {{{SYSTEM}}}",
    f"~ dex + C(dex, levels={SYSTEM})",
    f"~ dex + bs(age, df={SYSTEM} + 4)",
    f"~ dex + bs(age, knots=[{SYSTEM}])",
    f"~ age + I((lambda: {WRITE})())",
    f"~ (lambda: {WRITE})()(age)",
    f"~ [{WRITE} for _ in [1]]",
    f"~ I([{WRITE} for _ in [1]])",
    f"~ I({{{WRITE}: 1}})",
    f"~ I((y := {WRITE}))",
    f"~ I(f'{{{WRITE}}}')",
    f'~ I(f"{{{WRITE}}}")',
    f"~ I(age if {WRITE} else age)",
    f"~ I(age[{WRITE}])",
    f"~ age[{WRITE}]",
    f"~ I(age.map(lambda v: {WRITE}))",
    f"~ age.map(lambda v: {WRITE})",
    f"~ age.to_csv('{CANARY}')",
    f"~ I(age.to_csv('{CANARY}'))",
    "~ I(age.__class__.__mro__[1].__subclasses__()[0])",
    f"~ np.save('{CANARY}', age)",
    f"~ np.savetxt('{CANARY}', age)",
    f"~ I(age.to_numpy().tofile('{CANARY}'))",
    f"~ np.lib.npyio.os.system('touch {CANARY}')",
    f"~ np.vectorize(lambda v: {WRITE})(age)",
    f"~ np.apply_along_axis(print, 0, {WRITE})",
    f'~ eval("{SYSTEM}")',
    "~ exec('x')",
    f"~ getattr(age, 'to_csv')('{CANARY}')",
    f"~ hashed(cell, levels=2, hash_func=lambda v: {WRITE})",
    f"~ scale(age, _state={WRITE})",
    f"~ scale(age, **{{'_state': {WRITE}}})",
    f"~ scale(age, *[{WRITE}])",
    # a text in a stateful transform becomes code when formulaic looks for its state
    f"~ bs(age, df=4, extrapolation='\" + {SYSTEM} + \"')",
    f"~ scale(age, '\\\\\" + str({SYSTEM}) + \"')",
    f"~ Q(__import__('os').system('touch {CANARY}'))",
    f"~ contr.treatment.__init__.__globals__['inspect'].os.system('touch {CANARY}')",
    f"~ C(dex, contr.treatment(base={WRITE}))",
    f"~ C(dex, type('T', (), {{'a': {WRITE}}}))",
    f"(lambda: {WRITE})()(age) ~ dex",
    f"~ `dex` + C(`{SYSTEM}`)",
    f"~ dex\n + {WRITE}",
    f"~ dex + await_({WRITE})",
    f"~ dex + (yield {WRITE})",
    f"~ I(age @ {WRITE})",
    f"~ log(age, out={WRITE})",
    f"~ np.log(age, where={WRITE})",
    f"~ I(not {WRITE})",
    f"~ I(age and {WRITE})",
    f"~ I(\N{FULLWIDTH LATIN SMALL LETTER O}pen('{CANARY}', 'w'))",
    f"~ C(dex, 'a' {WRITE})",
    f"~ age ** {WRITE}",
    f"~ dex %in% {WRITE}",
    f"~ (1 | {WRITE})",
]


@pytest.mark.parametrize("formula", PAYLOADS)
def test_no_formula_runs_code(formula: str) -> None:
    refused(lambda: make_design(formula, samples()))


PUBLIC = {
    "check_design": lambda adata, formula: bv.tl.check_design(adata, formula),
    "design_variables": lambda adata, formula: bv.tl.design_variables(adata, formula),
    "check_samples": lambda adata, formula: bv.tl.check_samples(adata, "dex", design=formula),
    "setup_anndata": lambda adata, formula: bv.BulkVI.setup_anndata(
        adata, size_factor_key="size_factor", design=formula
    ),
    "pydeseq2": lambda adata, formula: bv.baselines.pydeseq2(adata, formula, "dex", "t", "u"),
    "zinb": lambda adata, formula: bv.baselines.zinb(adata, "dex", "t", "u", design=formula),
}


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("formula", [f"~ dex + C({SYSTEM})", f"~ dex + I({WRITE})"])
def test_no_public_function_runs_a_formula(name: str, formula: str) -> None:
    refused(lambda: PUBLIC[name](cohort(), formula))


def test_a_model_file_does_not_bring_a_formula_in() -> None:
    design, _ = make_design("~ age", samples())
    state = design._asdict() | {"formula": f"~ age + I({WRITE})"}
    refused(lambda: apply_design(Design(**state), samples()))


NAMES = {
    "code": f"C({SYSTEM})",
    "code behind a backtick": f"dex` + C({SYSTEM}) + `dex",
    "a call": f"x` + {WRITE} + `x",
    "a closing brace": f"}} + {{{WRITE}",
    "quotes": f"' + {WRITE} + '",
    "python in a transform": f"age), {WRITE}, (age",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_no_name_of_a_column_runs(name: str) -> None:
    """check_samples made a formula of a name."""
    adata = cohort(**{name: np.repeat(["u", "t"], N // 2)})
    plain = bv.tl.check_samples(cohort(plain=np.repeat(["u", "t"], N // 2)), "plain")
    equal(bv.tl.check_samples(adata, name)["prob_label"], plain["prob_label"])


@pytest.mark.parametrize("command", ["check", "de"])
@pytest.mark.parametrize(
    "formula", [f"~ dex + I({WRITE})", f"~ C({SYSTEM})", f"{WRITE} ~ dex", "~ dex + age.to_csv('canary.txt')"]
)
def test_no_formula_runs_on_the_command_line(command: str, formula: str) -> None:
    _write_files(cohort())
    result = CliRunner().invoke(app, _words(command, formula))
    assert result.exit_code == 2, result.output
    refused(lambda: _raise(result.stderr))


@pytest.mark.parametrize("name", [f"C({SYSTEM})", f"dex` + C({SYSTEM}) + `dex"])
def test_no_header_of_a_sample_sheet_runs(name: str) -> None:
    _write_files(cohort(**{name: np.repeat(["u", "t"], N // 2)}))
    result = CliRunner().invoke(app, [*_words("check", "~ cell"), "--label", name])
    assert result.exit_code == 2, result.output
    refused(lambda: _raise(result.stderr))


def _raise(stderr: str) -> None:
    raise ValueError(next(line for line in stderr.splitlines() if line.startswith("Error:")))


def _write_files(adata: AnnData) -> None:
    counts = adata.to_df().T.astype(int)
    counts.to_csv("counts.csv")
    adata.obs.drop(columns="size_factor").to_csv("samples.csv")


def _words(command: str, formula: str) -> list[str]:
    options = "--contrast dex t u --out out" if command == "de" else ""
    return [command, "counts.csv", "samples.csv", "--design", formula, *shlex.split(options)]


GOOD = [
    "~ cell + dex",
    "cell + dex",
    "~ 0 + dex",
    "~ dex - 1",
    "~ dex * age",
    "~ cell:dex",
    "~ cell / dex",
    "~ (cell + dex + age)**2",
    "~ dex %in% cell",
    "~ scale(age)",
    "~ center(age)",
    "~ standardize(age)",
    "~ scale(age, ddof=0)",
    "~ log(age) + log2(x)",
    "~ np.log(age + 1)",
    "~ log10(age)",
    "~ exp(x) + exp2(x)",
    "~ np.sqrt(age)",
    "~ C(run)",
    "~ C(run, contr.sum)",
    "~ C(run, contr.treatment(base=2))",
    "~ C(cell, contr.treatment('b'), levels=['d', 'c', 'b', 'a'])",
    "~ C(cell, Treatment('b'))",
    "~ C(cell, Sum) + C(run, Poly)",
    "~ C(cell, contr.helmert)",
    "~ C(cell, contr.diff)",
    "~ C(cell, contrasts={'ab': [1, -1, 0, 0]})",
    "~ bs(age, df=4)",
    "~ bs(age, knots=[30.0, 50.0], degree=2)",
    "~ bs(age, df=5, extrapolation='clip')",
    "~ cr(age, df=3, constraints='center')",
    "~ cc(age, df=3, constraints='center')",
    "~ poly(age, 2):dex",
    "~ poly(age, degree=3, raw=True)",
    "~ age + I(age**2)",
    "~ {age / 10} + {age * x}",
    "~ I((age > 40) & (x < 3))",
    "~ I(cell == 'a')",
    "~ dex + scale(`my col`):dex",
    "~ I(scale(age)**2) + scale(age)",
    "~ np.maximum(age, 40) + np.power(x, 2)",
    "~ dex + 2:age",
    "~ 1",
    "~ hours + dex",
    "~ batch + sex * group + scale(age)",
]


@pytest.mark.parametrize("formula", GOOD)
def test_good_formulas_are_those_of_formulaic(formula: str) -> None:
    obs = samples().assign(batch=np.tile(list("vw"), N // 2), sex=np.tile(["f", "f", "m"], N // 3))
    obs["group"] = np.repeat(["g", "h"], N // 2)
    design, matrix = make_design(formula, obs)
    plain = pd.DataFrame(formulaic.model_matrix(formula, obs), dtype=float)
    equal(matrix, plain, rtol=1e-12, atol=1e-12)
    equal(apply_design(design, obs.iloc[[5, 1]]), matrix.iloc[[5, 1]], rtol=1e-9, atol=1e-9)


OWN = {
    "~ sqrt(age)": lambda obs: np.sqrt(obs["age"]),
    "~ log1p(age)": lambda obs: np.log1p(obs["age"]),
    "~ exp10(x)": lambda obs: 10 ** obs["x"],  # formulaic's is the tenth power
    "~ numpy.cbrt(age)": lambda obs: np.cbrt(obs["age"]),
    "~ slope(run)": lambda obs: obs["run"].astype(float),
    "~ Q('my col')": lambda obs: obs["my col"],
}


@pytest.mark.parametrize("formula", OWN)
def test_transforms_of_ours(formula: str) -> None:
    _, matrix = make_design(formula, samples())
    equal(matrix.iloc[:, 1].to_numpy(), OWN[formula](samples()).to_numpy(), rtol=1e-12)


ODD_NAMES = [
    "cell.line", "cell-line", "cell line", "C", "I", "np", "log", "class", "if", "in", "None", "1", "0", "-1", "~", "a + b", "a:b",
    "it's", 'say "so"', "$dose$", "\N{GREEK SMALL LETTER MU}M", "\N{MICRO SIGN}M", "Zell-Linie \N{LATIN SMALL LETTER A WITH DIAERESIS}",
    "back\\slash", "{x}", "x)", "(", "%", "bulkvi", "__class__", "contr", "T.b", "\N{LATIN SMALL LIGATURE FI}t",
]  # fmt: skip


@pytest.mark.parametrize(
    "values", [np.tile(list("abcd"), N // 4), np.linspace(0.1, 2, N) ** 2], ids=["text", "numbers"]
)
@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_in_backticks_is_the_column(name: str, values: Any) -> None:
    obs = samples().drop(columns="cell")
    design, matrix = make_design(f"~ dex + `{name}`", obs.assign(**{name: values}))
    _, plain = make_design("~ dex + plain", obs.assign(plain=values))
    equal(matrix.to_numpy(), plain.to_numpy())
    assert list(design.columns[2:]) == [column.replace("plain", name, 1) for column in plain.columns[2:]]


@pytest.mark.parametrize("name", ["cell.line", "C", "class", "if", "np", "lambda", "\N{MICRO SIGN}M", "import"])
def test_names_without_backticks_where_they_are_words(name: str) -> None:
    obs = samples().rename(columns={"cell": name})
    equal(
        make_design(f"~ {name} + C({name}):age", obs)[1].to_numpy(),
        make_design("~ cell + C(cell):age", samples())[1].to_numpy(),
    )


@pytest.mark.parametrize("name", ["cell-line", "cell line", "$cell", "cell@line", "cell[1]"])
def test_names_that_need_backticks_are_said(name: str) -> None:
    obs = samples().rename(columns={"cell": name})
    refused(lambda: make_design(f"~ {name} + dex", obs), re.escape(f"`{name}`"))


MANY = {f"c{k}": np.random.default_rng(k).permutation(np.tile(list("ab"), N // 2)) for k in range(30)}
HUGE = {
    "power": "~ (cell + dex)**40",
    "power of powers": "~ (((cell + dex)**9)**9)**9",
    "product": "~ " + " * ".join(MANY),
    "interaction": "~ " + ":".join(MANY),
    "parentheses": "~ " + "(" * 900 + "cell" + ")" * 900,
    "a megabyte": "~ cell" + " + cell" * 150_000,
    "signs": "~ I(" + "-" * 9_000 + "age)",
    "a sum in a call": "~ I(age" + "+1" * 4_500 + ")",
    "numbers": "~ I(age + 9**9**9**9)",
    "a number": "~ I(age * " + "9" * 5_000 + ")",
    "a null": "~ ce\0ll",
    "a control": "~ cell\x1b[31m",
    "a spline": "~ bs(age, df=1000000)",
    "a degree": "~ poly(age, 100000)",
    "buckets": "~ hashed(cell, levels=1000000000)",
    "levels": "~ " + ":".join(["identity", "identity2", "identity3"]),
    "open quote": "~ C(cell, 'a)",
    "open backtick": "~ `cell",
    "nothing": "~ ",
}


@pytest.mark.parametrize("formula", HUGE.values(), ids=HUGE)
def test_what_is_too_much_is_refused_at_once(formula: str) -> None:
    identity = [f"i{k}" for k in range(N)]
    obs = samples().assign(**MANY, identity=identity, identity2=identity, identity3=identity)
    refused(lambda: make_design(formula, obs))


RANDOM = ["(1|cell)", "(1 | cell)", "(1|`cell`)", "(1 | cell) + age", "(age | cell)", "(0 + age || cell)", "1|cell"]


@pytest.mark.parametrize("term", RANDOM)
def test_a_random_effect_names_donor_key(term: str) -> None:
    refused(lambda: make_design(f"~ dex + {term}", samples()), "random effect of 'cell'", "donor_key='cell'")
