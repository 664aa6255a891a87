import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

from bulkvi.pl._samples import MAX_LEVELS, colour_samples, draw_samples


def samples(values: object, **uns: object) -> AnnData:
    obs = pd.DataFrame({"x": values})
    obs.index = obs.index.astype(str)
    return AnnData(np.ones((len(obs), 2), dtype=np.float32), obs=obs, uns=uns)


def drawn(adata: AnnData, column: str | None = "x", legend_loc: str | None = "best", size: float | None = None):
    """Axes on which sample i is drawn at (i, 2 i)."""
    ax = plt.subplots()[1]
    at = np.arange(adata.n_obs, dtype=float)
    draw_samples(ax, at, 2 * at, colour_samples(adata, column), size=size, legend_loc=legend_loc)
    return ax


def test_levels_differ_by_colour_and_by_marker():
    levels = colour_samples(samples(list("abcdefgh")), "x").levels
    assert [level.label for level in levels] == list("abcdefgh")
    assert len({level.colour for level in levels}) == 8
    assert len({level.marker for level in levels}) == 8


def test_no_pair_of_colour_and_marker_comes_twice():
    levels = colour_samples(samples([f"{i:02}" for i in range(MAX_LEVELS)]), "x").levels
    assert len({(level.colour, level.marker) for level in levels}) == MAX_LEVELS


def test_too_many_levels_are_refused():
    with pytest.raises(ValueError, match=r"obs\['x'\] has 73 levels; at most 72"):
        colour_samples(samples([f"{i}" for i in range(MAX_LEVELS + 1)]), "x")


def test_each_level_has_its_points_and_a_legend_entry_in_the_order_of_the_categories():
    ax = drawn(samples(pd.Categorical(["low", "high", "low"], categories=["low", "high"])))
    assert [text.get_text() for text in ax.get_legend().texts] == ["low", "high"]
    assert ax.get_legend().get_title().get_text() == "x"
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[0, 0], [2, 4]])
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), [[1, 2]])


def test_a_level_without_samples_is_not_in_the_legend():
    ax = drawn(samples(pd.Categorical(["a", "c"], categories=["a", "b", "c"])))
    assert [text.get_text() for text in ax.get_legend().texts] == ["a", "c"]


def test_colours_stored_by_scanpy_are_used_and_stay_with_their_category():
    adata = samples(pd.Categorical(["a", "c"], categories=["a", "b", "c"]), x_colors=["#ff0000", "#00ff00", "blue"])
    assert [to_hex(points.get_facecolor()[0]) for points in drawn(adata).collections] == ["#ff0000", "#0000ff"]


@pytest.mark.parametrize("stored", [["#ff0000"], ["#ff0000", "no colour"]], ids=["too few", "not a colour"])
def test_colours_that_do_not_fit_are_passed_over(stored: list[str]):
    usual = [level.colour for level in colour_samples(samples(["a", "b"]), "x").levels]
    assert [level.colour for level in colour_samples(samples(["a", "b"], x_colors=stored), "x").levels] == usual


def test_booleans_are_levels():
    assert [level.label for level in colour_samples(samples([True, False, True]), "x").levels] == ["False", "True"]


@pytest.mark.parametrize("values", [["a", None, "b"], [1.0, np.nan, 3.0]], ids=["levels", "numbers"])
def test_samples_without_a_value_are_grey_beneath_the_others(values: list):
    ax = drawn(samples(values))
    grey, *others = ax.collections
    assert grey.get_label() == "missing"
    assert to_hex(grey.get_facecolor()[0]) == to_hex("lightgray")
    np.testing.assert_array_equal(grey.get_offsets(), [[1, 2]])
    assert all(other.get_zorder() > grey.get_zorder() or isinstance(values[0], float) for other in others)
    assert sum(len(other.get_offsets()) for other in others) == 2


def test_rare_levels_are_drawn_above_common_ones():
    common, rare = drawn(samples(["a"] * 9 + ["b"])).collections
    assert rare.get_zorder() > common.get_zorder()


@pytest.mark.parametrize("dtype", ["float64", "int64", "Int64"])
def test_numbers_get_a_colour_bar_and_no_legend(dtype: str):
    ax = drawn(samples(pd.Series([3, 1, 2], dtype=dtype)))
    (points,) = ax.collections
    np.testing.assert_array_equal(points.get_array(), [3, 1, 2])
    assert points.get_cmap().name == "viridis"
    assert ax.get_legend() is None
    assert [bar.get_ylabel() for bar in ax.child_axes] == ["x"]


def test_without_a_column_there_is_one_colour_and_no_legend():
    ax = drawn(samples(["a", "b"]), column=None)
    (points,) = ax.collections
    assert len(points.get_offsets()) == 2
    assert ax.get_legend() is None


def test_unknown_column_is_named_with_the_choices():
    with pytest.raises(KeyError, match=r"no column 'y' in adata.obs; it has \['x'\]"):
        colour_samples(samples(["a"]), "y")


def test_legend_can_be_left_out():
    assert drawn(samples(["a", "b"]), legend_loc=None).get_legend() is None


def test_legend_below_is_clear_of_axes_and_axis_label():
    ax = drawn(samples(["a", "b"]), legend_loc="below")
    ax.set_xlabel("a label")
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().y1 < ax.xaxis.label.get_window_extent().y0


def test_legend_in_the_right_margin_is_clear_of_the_axes():
    ax = drawn(samples(["a", "b"]), legend_loc="right margin")
    ax.figure.draw_without_rendering()
    assert ax.get_legend().get_window_extent().x0 > ax.get_window_extent().x1


def test_markers_shrink_with_the_number_of_samples_but_not_in_the_legend():
    few, many = (drawn(samples(["a", "b"] * n)) for n in (10, 1_000))
    assert many.collections[0].get_sizes() < few.collections[0].get_sizes()
    in_legend = [ax.get_legend().legend_handles[0].get_sizes() for ax in (few, many)]
    np.testing.assert_allclose(in_legend[0], in_legend[1])


def test_only_many_points_are_rasterised():
    assert not drawn(samples(["a"] * 2_000)).collections[0].get_rasterized()
    assert drawn(samples(["a"] * 2_001)).collections[0].get_rasterized()


def test_size_can_be_given():
    assert drawn(samples(["a", "b"]), size=7).collections[0].get_sizes() == 7


def test_infinite_numbers_are_missing():
    colouring = colour_samples(samples([1.0, 2, np.inf, np.nan, -np.inf, 4]), "x")
    (level,) = colouring.levels
    assert level.members.tolist() == [False, False, True, True, True, False]
    assert colouring.values is not None
    assert np.isnan(colouring.values[level.members]).all()


def test_a_level_may_be_called_missing():
    levels = colour_samples(samples(["missing", "ko", None]), "x").levels
    assert {(level.label, level.missing) for level in levels} == {("missing", False), ("ko", False), ("missing", True)}


def test_a_legend_is_drawn_below_axes_without_ticks():
    ax = plt.subplots()[1]
    ax.set_xticks([])
    draw_samples(
        ax, np.arange(2.0), np.arange(2.0), colour_samples(samples(["a", "b"]), "x"), size=None, legend_loc="below"
    )
    assert ax.get_legend() is not None
