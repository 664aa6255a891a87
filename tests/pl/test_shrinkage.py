import numpy as np
import pandas as pd
import pytest

from bulkvi import pl

DE = pd.DataFrame(
    {
        "log_fc_mle": [2.0, -3.0, 6.0, np.inf],
        "log_fc": [1.9, -2.5, 0.1, 0.0],
        "adj_p_value": [0.001, 0.01, 0.5, 1.0],
    }
)


def test_shrunk_effects_stand_over_those_that_are_not_in_the_colour_of_their_call():
    ax = pl.shrinkage(DE)
    points = [np.asarray(drawn.get_offsets()).tolist() for drawn in ax.collections]
    assert points == [[[6, 0.1]], [[-3, -2.5]], [[2, 1.9]]]
    assert ax.get_title(loc="left") == "3 genes; 1 without finite values"


def test_the_diagonal_is_where_nothing_is_shrunk():
    (diagonal,) = [line for line in pl.shrinkage(DE).lines if hasattr(line, "get_slope")]
    assert (diagonal.get_xy1(), diagonal.get_slope()) == ((0, 0), 1)  # type: ignore[attr-defined]


def test_the_axes_hold_all_genes():
    ax = pl.shrinkage(DE)
    assert ax.get_xlim()[0] < -3
    assert ax.get_xlim()[1] > 6
    assert ax.get_ylim()[0] < -2.5
    assert ax.get_ylim()[1] > 1.9


def test_the_level_decides_which_genes_are_called():
    legend = pl.shrinkage(DE, level=0.005).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["0 down", "1 up"]


def test_missing_columns_are_named():
    with pytest.raises(KeyError, match=r"no columns \['log_fc_mle'\]"):
        pl.shrinkage(DE.drop(columns="log_fc_mle"))
