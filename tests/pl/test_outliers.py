import numpy as np
import pandas as pd
import pytest

from bulkvi import pl
from tests.regression.test_outlier_scores import make_scores


def texts(ax) -> str:
    return ax.get_title(loc="left").replace("\n", " ")


def test_bars_are_the_numbers_of_each_sample():
    ax = pl.outliers(make_scores())
    heights = [[bar.get_height() for bar in container] for container in ax.containers]
    assert heights == [[1, 0, 0, 0], [-1, 0, 0, 0]]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["s0", "s1", "s2", "s3"]
    assert "against the others" in texts(ax)
    assert "0.05" in texts(ax)


def test_many_samples_have_no_tick_for_each():
    ax = pl.outliers(make_scores(n=60))
    assert ax.get_xlabel() == "Samples, by number of outliers"
    assert "most in s0: 2" in texts(ax)


def test_a_gene_is_drawn_against_what_is_expected():
    scores = make_scores()
    ax = pl.outliers(scores, "g3")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Expected count + 1", "Count + 1")
    sizes = [len(np.asarray(points.get_offsets())) for points in ax.collections[:3]]
    assert sizes == [3, 1, 0]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["as expected (3)", "outlier, more (1)"]
    assert "g3" in texts(ax)
    assert [text.get_text() for text in ax.texts] == ["s0"]
    pd.testing.assert_frame_equal(scores.calls(), make_scores().calls())


def test_wrong_arguments():
    with pytest.raises(KeyError, match="no gene 'x'"):
        pl.outliers(make_scores(), "x")
    with pytest.raises(ValueError, match="alpha is 2"):
        pl.outliers(make_scores(), alpha=2)
