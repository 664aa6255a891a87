import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bulkvi import pl, tl
from bulkvi.datasets import airway

ASSOCIATION = pd.DataFrame(
    [("cell", "dex", 0.25, "Cramer's V"), ("cell", "age", 1.0, "eta squared"), ("dex", "age", np.nan, "eta squared")],
    columns=["column", "other_column", "association", "measure"],
)


def test_each_pair_is_in_both_cells_and_none_with_itself():
    ax = pl.design(ASSOCIATION)
    drawn: np.ma.MaskedArray = np.ma.asarray(ax.collections[0].get_array()).reshape(3, 3)
    np.testing.assert_array_equal(
        drawn.filled(-1), [[-1, 0.25, 1.0], [0.25, -1, -1], [1.0, -1, -1]]
    )  # nothing is drawn where nothing is known
    assert [label.get_text() for label in ax.get_xticklabels()] == ["cell", "dex", "age"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cell", "dex", "age"]
    assert ax.yaxis_inverted()
    assert ax.collections[0].get_clim() == (0, 1)


def test_numbers_are_written_where_they_are_known():
    texts = {text.get_position(): text.get_text() for text in pl.design(ASSOCIATION).texts}
    assert texts == {(1, 0): ".25", (2, 0): "1", (0, 1): ".25", (0, 2): "1"}


def test_many_columns_are_written_on_request_only():
    names = [f"c{k}" for k in range(12)]
    table = pd.DataFrame(
        [(a, b, 0.5, "Cramer's V") for a in names for b in names if a < b], columns=ASSOCIATION.columns
    )
    assert len(pl.design(table).texts) == 0
    assert len(pl.design(table, annotate=True).texts) == 12 * 11
    assert len(pl.design(ASSOCIATION, annotate=False).texts) == 0


def test_long_names_stay_apart_and_inside():
    names = [f"a_long_name_of_a_column_{k}" for k in range(8)]
    table = pd.DataFrame(
        [(a, b, 0.5, "Cramer's V") for a in names for b in names if a < b], columns=ASSOCIATION.columns
    )
    ax = pl.design(table)
    plt.gcf().draw_without_rendering()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(above.y0 >= below.y1 for above, below in zip(boxes[:-1], boxes[1:], strict=True))
    assert min(box.x0 for box in boxes) >= 0


def test_the_check_and_its_table_are_drawn_alike():
    check = tl.check_design(airway(), "~ dex")
    shown = [text.get_text() for text in pl.design(check).texts]
    assert shown == [text.get_text() for text in pl.design(check.association).texts] == [".00", ".00"]


def test_what_is_no_check_is_named():
    with pytest.raises(TypeError, match="must be a result of bulkvi.tl.check_design.*it is a str"):
        pl.design("~ dex")
    with pytest.raises(KeyError, match=r"lacks the columns \['association'\]"):
        pl.design(ASSOCIATION.drop(columns="association"))
    with pytest.raises(ValueError, match="no two columns of obs"):
        pl.design(ASSOCIATION.iloc[:0])
