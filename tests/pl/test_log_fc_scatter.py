import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from bulkvi import pl

OURS = pd.Series([1.0, -2.0, 0.5, 0.1], index=["g1", "g2", "g3", "g4"], name="ours")
THEIRS = pd.Series([np.nan, 0.4, -1.8, 9.0], index=["g4", "g3", "g2", "g5"], name="theirs")


def title(ax: Axes) -> str:
    return ax.get_title(loc="left")


def test_series_are_matched_by_gene_and_the_rest_is_counted():
    ax = pl.log_fc_scatter(THEIRS, OURS)
    offsets = np.asarray(ax.collections[0].get_offsets())
    np.testing.assert_array_equal(offsets[np.argsort(offsets[:, 0])], [[-1.8, -2.0], [0.4, 0.5]])
    assert title(ax) == "2 genes; 3 without finite values"


def test_columns_of_a_table_are_drawn_in_its_order():
    table = pd.DataFrame({"a": [1.0, 2.0, np.inf], "b": [3.0, -4.0, 0.0]})
    ax = pl.log_fc_scatter("a", "b", data=table)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[1, 3], [2, -4]])
    assert title(ax) == "2 genes; 1 without finite values"


def test_a_caption_counts_missing_values_only_where_there_are_some():
    assert title(pl.log_fc_scatter(OURS, OURS)) == "4 genes"


def test_axes_name_what_is_drawn_and_its_scale():
    ax = pl.log_fc_scatter(THEIRS, OURS.rename(None))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("theirs (log2)", "y (log2)")


def test_both_axes_have_the_same_limits_round_zero_and_the_line_of_agreement():
    ax = pl.log_fc_scatter(3 * OURS, OURS)
    low, high = ax.get_xlim()
    assert (low, high) == ax.get_ylim()
    assert low == -high
    assert 6 < high < 7
    assert ax.get_aspect() == 1
    (diagonal,) = [line for line in ax.lines if hasattr(line, "get_slope")]
    assert (diagonal.get_xy1(), diagonal.get_slope()) == ((0, 0), 1)  # type: ignore[attr-defined]


def test_genes_beyond_the_limit_lie_at_the_edge_and_are_counted():
    x = pd.Series([0.5, 7.0, -7.0, 1.0, 1.0], index=list("abcde"))
    y = pd.Series([0.5, 1.0, 9.0, 3.0, -8.0], index=list("abcde"))
    ax = pl.log_fc_scatter(x, y, limit=2)
    inside, *edges = (np.asarray(points.get_offsets()).tolist() for points in ax.collections)
    assert inside == [[0.5, 0.5]]
    assert edges == [[[2, 1]], [[-2, 2]], [[1, 2]], [[1, -2]]]
    assert title(ax) == "5 genes; 4 beyond ±2"
    assert ax.get_xlim()[1] < 2.5


def test_hexagons_hold_every_gene(rng: np.random.Generator):
    x, y = pd.Series(rng.normal(size=5_000)), pd.Series(rng.normal(size=5_000))
    ax = pl.log_fc_scatter(x, y, kind="hexbin")
    (hexagons,) = ax.collections
    assert np.sum(np.asarray(hexagons.get_array())) == 5_000
    assert [bar.get_ylabel() for bar in ax.child_axes] == ["Genes"]


def test_many_points_are_small_and_rasterised(rng: np.random.Generator):
    x = pd.Series(rng.normal(size=3_000))
    few, many = (pl.log_fc_scatter(part, part).collections[0] for part in (x[:100], x))
    assert many.get_rasterized()
    assert not few.get_rasterized()
    assert many.get_sizes() < few.get_sizes()  # type: ignore[attr-defined]


def test_all_zero_fold_changes_can_be_drawn():
    ax = pl.log_fc_scatter(0 * OURS, 0 * OURS)
    assert ax.get_xlim() == (-1.06, 1.06)


def test_genes_that_share_no_name_are_refused():
    with pytest.raises(ValueError, match="none of the 8 genes has a value in both; use the same gene ids"):
        pl.log_fc_scatter(OURS, OURS.rename(lambda gene: gene + ".1"))


def test_a_repeated_gene_is_named():
    with pytest.raises(ValueError, match=r"gene names of `y` must be unique.*\['g1'\]"):
        pl.log_fc_scatter(OURS, pd.concat([OURS, OURS[:1]]))


def test_unknown_column_is_named_with_the_choices():
    with pytest.raises(KeyError, match=r"no column 'lfc' in `data`; it has \['ours'\]"):
        pl.log_fc_scatter("ours", "lfc", data=OURS.to_frame())


def test_a_name_without_a_table_is_refused():
    with pytest.raises(TypeError, match="`y` must be a Series .* together with `data`; it is a str"):
        pl.log_fc_scatter(OURS, "theirs")


def test_a_series_beside_a_table_is_refused():
    with pytest.raises(TypeError, match="with `data`, `x` and `y` are names"):
        pl.log_fc_scatter(OURS, "theirs", data=THEIRS.to_frame())


@pytest.mark.parametrize("limit", [0, -1, np.nan])
def test_a_limit_that_is_not_positive_is_refused(limit: float):
    with pytest.raises(ValueError, match=r"limit \(log2\) is .*: give a finite number above 0"):
        pl.log_fc_scatter(OURS, OURS, limit=limit)


def test_an_unknown_kind_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"unknown kind 'density'; choose one of \['points', 'hexbin'\]"):
        pl.log_fc_scatter(OURS, OURS, kind="density")  # type: ignore[arg-type]
