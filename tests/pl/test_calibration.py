from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from bulkvi import pl

SCORES, THRESHOLDS = ["adj_p_value", "s_value"], [0.01, 0.05, 0.5]


@pytest.fixture
def report() -> SimpleNamespace:
    by = pd.MultiIndex.from_product([SCORES, THRESHOLDS], names=["score", "threshold"]).to_frame(index=False)
    fdr = by.assign(
        calls=[0, 4, 9, 1, 5, 20],
        empirical_fdr=[np.nan, 0.04, 0.6, 0.0, 0.08, 1.0],
        empirical_fdr_low=[np.nan, 0.03, 0.5, 0.0, 0.05, 0.9],
        empirical_fdr_high=[np.nan, 0.05, 0.7, 0.1, 0.09, 1.0],
    )
    each = [by.assign(relabelling=i, calls=[0, i % 2, i, 0, i, 2 * i]) for i in range(6)]
    return SimpleNamespace(fdr=fdr, relabellings=pd.concat(each, ignore_index=True))


def bars(ax: Axes) -> list[Rectangle]:
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_a_curve_for_each_score_beside_the_diagonal(report: SimpleNamespace) -> None:
    ax = pl.calibration(report)
    diagonal, adjusted, s_value = ax.lines
    np.testing.assert_array_equal(*diagonal.get_data())
    np.testing.assert_allclose(np.asarray(adjusted.get_ydata()), [0.04, 0.6])  # nothing is called at 0.01
    np.testing.assert_allclose(np.asarray(adjusted.get_xdata()), [0.05, 0.5], rtol=0.05)
    np.testing.assert_allclose(np.asarray(s_value.get_ydata()), [1e-4, 0.08, 1.0])  # a rate of 0 lies on the lower edge
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["as nominal", *SCORES]
    drawn = ax.collections[0]
    assert isinstance(drawn, LineCollection)
    intervals = [np.asarray(segment)[:, 1] for segment in drawn.get_segments()]
    np.testing.assert_allclose(intervals, [[0.03, 0.05], [0.5, 0.7]])


def test_one_score_can_be_chosen(report: SimpleNamespace) -> None:
    ax = pl.calibration(report, score="s_value")
    assert [line.get_label() for line in ax.lines] == ["as nominal", "s_value"]


def test_calls_after_permutation_with_a_line_for_the_data(report: SimpleNamespace) -> None:
    ax = pl.calibration(report, kind="calls")
    assert np.asarray(ax.lines[0].get_xdata())[0] == 4
    heights = [bar.get_height() for bar in bars(ax)]
    assert heights == [3, 3, 0, 0, 0]  # half of the permutations have a call
    assert "6 permutations; 50% with a call" in ax.get_title(loc="left")
    assert ax.get_xlabel() == "Genes with adj_p_value < 0.05"
    ax = pl.calibration(report, kind="calls", score="s_value", threshold=0.5)
    assert np.asarray(ax.lines[0].get_xdata())[0] == 20
    assert sum(bar.get_height() for bar in bars(ax)) == 6


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"score": "p"}, KeyError, "no score 'p'; it has"),
        ({"kind": "bars"}, ValueError, "'fdr' or 'calls'; it is 'bars'"),
        ({"threshold": 0.07}, ValueError, r"0.07; the report has \[0.01, 0.05, 0.5\]"),
    ],
)
def test_choices_that_do_not_exist(report: SimpleNamespace, given: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pl.calibration(report, **given)
    assert plt.get_fignums() == []


def test_a_table_is_no_report() -> None:
    with pytest.raises(TypeError, match="a result of model.calibrate, not DataFrame"):
        pl.calibration(pd.DataFrame())
