import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bulkvi import pl
from bulkvi.pl._axes import OKABE_ITO


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


def test_both_scores_of_a_term_stand_in_its_row(compared: pd.DataFrame):
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


def test_down_genes_of_ora_lie_to_the_left_in_both(compared: pd.DataFrame):
    compared.attrs["enrichment_method"] = "ora"
    ax = pl.enrichment_compare(compared)
    for i in (1, 3):
        assert np.sign(np.asarray(ax.collections[i].get_offsets())[:2, 0]).tolist() == [1, -1]


def test_what_cannot_be_drawn_is_refused(compared: pd.DataFrame):
    with pytest.raises(KeyError, match=r"no columns \['score_other'\] in `compared`.*compare_enrichment"):
        pl.enrichment_compare(compared.drop(columns="score_other"))
    with pytest.raises(ValueError, match="`level` is a false"):
        pl.enrichment_compare(compared, level=0)
