import pytest

from bulkvi.study.formula_names import MAX_LISTED, MissingColumnError, Names, backticked, brief, hint, listed


def test_names_for_formulas() -> None:
    assert [backticked(name) for name in ("cell", "cell line", "class", 1)] == ["cell", "`cell line`", "`class`", "`1`"]
    with pytest.raises(ValueError, match="backtick in its name.*rename it"):
        backticked("a`b")


@pytest.mark.parametrize("text", ["~ bulkvi", "~ bulkvi_i + bulkvi"])
def test_words_for_columns_occur_nowhere_in_the_formula(text: str) -> None:
    names = Names(columns=["bulkvi", "x"], formula=text)
    assert names.mark not in text and names.mark not in names.columns
    word = names.use("x", "number")
    assert names.uses[word] == ("x", "number") and names.shown[word] == "x"


def test_quoted_names_and_texts_are_restored() -> None:
    names = Names(columns=["my col", "cell.line"], formula="~ `my col`")
    quoted, bare, text = names.quoted_column("my col"), names.quoted_column("cell.line", bare=True), names.text("'a b'")
    assert names.restored(f"C({quoted}, {bare}, {text})") == "C(`my col`, cell.line, 'a b')"
    assert names.restored(quoted) == "my col"
    assert names.find(quoted) == "my col" and names.find("nope") is None
    with pytest.raises(ValueError, match="is in quotes"):
        names.top_level(text)
    with pytest.raises(ValueError, match="is no text"):
        names.text("'a\\N{nothing}'")


def test_letters_that_python_reads_as_others_name_their_column() -> None:
    micro, mu = "\N{MICRO SIGN}g", "\N{GREEK SMALL LETTER MU}g"
    assert Names(columns=[micro], formula="~ x").find(mu) == micro
    assert Names(columns=[micro, mu], formula="~ x").find(mu) == mu


def test_a_missing_column_is_named_with_those_there_are() -> None:
    names = Names(columns=["cell", "age"], formula="~ cel")
    with pytest.raises(MissingColumnError, match=r"lacks: 'cel'. It has \['cell', 'age'\]") as raised:
        names.column("cel")
    assert raised.value.column == "cel"


@pytest.mark.parametrize(
    ("formula", "columns", "expected"),
    [
        ("~ my col + x", ["my col", "x"], " Such a name goes in backticks: `my col`."),
        ("~ a-b-c", ["a-b", "a-b-c"], " Such a name goes in backticks: `a-b-c`."),
        ("~ `my col`", ["my col"], ""),
        ("~ x", ["my col"], ""),
        ("~ - + x", ["-"], ""),
    ],
)
def test_a_name_that_needs_backticks_is_suggested(formula: str, columns: list[str], expected: str) -> None:
    assert hint(formula, columns) == expected


def test_long_formulas_and_lists_are_shortened() -> None:
    assert brief("~ x") == "'~ x'"
    assert len(brief("~ " + "x + " * 100)) < 160
    assert listed(["a"]) == "['a']"
    assert listed([str(k) for k in range(MAX_LISTED + 2)]).endswith("] and 2 more")
