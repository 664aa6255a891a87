import matplotlib.pyplot as plt
import pytest
from matplotlib.text import Text

from bulkvi.pl._text import BOX, plain, set_fonts, write_caption


@pytest.mark.parametrize(
    "name", ["$x$", "$", "a$b$c$d", r"\$x\$", r"\alpha", "a_b^{c}", "%d #1 & ~", "{{x}}", "Δψ", "Ген"]
)
def test_a_name_is_drawn_as_its_own_characters(name: str):
    text, math = Text(text=plain(name))._preprocess_math(plain(name))  # type: ignore[attr-defined]
    assert (text, math) == (name, False)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("a\nb\tc\x00d", "a b c d"),
        ("\ufeffgene\u200b", "gene"),
        ("", "(no name)"),
        (" \n ", "(no name)"),
        ("x" * 28, "x" * 28),
        ("a" * 30 + "b" * 30, "a" * 16 + "…" + "b" * 11),
        (1.5, "1.5"),
        (None, "None"),
    ],
)
def test_a_name_has_one_line_and_an_end(name: object, drawn: str):
    assert plain(name) == drawn


def test_characters_of_no_font_become_boxes_with_a_warning_for_their_script():
    private = "\U0010fffd"
    with pytest.warns(UserWarning, match="no installed font has the unassigned characters"):
        assert plain(f"a{private}b") == f"a{BOX}b"


def test_characters_that_the_usual_font_lacks_are_drawn_by_another():
    """Computer Modern has no Cyrillic letters, DejaVu has."""
    plt.switch_backend("agg")
    with plt.rc_context({"font.family": ["cmr10"], "axes.formatter.use_mathtext": True}):
        figure, ax = plt.subplots()
        label = ax.set_xlabel(plain("Контроль"))
        set_fonts([label])
        assert label.get_text() == "Контроль"
        assert label.get_fontfamily()[0] == "cmr10"
        assert len(label.get_fontfamily()) > 1
        figure.draw_without_rendering()  # a glyph that is missing is a warning, and those are errors here
        plain_one = ax.set_ylabel(plain("control"))
        set_fonts([plain_one])
        assert plain_one.get_fontfamily() == ["cmr10"]
    plt.close(figure)


def test_a_caption_takes_as_many_lines_as_the_width_needs():
    parts = ["22,339 genes", "30 without finite values", "26 with p = 0, at the edge"]
    wide, narrow = plt.subplots(figsize=(9, 3))[1], plt.subplots(figsize=(3.3, 3))[1]
    for ax in (wide, narrow):
        write_caption(ax, parts)
    assert wide.get_title(loc="left") == "22,339 genes; 30 without finite values; 26 with p = 0, at the edge"
    assert narrow.get_title(loc="left") == "22,339 genes; 30 without finite values;\n26 with p = 0, at the edge"
