"""Hostile questions to ``bulkvi de``: asked in the plain way they are the same, or they are refused before training."""

import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bulkvi import BulkVI
from bulkvi.cli import _de, app
from bulkvi.cli._command import SEPARATOR
from bulkvi.cli._questions import Question, questions_in
from bulkvi.cli._weighing import parse_weights
from tests.trust.verdict import equal, refused

DESIGN = "~ sex + dose + age"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """12 samples with names of columns and levels that break what reads options carelessly."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(1)
    names = [f"s{k}" for k in range(12)]
    sheet = pd.DataFrame(
        {
            "dose": ["no=ne", "lo,w", "-1"] * 4,
            "sex": ["f"] * 6 + ["m"] * 6,
            "age": rng.permutation(12) + 30.5,
            "cell line": ["A b", "$(x)", "A b", "$(x)"] * 3,
            "tiny": rng.permutation(12) * 1e-9,
            "far": rng.permutation(12) + 738_000,
            "yes": [True, False, False] * 4,
        },
        index=names,
    )
    sheet.to_csv(folder / "samples.csv", index_label="sample")
    counts = rng.poisson(rng.gamma(20, 10, (60, 12)))
    pd.DataFrame(counts, [f"g{k}" for k in range(60)], names).to_csv(folder / "counts.csv", index_label="gene_id")
    return [str(folder / "counts.csv"), str(folder / "samples.csv")]


class Began(Exception):
    """Training began: all questions were accepted."""


def asked(files: list[str], out: Path, *words: str, design: str = DESIGN) -> list[Question]:
    """The questions that reach training; a ValueError with the message of a refusal."""
    found: list[Question] = []

    def keep(*given: Any) -> list[Question]:
        found.extend(weigh(*given))
        return found

    def stop(*_: object, **__: object) -> NoReturn:
        raise Began

    weigh = _de.weigh_questions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_de, "weigh_questions", keep)
        patch.setattr(BulkVI, "train", stop)
        result = CliRunner().invoke(app, ["de", *files, "--design", design, *words, "--out", str(out / "new")])
    if result.exit_code == 2:
        assert not (out / "new").exists()
        raise ValueError(result.stderr.partition("Error: ")[2])
    assert isinstance(result.exception, Began), result.output
    return found


def meaning(questions: list[Question]) -> list[Any]:
    """What is computed, whatever the words were."""
    return [(each.kind, each.column, each.groups, each.weights) for each in questions]


@pytest.mark.parametrize(
    ("hostile", "plain", "design"),
    [
        pytest.param(["--contrast=sex", "m", "f"], ["--contrast", "sex", "m", "f"], DESIGN, id="equals-sign"),
        pytest.param(["--contrast", "`sex`", "m", "f"], ["--contrast", "sex", "m", "f"], DESIGN, id="backticks"),
        pytest.param(["--slope", "`age`"], ["--slope", "age"], DESIGN, id="slope-backticks"),
        pytest.param(["--slope=age"], ["--slope", "age"], DESIGN, id="slope-equals-sign"),
        pytest.param(
            ["--weights", " sex[T.m] = +1.0e0 ,"], ["--weights", "sex[T.m]=1"], DESIGN, id="weights-spaces-and-comma"
        ),
        pytest.param(
            ["--weights", "`cell line`[T.A b]=3/2"],
            ["--weights", "cell line[T.A b]=1.5"],
            "~ `cell line`",
            id="fraction",
        ),
        pytest.param(
            ["--weights", "dose[T.lo,w]=1,dose[T.no=ne]=-1"],
            ["--weights", "dose[T.no=ne]=-1,dose[T.lo,w]=1"],
            DESIGN,
            id="comma-and-equals-sign-in-levels",
        ),
        pytest.param(
            ["--contrast", "yes", "true", "FALSE"], ["--contrast", "yes", "True", "False"], "~ yes", id="yes-no"
        ),
    ],
)
def test_hostile_words_mean_what_plain_ones_do(
    hostile: list[str], plain: list[str], design: str, files: list[str], tmp_path: Path
):
    found, wanted = (meaning(asked(files, tmp_path, *words, design=design)) for words in (hostile, plain))
    equal(found, wanted)


@pytest.mark.parametrize(
    ("column", "design", "weight"),
    [
        pytest.param("tiny", "~ sex + tiny", 1.0, id="mol-per-litre"),
        pytest.param("far", "~ sex + far", 1.0, id="days-since-year-0"),
        pytest.param("far", "~ sex + center(far)", 1.0, id="centred"),
        pytest.param("tiny", "~ sex + I(tiny * 1e9)", 1e9, id="another-unit"),
    ],
)
def test_slopes_in_any_unit_are_those_of_the_column(
    column: str, design: str, weight: float, files: list[str], tmp_path: Path
):
    (question,) = asked(files, tmp_path, "--slope", column, design=design)
    equal(np.array(list((question.weights or {}).values())), np.array([weight]), rtol=1e-8)


def test_a_level_that_looks_like_an_option_is_a_level(files: list[str], tmp_path: Path):
    (question,) = asked(files, tmp_path, "--contrast", "dose", "-1", "lo,w")
    equal(question.groups, ("dose", "-1", "lo,w"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        pytest.param([], ["--contrast", "--slope", "--weights", "--omnibus"], id="no-question"),
        pytest.param(["--contrast", "age"], ["--slope"], id="contrast-of-one-word"),
        pytest.param(["--contrast", "age", "old", "young"], ["--slope age", "30.5 to 41.5"], id="numbers-as-groups"),
        pytest.param(["--contrast", "sex", "m", "f", "--contrast", "sex", "m"], ["sex m"], id="second-contrast-short"),
        pytest.param(["--contrast", "sex", "m", "f", "--contrast", "sex", "m", "f"], ["twice"], id="twice"),
        pytest.param(["--slope", "age", "--weights", "age=1"], ["same question"], id="twice-in-other-words"),
        pytest.param(["--omnibus", "sex", "--omnibus", "`sex`"], ["--omnibus"], id="omnibus-twice"),
        pytest.param(["--slope", "sex"], ["numbers", "--contrast sex"], id="slope-of-categories"),
        pytest.param(["--slope", "dose"], ["lo,w", "--omnibus dose"], id="slope-of-a-number-among-names"),
        pytest.param(["--slope", "tiny"], ["not in the design", "--design"], id="slope-not-in-design"),
        pytest.param(["--slope", ""], ["empty"], id="slope-empty"),
        pytest.param(["--slope", "__class__"], ["no such column"], id="slope-dunder"),
        pytest.param(["--weights", "__import__('os')=1"], ["Columns of the design", "Intercept"], id="weights-code"),
        pytest.param(["--weights", "sex[T.m]=nan"], ["COLUMN=WEIGHT"], id="weights-nan"),
        pytest.param(["--weights", "sex[T.m]=1e999"], ["finite"], id="weights-infinite"),
        pytest.param(["--weights", "sex[T.m]=1/0"], ["zero"], id="weights-by-zero"),
        pytest.param(["--weights", "sex[T.m]=1,sex[T.m]=1"], ["twice"], id="weights-twice"),
        pytest.param(["--weights", "Intercept=1"], ["compares nothing"], id="weights-of-level"),
        pytest.param(["--weights", "sex[T.m]"], ["COLUMN=WEIGHT"], id="weights-without-number"),
        pytest.param(["--omnibus", "yes"], ["not in the design"], id="omnibus-not-in-design"),
        pytest.param(["--omnibus", "sexx"], ["Did you mean 'sex'"], id="omnibus-typo"),
        pytest.param(["--contrast", "sex", "m", "f", "--delta", "-0.5"], ["--delta", "0 or more"], id="delta-negative"),
        pytest.param(["--contrast", "sex", "m", "f", "--delta", "nan"], ["--delta"], id="delta-nan"),
        pytest.param(["--contrast", "sex", "m", "f", "--delta", "inf"], ["--delta"], id="delta-infinite"),
        pytest.param(["--omnibus", "sex", "--delta", "1"], ["--delta", "omnibus"], id="delta-of-omnibus"),
        pytest.param(["--omnibus", "sex", "--gene-sets", "go_bp"], ["--gene-sets", "omnibus"], id="sets-of-omnibus"),
    ],
)
def test_what_is_no_question_is_refused_before_training(
    words: list[str], named: list[str], files: list[str], tmp_path: Path
):
    refused(lambda: asked(files, tmp_path, *words), *map(_literal, named))


def test_no_slope_along_a_curve(files: list[str], tmp_path: Path):
    refused(
        lambda: asked(files, tmp_path, "--slope", "age", design="~ sex + bs(age, df=3)"), "along a curve", "--weights"
    )


def _literal(word: str) -> str:
    return re.escape(word)


WORD = st.text(st.characters(exclude_characters=SEPARATOR, exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda word: word.strip(" `")
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORD, WORD, WORD), min_size=1, max_size=4), st.lists(WORD, max_size=3))
def test_folders_of_any_names_lie_inside_and_apart(contrasts: list[tuple[str, str, str]], slopes: list[str]):
    joined = [SEPARATOR.join(words) for words in contrasts]
    folders = [each.folder for each in questions_in(joined, slopes, None, None, delta=0.0, gene_sets=None)]
    assert len({name.casefold() for name in folders}) == len(folders)
    for name in folders:
        assert Path("a", name).parent == Path("a")
        assert name.isprintable()
        assert not set(name) & set("/\\:*?\"<>|$`' ")
        assert 0 < len(name.encode()) < 250


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), min_size=1, max_size=12).map(
            lambda name: f"<{name}>"
        ),
        st.floats(-1e6, 1e6).filter(bool),
        min_size=1,
        max_size=5,
    )
)
def test_weights_of_any_names_are_read_back(weights: dict[str, float]):
    text = ",".join(f"{name}={weight!r}" for name, weight in weights.items())
    assert parse_weights(text, [*weights, "other"]) == weights
