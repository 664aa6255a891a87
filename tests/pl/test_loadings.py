from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bulkvi import pl
from tests.pl.test_every_plot import LOADINGS


def test_genes_are_drawn_from_the_highest_loading_down_with_their_intervals():
    ax: Any = pl.loadings(LOADINGS, axes="axis_1")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["g1", "g3", "g2"]
    points = np.concatenate(
        [
            part.get_offsets()
            for part in ax.collections
            if hasattr(part, "get_offsets") and len(part.get_offsets()) and part.get_paths()[0].vertices.shape[0] > 4
        ]
    )
    assert sorted(map(tuple, points.tolist())) == [(-2.0, 2.0), (0.4, 1.0), (1.0, 0.0)]
    ends = sorted(
        tuple(segment[:, 0])
        for lines in ax.collections
        if hasattr(lines, "get_segments")
        for segment in lines.get_segments()
    )
    assert ends == [(-2.2, -1.8), (0.1, 0.7), (0.5, 1.5)]
    assert ax.get_ylim() == (2.5, -0.5)
    assert ax.get_title(loc="left") == "Axis 1"


def test_the_largest_absolute_loadings_are_chosen():
    ax: Any = pl.loadings(LOADINGS, axes="axis_1", n_genes=2)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["g1", "g2"]


def test_each_axis_has_a_panel():
    panels: Any = pl.loadings(LOADINGS)
    assert [panel.get_title(loc="left") for panel in panels] == ["Axis 1", "Axis 2"]
    assert [len(panel.get_yticklabels()) for panel in panels] == [3, 1]


def test_names_are_symbols_where_there_are_any():
    table = LOADINGS.assign(symbol=["A", None, "C", "A"])
    ax: Any = pl.loadings(table, axes="axis_1")
    assert [text.get_text() for text in ax.get_yticklabels()] == ["A", "C", "g2"]
    ax = pl.loadings(table, axes="axis_1", gene_names={"g1": "one"})
    assert [text.get_text() for text in ax.get_yticklabels()] == ["one", "g3", "g2"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(KeyError, match=r"no axes \['axis_9'\] in `loadings`; it has \['axis_1', 'axis_2'\]"):
        pl.loadings(LOADINGS, axes=["axis_1", "axis_9"])
    with pytest.raises(ValueError, match="`axes` names 2; give one or more, and one only with `ax`"):
        pl.loadings(LOADINGS, ax=plt.subplots()[1])
    with pytest.raises(ValueError, match="n_genes"):
        pl.loadings(LOADINGS, n_genes=0)
    with pytest.raises(TypeError, match=r"as model.get_top_loadings\(\) returns it"):
        pl.loadings(np.ones(3))
    with pytest.raises(KeyError, match="no columns"):
        pl.loadings(pd.DataFrame({"axis": ["axis_1"]}))
