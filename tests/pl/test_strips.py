from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.colors import to_rgba

from bulkvi.pl._samples import MISSING_COLOUR
from bulkvi.pl._strips import colour_columns, draw_legends, draw_strips, sample_colours, sort_samples


def test_ties_are_broken_by_the_next_column_and_then_by_the_order_of_the_samples(cohort: AnnData):
    assert sort_samples([], 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert sort_samples(colour_columns(cohort, "treated"), 6).tolist() == [1, 3, 5, 0, 2, 4]
    cohort.obs["age"] *= -1
    assert sort_samples(colour_columns(cohort, ["treated", "age"]), 6).tolist() == [5, 1, 3, 4, 2, 0]


def test_numbers_go_from_the_dark_to_the_light_end_and_missing_ones_are_grey(cohort: AnnData):
    colours = sample_colours(colour_columns(cohort, "age")[0])
    np.testing.assert_allclose(colours[0], plt.get_cmap("viridis")(0.0))
    np.testing.assert_allclose(colours[5], plt.get_cmap("viridis")(1.0))
    np.testing.assert_allclose(colours[3], to_rgba(MISSING_COLOUR))


def test_a_column_of_one_number_or_of_none_can_be_drawn(cohort: AnnData):
    cohort.obs["one"], cohort.obs["none"] = 3.0, np.nan
    ax = plt.subplots()[1]
    colourings = colour_columns(cohort, ["one", "none"])
    draw_strips(ax, colourings, np.arange(6))
    draw_legends(ax, colourings, below=20, width=150)
    legends = [[text.get_text() for text in legend.texts] for legend in ax.artists]  # type: ignore[attr-defined]
    assert legends == [["3"], ["missing"]]


def test_strips_are_above_the_axes_and_legends_below_without_overlap(cohort: AnnData):
    figure, ax = plt.subplots(figsize=(3.3, 5), layout="constrained")
    colourings = colour_columns(cohort, ["stage", "treated", "age"])
    draw_strips(ax, colourings, np.arange(6))
    draw_legends(ax, colourings, below=20, width=150)
    figure.draw_without_rendering()
    middle = ax.get_window_extent()
    strips = ax.child_axes[0].get_window_extent()
    assert strips.y0 > middle.y1
    np.testing.assert_allclose([strips.x0, strips.x1], [middle.x0, middle.x1])
    boxes = [legend.get_window_extent() for legend in ax.artists]
    assert middle.y0 > boxes[0].y1
    for higher, lower in pairwise(boxes):
        assert higher.y0 >= lower.y1 - 0.5  # pixels
    assert boxes[-1].y0 > 0
