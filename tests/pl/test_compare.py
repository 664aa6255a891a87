from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from bulkvi import pl
from bulkvi.pl._compare import LOOKS

TABLE = pd.DataFrame(
    {
        "log_fc": [0.1, 2.0, 1.0, -2.0, 1.5, 0.2, 0.3, np.nan],
        "log_fc_other": [0.2, 2.2, 0.8, -1.0, -1.5, 3.0, 0.4, 1.0],
        "class": [
            "neither",
            "both",
            "only_here",
            "only_other",
            "opposite",
            "effect_differs",
            "na_other",
            "absent_here",
        ],
        "reason": "",
    },
    index=[f"g{i}" for i in range(8)],
)
CONCORDANCE = pd.Series({"pearson": 0.934, "slope": 0.8, "jaccard": 0.71, "spearman": 0.9})


def comparison(table: pd.DataFrame = TABLE, **changes: object) -> SimpleNamespace:
    given = {
        "labels": ("bulkvi", "edgeR"),
        "level": 0.05,
        "column": "log_fc",
        "table": table,
        "concordance": CONCORDANCE,
    }
    return SimpleNamespace(**given | changes)


def legend(ax: Axes) -> list[str]:
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.texts]


def test_each_class_is_drawn_with_its_look_and_counted():
    ax = pl.compare(comparison(), label=0)
    drawn = {}
    for points in ax.collections:
        (at,) = np.asarray(points.get_offsets()).tolist()
        drawn[tuple(at)] = to_hex(np.asarray(points.get_facecolor())[0])
    rows = TABLE[:7].to_dict("records")
    expected = {(row["log_fc_other"], row["log_fc"]): to_hex(LOOKS[row["class"]][0]) for row in rows}
    assert drawn == expected
    assert legend(ax) == [
        *("none: 1", "NA in edgeR: 1", "both: 1", "edgeR only: 1", "bulkvi only: 1", "effects differ: 1"),
        "both, opposite signs: 1",
    ]


def test_no_two_classes_look_alike():
    assert len({(to_hex(colour), marker) for colour, marker, _ in LOOKS.values()}) == len(LOOKS)


def test_the_caption_gives_concordance_and_genes():
    title = pl.compare(comparison(), label=0).get_title(loc="left").replace("\n", " ")
    assert title == "Pearson 0.93; slope 0.80; Jaccard of calls 0.71; 7 genes; 1 without finite values"
    unknown = pd.Series({"pearson": 0.5, "slope": np.nan, "jaccard": np.nan})
    title = pl.compare(comparison(concordance=unknown), label=0).get_title(loc="left").replace("\n", " ")
    assert title == "Pearson 0.50; 7 genes; 1 without finite values"


def test_both_axes_have_the_same_limits_and_the_line_of_agreement():
    ax = pl.compare(comparison())
    low, high = ax.get_xlim()
    assert (low, high) == ax.get_ylim()
    assert low == -high
    assert ax.get_aspect() == 1
    (diagonal,) = [line for line in ax.lines if hasattr(line, "get_slope")]
    assert (diagonal.get_xy1(), diagonal.get_slope()) == ((0, 0), 1)  # type: ignore[attr-defined]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Log2 fold change, edgeR", "Log2 fold change, bulkvi")


def test_genes_are_named_where_the_tables_disagree_most():
    ax = pl.compare(comparison(), label=2)
    assert sorted(text.get_text() for text in ax.texts) == ["g4", "g5"]
    assert [text.get_text() for text in pl.compare(comparison(TABLE[:2]), label=5).texts] == []


def test_chosen_genes_are_named_if_they_can_be_drawn():
    symbols = {"g1": "FKBP5"}
    ax = pl.compare(comparison(), label=["g1", "g0", "g7"], gene_names=symbols)
    assert sorted(text.get_text() for text in ax.texts) == ["FKBP5", "g0"]
    ax = pl.compare(comparison(TABLE.assign(symbol=list("abcdefgh"))), label=1)
    assert [text.get_text() for text in ax.texts] == ["e"]


def test_names_stay_inside_the_axes():
    """With equal axes the first layout of the figure is not the last: names were placed for another one."""
    table = TABLE.rename(lambda gene: f"a long name of {gene}")
    ax = pl.compare(comparison(table), label=3)
    figure = ax.get_figure(root=True)
    assert figure is not None
    for _ in range(5):
        figure.draw_without_rendering()
    frame = ax.get_window_extent()
    for text in ax.texts:
        box = text.get_window_extent()
        assert frame.x0 - 2 <= box.x0
        assert box.x1 <= frame.x1 + 2


def test_genes_beyond_the_limit_lie_at_the_edge_and_are_counted():
    ax = pl.compare(comparison(), limit=1.5, label=0)
    offsets = np.concatenate([np.asarray(points.get_offsets()) for points in ax.collections])
    assert np.abs(offsets).max() == 1.5
    assert "3 beyond ±1.5" in ax.get_title(loc="left")


def test_legend_is_in_two_columns_where_it_fits():
    for table, labels, one_row in ((TABLE[:2], ("bulkvi", "edgeR"), True), (TABLE, ("a method", "with a name"), False)):
        ax = pl.compare(comparison(table, labels=labels), label=0)
        found = ax.get_legend()
        assert found is not None
        ax.figure.draw_without_rendering()  # type: ignore[union-attr]
        heights = [text.get_window_extent().y0 for text in found.texts]
        assert bool(abs(heights[0] - heights[1]) < 2) == one_row


def test_what_is_no_comparison_is_refused():
    with pytest.raises(TypeError, match=r"must be a result of bulkvi.tl.compare, not DataFrame"):
        pl.compare(TABLE)
    with pytest.raises(TypeError, match=r"must be a result of bulkvi.tl.compare, not DataFrame"):
        pl.na_genes(TABLE)


def test_arguments_out_of_range_are_named():
    with pytest.raises(ValueError, match=r"limit \(log2\) is 0: give a finite number above 0"):
        pl.compare(comparison(), limit=0)
    with pytest.raises(ValueError, match="a number of genes, or their names.* is -1: give"):
        pl.compare(comparison(), label=-1)
    with pytest.raises(KeyError, match=r"genes are not in the index of `comparison.table`: \['KLF9'\]"):
        pl.compare(comparison(), label=["KLF9"])
    with pytest.raises(KeyError, match="no column 'name' in `comparison.table`"):
        pl.compare(comparison(), gene_names="name")
    with pytest.raises(ValueError, match="none of the 1 genes has finite values"):
        pl.compare(comparison(TABLE[7:]))
