import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from bulkvi import pl

DE = pd.DataFrame(
    {
        "base_mean": [10.0, 100.0, 1_000.0, 0.0, 5.0],
        "log_fc": [0.5, -1.0, 2.0, 0.0, np.nan],
        "log_fc_mle": [0.9, -1.2, 2.1, 0.0, 1.0],
        "adj_p_value": [0.5, 0.01, 0.001, 1.0, 0.5],
    }
)


def shifted(shift: float) -> Axes:
    de = DE.copy()
    de.attrs["composition_shift"] = shift
    return pl.ma(de)


def points(ax: Axes) -> list[list[list[float]]]:
    return [np.asarray(drawn.get_offsets()).tolist() for drawn in ax.collections]


def heights(ax: Axes) -> list[float]:
    return [float(np.ravel(line.get_ydata())[0]) for line in ax.lines]


def test_fold_changes_are_drawn_over_means_in_the_colour_of_their_call():
    ax = pl.ma(DE)
    assert points(ax) == [[[10, 0.5]], [[100, -1]], [[1_000, 2]]]
    assert ax.get_xscale() == "log"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["1 down", "1 up"]


def test_a_mean_of_zero_has_no_place_and_is_counted():
    assert pl.ma(DE).get_title(loc="left") == "3 genes; 2 without finite values"


def test_effects_without_shrinkage_can_be_drawn():
    ax = pl.ma(DE, column="log_fc_mle")
    assert points(ax) == [[[10, 0.9], [5, 1]], [[100, -1.2]], [[1_000, 2.1]]]
    assert ax.get_ylabel() == "Log2 fold change\n(not shrunk)"


@pytest.mark.parametrize(("shift", "written"), [(0.4, "−0.40"), (-1.25, "+1.25")])
def test_a_line_marks_zero_before_the_shift_was_subtracted(shift: float, written: str):
    ax = shifted(shift)
    assert heights(ax) == [0, -shift]
    (text,) = ax.texts
    assert text.get_text() == f"zero before shift ({written})"
    assert text.xy == (1, -shift)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shift", [0.0, 0.009, -0.009, np.nan])
def test_a_negligible_shift_is_not_drawn(shift: float):
    ax = shifted(shift)
    assert heights(ax) == [0]
    assert len(ax.texts) == 0


def test_a_table_without_a_shift_has_no_line():
    assert heights(pl.ma(DE)) == [0]


def test_another_column_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"unknown `column` 'stat'; choose one of \['log_fc', 'log_fc_mle'\]"):
        pl.ma(DE, column="stat")  # type: ignore[arg-type]


def test_missing_columns_are_named():
    with pytest.raises(KeyError, match=r"no columns \['base_mean', 'log_fc'\] in `de`"):
        pl.ma(DE.drop(columns=["base_mean", "log_fc"]))


SHRUNK = pd.DataFrame(
    {
        "log_fc_mle": [2.0, -3.0, 6.0, np.inf],
        "log_fc": [1.9, -2.5, 0.1, 0.0],
        "adj_p_value": [0.001, 0.01, 0.5, 1.0],
    }
)


def test_shrunk_effects_are_drawn_over_those_that_are_not_in_the_colour_of_their_call():
    ax = pl.shrinkage(SHRUNK)
    points = [np.asarray(drawn.get_offsets()).tolist() for drawn in ax.collections]
    assert points == [[[6, 0.1]], [[-3, -2.5]], [[2, 1.9]]]
    assert ax.get_title(loc="left") == "3 genes; 1 without finite values"


def test_the_diagonal_is_where_nothing_is_shrunk():
    (diagonal,) = [line for line in pl.shrinkage(SHRUNK).lines if hasattr(line, "get_slope")]
    assert (diagonal.get_xy1(), diagonal.get_slope()) == ((0, 0), 1)  # type: ignore[attr-defined]


def test_the_axes_hold_all_genes():
    ax = pl.shrinkage(SHRUNK)
    assert ax.get_xlim()[0] < -3
    assert ax.get_xlim()[1] > 6
    assert ax.get_ylim()[0] < -2.5
    assert ax.get_ylim()[1] > 1.9


def test_the_level_decides_which_genes_are_called():
    legend = pl.shrinkage(SHRUNK, level=0.005).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["0 down", "1 up"]


def test_missing_columns_of_effects_are_named():
    with pytest.raises(KeyError, match=r"no columns \['log_fc_mle'\]"):
        pl.shrinkage(SHRUNK.drop(columns="log_fc_mle"))
