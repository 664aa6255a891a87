"""Questions of ``bulkvi de``: several to one model, slopes, weights of columns, omnibus tests."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pandas as pd
import pytest
import typer
from anndata import read_h5ad
from typer.testing import CliRunner, Result

import bulkvi
from bulkvi import BulkVI
from bulkvi.cli import app
from bulkvi.cli._answers import files_written
from bulkvi.cli._command import SEPARATOR
from bulkvi.cli._questions import questions_in
from bulkvi.cli._weighing import parse_weights

DESIGN = "~ sex * dose + age"
QUERY = "--contrast dose high none --slope age --weights 'sex[T.m]:dose[T.low]=1' --omnibus dose"
FOLDERS = ("dose_high_vs_none", "slope_age", "weights_sex_T.m_dose_T.low_1", "omnibus_dose")


class Cohort(NamedTuple):
    folder: Path
    slopes: pd.Series
    """True log2 change per year."""
    doses: pd.Series
    """True log2 fold change of the high dose."""


class Answers(NamedTuple):
    out: Path
    result: Result
    run: dict[str, Any]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """16 samples of three doses, two sexes and many ages; genes that change with age, others with the dose."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    n, n_genes = 18, 240
    names, genes = [f"s{k}" for k in range(n)], [f"g{k}" for k in range(n_genes)]
    sheet = pd.DataFrame({"dose": ["none", "low", "high"] * 6, "sex": ["f"] * 9 + ["m"] * 9}, index=names)
    sheet["age"] = rng.permutation(np.linspace(25, 70, n).round())
    slopes, doses = np.zeros(n_genes), np.zeros(n_genes)
    slopes[:20] = 0.06 * rng.choice([-1, 1], 20)
    doses[20:40] = 2 * rng.choice([-1, 1], 20)
    share = sheet["dose"].map({"none": 0, "low": 0.5, "high": 1}).to_numpy()
    log2 = slopes[:, None] * (sheet["age"].to_numpy() - 45) + doses[:, None] * share
    mean = rng.lognormal(np.log(300), 1, n_genes)[:, None] * 2**log2 * rng.uniform(0.7, 1.4, n)
    counts = rng.poisson(rng.gamma(20, mean / 20))
    pd.DataFrame(counts, genes, names).to_csv(folder / "counts.csv", index_label="gene_id")
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    return Cohort(folder, pd.Series(slopes, genes), pd.Series(doses, genes))


def de(cohort: Cohort, out: Path, words: str, *, design: str = DESIGN) -> Result:
    files = [str(cohort.folder / "counts.csv"), str(cohort.folder / "samples.csv")]
    return CliRunner().invoke(app, ["de", *files, "--design", design, *shlex.split(words), "--out", str(out)])


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "de.csv", index_col="gene_id", keep_default_na=False)


def no_page(_: BulkVI, de: pd.DataFrame, path: Path, **options: Any) -> Path:
    """In place of a page: what it was asked to be about."""
    told = {"query": de.attrs.get("query"), "level": options["level"], "groupby": options["groupby"]}
    path.write_text(json.dumps(told))
    if "figures" in options:
        (options["figures"] / "ma.png").touch()
    return path


@pytest.fixture(scope="module")
def several(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Four questions to one model."""
    out = tmp_path_factory.mktemp("several") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulkvi, "report", no_page)
        result = de(cohort, out, QUERY)
    assert result.exit_code == 0, result.output
    return Answers(out, result, json.loads((out / "run.json").read_text()))


def test_each_question_has_its_folder_and_all_share_the_model(several: Answers):
    assert {path.name for path in several.out.iterdir()} == {*FOLDERS, "adata.h5ad", "model", "run.json"}
    for name in FOLDERS[:-1]:
        assert {path.name for path in (several.out / name).iterdir()} == {"de.csv", "figures", "report.html"}
    assert several.result.stderr.count("Training on") == 1


def test_run_json_lists_questions_calls_and_all_files(several: Answers):
    entries = several.run["questions"]
    assert [entry["folder"] for entry in entries] == [*FOLDERS]
    for entry in entries:
        found = table(several.out / entry["folder"])
        assert entry["calls"]["all"] == (found["adj_p_value"] < 0.05).sum()
    there = {str(path.relative_to(several.out)) for path in several.out.rglob("*") if path.is_file()}
    assert {*several.run["files"]} == there
    assert several.run["command"].startswith("bulkvi de ")
    assert SEPARATOR not in json.dumps(several.run)


def test_answers_are_those_of_the_python_functions(several: Answers):
    model = BulkVI.load(several.out / "model", adata=read_h5ad(several.out / "adata.h5ad"))
    contrast = {"sex[T.m]:dose[T.low]": 1.0}
    wanted = (
        model.differential_expression("dose", "high", "none"),
        model.differential_expression(contrast={"age": 1.0}),
        model.differential_expression(contrast=contrast),
        model.omnibus_test("dose"),
    )
    for name, answer in zip(FOLDERS, wanted, strict=True):
        numbers = answer.select_dtypes("number")
        found = table(several.out / name)[numbers.columns].astype(float)
        pd.testing.assert_frame_equal(found, numbers, check_names=False, check_dtype=False, rtol=1e-6)


def test_known_slopes_and_differences_are_found(several: Answers, cohort: Cohort):
    slope, any_dose = (table(several.out / name) for name in ("slope_age", "omnibus_dose"))
    changing = cohort.slopes[slope.index] != 0
    assert (slope["adj_p_value"] < 0.05)[changing].mean() > 0.8
    assert (slope["adj_p_value"] < 0.05)[~changing].mean() < 0.05
    np.testing.assert_allclose(slope["log_fc"][changing], cohort.slopes[slope.index][changing], atol=0.03)
    changing = cohort.doses[any_dose.index] != 0
    assert (any_dose["adj_p_value"] < 0.05)[changing].mean() > 0.9
    assert set(any_dose["df"]) == {4}  # two of the dose, two of its interactions


def test_the_terminal_has_a_short_table_for_each_and_its_folder(several: Answers):
    shown = several.result.stdout
    for name in FOLDERS:
        assert f"In {several.out / name}" in shown
    assert "log2 per unit of age, which is 25 to 70 here" in shown
    assert shown.count("The most significant:") >= 4


@pytest.mark.usefixtures("plain")
def test_the_page_of_a_slope_is_about_a_slope(several: Answers, tmp_path: Path):
    given = ["report", str(several.out / "slope_age"), "--out", str(tmp_path / "x.html")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "x.html").read_text()
    for said in (
        "<h1>Change per unit of age</h1>",
        "genes change with age</strong>",
        "up with age</li>",
        "Log2 fold change per unit of age",
        "the change of log2 expression per unit of age (25 to 70 in these samples)",
        "the line is the fitted rate along age",
    ):
        assert said in page
    assert "the fitted rate of the group" not in page


def test_an_omnibus_test_has_its_figures_and_no_page(several: Answers):
    folder = several.out / "omnibus_dose"
    figures = {path.stem for path in (folder / "figures").iterdir()}
    assert {"p_values", "gene", "dispersion"} <= figures
    assert not figures & {"volcano", "ma", "shrinkage"}
    assert not (folder / "report.html").exists()


def test_pages_are_written_again_as_they_were(several: Answers, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bulkvi, "report", no_page)
    pages = [several.out / name / "report.html" for name in FOLDERS[:-1]]
    before = [page.read_text() for page in pages]
    assert "age" in before[1]
    for page in pages:
        page.unlink()
    result = CliRunner().invoke(app, ["report", str(several.out)])
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(page) for page in pages]
    assert [page.read_text() for page in pages] == before


@pytest.mark.parametrize(
    ("where", "options", "said"),
    [
        ("", ["--title", "All"], "holds several questions"),
        ("omnibus_dose", [], "an omnibus test, of which there is no page"),
    ],
)
def test_pages_that_cannot_be_are_refused(several: Answers, where: str, options: list[str], said: str):
    result = CliRunner().invoke(app, ["report", str(several.out / where), *options])
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_a_folder_elsewhere_is_not_followed(several: Answers, tmp_path: Path):
    run = dict(several.run, questions=[{"folder": "../x", "kind": "contrast"}])
    (tmp_path / "run.json").write_text(json.dumps(run))
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "no plain name" in " ".join(result.stderr.split())
    assert not any("x/" in name for name in files_written(tmp_path, questions_in(None, ["age"], None, None, **PLAIN)))


PLAIN: dict[str, Any] = {"delta": 0.0, "gene_sets": None}


def test_files_of_older_questions_are_replaced(several: Answers):
    (question,) = questions_in(["a\x1fb\x1fc"], None, None, None, **PLAIN)
    written = files_written(several.out, [question])
    assert {f"{name}/de.csv" for name in FOLDERS} | {"de.csv"} <= {*written}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures and no pages."""
    monkeypatch.setattr(bulkvi, "report", no_page)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> NoReturn:
        raise SystemError("training began")

    monkeypatch.setattr(BulkVI, "train", stop)


@pytest.mark.usefixtures("quick")
def test_one_question_keeps_the_folder_as_it_was(cohort: Cohort, tmp_path: Path):
    result = de(cohort, tmp_path / "out", "--slope age --json", design="~ dose + age")
    assert result.exit_code == 0, result.output
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert there == {"de.csv", "figures", "report.html", "adata.h5ad", "model", "run.json"}
    run = json.loads(result.stdout)
    assert run["slope"] == "age"
    assert run["calls"] == run["questions"][0]["calls"]
    assert run["range"] == [25.0, 70.0]


@pytest.mark.usefixtures("quick")
def test_delta_reaches_the_test(several: Answers, cohort: Cohort, tmp_path: Path):
    result = de(cohort, tmp_path / "out", "--contrast dose high none --delta 1.9 --json")
    run = json.loads(result.stdout)
    assert run["fit"]["query"]["delta"] == run["delta"] == 1.9
    assert run["calls"]["all"] < several.run["questions"][0]["calls"]["all"] / 2


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize(
    ("words", "design", "said"),
    [
        ("", DESIGN, "Nothing to compare"),
        ("--contrast age", DESIGN, "--slope COLUMN"),
        ("--contrast age 1 0", DESIGN, "write --slope age"),
        ("--contrast dose high none --contrast dose low", DESIGN, "Given: dose low"),
        ("--slope dose", DESIGN, "no column of numbers; it has none, low, high.*--contrast dose"),
        ("--slope aeg", DESIGN, "Did you mean 'age'"),
        ("--slope age", "~ dose", "'age' is not in the design.*Add it to --design"),
        ("--slope age", "~ dose + log(age)", "along a curve.*--weights"),
        ("--omnibus does", DESIGN, "Did you mean 'dose'"),
        ("--omnibus sex", "~ 0 + sex", "Without 'sex' the design has no intercept"),
        ("--weights dose=1", DESIGN, r"Columns of the design: \['Intercept', 'sex\[T.m\]'"),
        ("--weights Intercept=1", DESIGN, "compares nothing"),
        ("--weights age=0", DESIGN, "not all of them zero"),
        ("--slope age --slope age", DESIGN, "--slope age is given twice"),
        ("--slope age --weights age=1", DESIGN, "the same question as --slope age"),
        ("--contrast dose low none --weights 'dose[T.low]=1,dose[T.none]=-1'", "~ dose", "the same question as"),
        ("--contrast dose low none --delta -1", DESIGN, "-1 is not 0 or more"),
        ("--omnibus dose --delta 1", DESIGN, "no effect and no direction"),
    ],
)
def test_questions_that_cannot_be_answered_are_explained(
    words: str, design: str, said: str, cohort: Cohort, tmp_path: Path
):

    result = de(cohort, tmp_path / "out", words, design=design)
    assert result.exit_code == 2, result.output
    assert re.search(said, " ".join(result.stderr.split()))
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("stopped")
def test_two_of_many_numbers_are_noted_as_a_multiple_of_the_slope(cohort: Cohort, tmp_path: Path):
    result = de(cohort, tmp_path / "out", "--contrast age 70 25", design="~ dose + age")
    assert "70 vs 25 is 45 times its effect per unit" in result.stderr
    assert isinstance(result.exception, SystemError)


def test_names_of_folders_are_readable_safe_and_unique():
    hostile = SEPARATOR.join(("../a b", "x/..", "$(rm)"))
    same = SEPARATOR.join(("A b", "X", "rm"))
    folders = [each.folder for each in questions_in([hostile, same], ["длина" * 40], ["a=1", "a=-1"], None, **PLAIN)]
    assert folders[:2] == ["a_b_x_vs_rm", "A_b_X_vs_rm_2"]
    assert folders[3:] == ["weights_a_1", "weights_a_-1"]
    assert all(len(name.encode()) <= 124 and Path(name).name == name for name in folders)


def test_weights_are_read_by_the_names_of_the_columns():
    columns = ["Intercept", "C(a, contr.sum)[S.x=1,y]", "cell line[T.b]", "age"]
    found = parse_weights("C(a, contr.sum)[S.x=1,y]=1/2, `cell line`[T.b] = -1e-1,age=2", columns)
    assert found == {"C(a, contr.sum)[S.x=1,y]": 0.5, "cell line[T.b]": -0.1, "age": 2.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age", "is not COLUMN=WEIGHT"),
        ("age=1,age=2", "comes twice"),
        ("age=1/0", "divides by zero"),
        ("age=x", "is not COLUMN=WEIGHT"),
        (" ", "is empty"),
        (",age=1", "is not COLUMN=WEIGHT"),
    ],
)
def test_weights_that_cannot_be_read_are_explained(text: str, said: str):
    with pytest.raises(ValueError, match=said):
        parse_weights(text, ["Intercept", "age"])


def test_an_empty_word_is_refused():
    with pytest.raises(typer.BadParameter, match="A word is empty"):
        questions_in(None, [" "], None, None, **PLAIN)
