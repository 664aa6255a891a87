import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from bulkvi import pl
from bulkvi.pl._enrichment import short_term
from bulkvi.pl._figure import OKABE_ITO
from bulkvi.pl._gene_table import DOWN, UP


@pytest.fixture
def table() -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "term": ["down term", "GOBP_UP_TERM", "unsure term"],
            "direction": ["down", "up", "up"],
            "score": [-4.0, 6.0, 1.0],
            "score_low": [-5.0, 5.0, -1.0],
            "score_high": [-3.0, 6.5, 2.0],
            "adj_p_value": [1e-4, 1e-6, 0.3],
            "size": [50, 40, 30],
            "n_called": [20, 10, 2],
        }
    )
    made.attrs["enrichment_method"] = "ulm"
    return made


def labels(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_terms_are_in_the_order_of_their_scores_with_dots_intervals_and_numbers(table: pd.DataFrame):
    ax = pl.enrichment(table)
    assert labels(ax) == ["up term", "unsure term", "down term"]
    lines, dots = ax.collections
    np.testing.assert_array_equal(np.asarray(dots.get_offsets()), [[6, 0], [1, 1], [-4, 2]])
    ends = [segment[:, 0].tolist() for segment in lines.get_segments()]  # type: ignore[attr-defined]
    assert ends == [[5, 6.5], [-1, 2], [-5, -3]]
    assert [to_hex(c) for c in np.asarray(dots.get_facecolor())] == [to_hex(UP), to_hex("white"), to_hex(DOWN)]
    assert [to_hex(c) for c in np.asarray(dots.get_edgecolor())] == [to_hex(UP), to_hex(UP), to_hex(DOWN)]
    assert texts(ax)[:3] == ["10/40", "2/30", "20/50"]
    assert np.argmax(dots.get_sizes()) == 2  # type: ignore[attr-defined]
    assert ax.get_title(loc="left") == "2 of 3 called"


def test_down_genes_of_ora_are_drawn_to_the_left(table: pd.DataFrame):
    positive = table.assign(score=table["score"].abs(), score_low=0.1, score_high=7.0)
    positive.attrs["enrichment_method"] = "ora"
    ax = pl.enrichment(positive)
    assert np.asarray(ax.collections[1].get_offsets())[-1].tolist() == [-4, 2]
    assert "down to the left" in ax.get_xlabel()


def test_terms_with_the_same_genes_are_drawn_once_and_the_axes_given_are_used(table: pd.DataFrame):
    twice = pd.concat([table.assign(genes="A;B"), table.assign(genes="A;B", term="synonym")], ignore_index=True)
    own = pl.enrichment(table)
    assert pl.enrichment(twice, n_terms=3, ax=own) is own
    assert "synonym" not in labels(own)


def test_table_is_not_changed_and_may_lack_intervals(table: pd.DataFrame):
    plain = table.assign(score_low=np.nan, score_high=np.nan)
    before = plain.copy()
    pl.enrichment(plain).get_figure(root=True).canvas.draw()  # type: ignore[union-attr]
    pd.testing.assert_frame_equal(plain, before)


def test_what_cannot_be_drawn_is_refused(table: pd.DataFrame):
    with pytest.raises(KeyError, match=r"no columns \['score'\] in `table`.*bulkvi.tl.enrichment"):
        pl.enrichment(table.drop(columns="score"))
    with pytest.raises(TypeError, match="`table` must be a table"):
        pl.enrichment([1])
    with pytest.raises(ValueError, match="n_terms is 0: give a whole number of at least 1"):
        pl.enrichment(table, n_terms=0)
    with pytest.raises(ValueError, match=r"level \(a false discovery rate\) is 2"):
        pl.enrichment(table, level=2)
    with pytest.raises(ValueError, match="no term with a score"):
        pl.enrichment(table.assign(score=np.nan))


def test_names_are_cut_to_two_lines_and_lose_the_database():
    assert short_term("HALLMARK_TNFA_SIGNALING_VIA_NFKB") == "tnfa signaling via nfkb"
    assert short_term("GO term") == "GO term"
    long = short_term("positive regulation of " * 6)
    assert long.count("\n") == 1
    assert long.endswith("…")
    assert max(map(len, long.split("\n"))) <= 26


@pytest.fixture
def compared() -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "term": ["a", "b", "c"],
            "direction": ["up", "down", "up"],
            "score": [5.0, 3.0, np.nan],
            "score_low": [4.0, 2.0, np.nan],
            "score_high": [6.0, 4.0, np.nan],
            "adj_p_value": [1e-4, 0.2, np.nan],
            "score_other": [4.5, 1.0, 2.0],
            "adj_p_value_other": [0.01, 0.3, 0.01],
        }
    )
    made.attrs = {
        "labels": ("bulkvi", "DESeq2"),
        "enrichment_method": "ulm",
        "level": 0.05,
        "concordance": {"n_shared": 2, "spearman": 0.987, "called_here": 1, "called_other": 1, "called_both": 1},
    }
    return made


def test_both_scores_of_a_term_are_drawn_in_its_row(compared: pd.DataFrame):
    ax = pl.enrichment_compare(compared)
    ours, theirs = ax.collections[1], ax.collections[3]
    for points, scores, colour in ((ours, [5.0, 3.0, np.nan], OKABE_ITO[0]), (theirs, [4.5, 1.0, 2.0], OKABE_ITO[1])):
        at = np.ma.filled(points.get_offsets(), np.nan)
        np.testing.assert_array_equal(at[:, 0], scores)
        assert np.round(at[np.isfinite(at[:, 0]), 1]).tolist() == list(range(np.isfinite(scores).sum()))
        assert [to_hex(one) for one in np.asarray(points.get_facecolor())[:2]] == [to_hex(colour), to_hex("white")]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]  # c has a score in one table only
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["bulkvi", "DESeq2", "not called"]
    assert "Spearman 0.987" in ax.get_title(loc="left")


def test_down_genes_of_ora_are_drawn_to_the_left_in_both_tables(compared: pd.DataFrame):
    compared.attrs["enrichment_method"] = "ora"
    ax = pl.enrichment_compare(compared)
    for i in (1, 3):
        assert np.sign(np.asarray(ax.collections[i].get_offsets())[:2, 0]).tolist() == [1, -1]


def test_what_is_no_comparison_is_refused(compared: pd.DataFrame):
    with pytest.raises(KeyError, match=r"no columns \['score_other'\] in `compared`.*compare_enrichment"):
        pl.enrichment_compare(compared.drop(columns="score_other"))
    with pytest.raises(ValueError, match="false discovery rate"):
        pl.enrichment_compare(compared, level=0)
