from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.transforms import Bbox

import bulkvi
from bulkvi import pl


def test_each_sample_is_drawn_at_its_latent_state(cohort: AnnData):
    ax = pl.latent(cohort)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), cohort.obsm["X_bulkvi"][:, :2])


def test_levels_are_drawn_at_the_states_of_their_samples(cohort: AnnData):
    ax = pl.latent(cohort, color="stage")
    offsets = {points.get_label(): points.get_offsets() for points in ax.collections}
    state = cohort.obsm["X_bulkvi"]
    np.testing.assert_array_equal(offsets["virgin"], state[[0, 2], :2])
    np.testing.assert_array_equal(offsets["lactation"], state[[1, 4], :2])
    np.testing.assert_array_equal(offsets["pregnancy"], state[[5], :2])
    np.testing.assert_array_equal(offsets["missing"], state[[3], :2])


def test_other_dimensions_can_be_drawn(cohort: AnnData):
    ax = pl.latent(cohort, dims=(2, 0))
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), cohort.obsm["X_bulkvi"][:, [2, 0]])
    share = cohort.obsm["X_bulkvi"].var(0) / cohort.obsm["X_bulkvi"].var(0).sum()
    assert ax.get_xlabel() == f"Axis 3 ({100 * share[2]:.0f} % of variance)"
    assert ax.get_ylabel() == f"Axis 1 ({100 * share[0]:.0f} % of variance)"


@pytest.mark.parametrize("basis", ["X_pca", "pca"])
def test_other_coordinates_can_be_drawn_and_have_no_unit(cohort: AnnData, basis: str):
    cohort.obsm["X_pca"] = pd.DataFrame(np.arange(12.0).reshape(6, 2), index=cohort.obs_names, columns=["a", "b"])
    ax = pl.latent(cohort, basis=basis)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), np.arange(12).reshape(6, 2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("pca 1", "pca 2")


def test_missing_coordinates_are_named_with_the_choices(cohort: AnnData):
    with pytest.raises(KeyError, match=r"no 'X_umap' in adata.obsm; it has \['X_bulkvi'\].*get_latent_representation"):
        pl.latent(cohort, basis="X_umap")


@pytest.mark.parametrize("dims", [(0, 3), (-1, 0), (0,), (0, 1, 2)])
def test_dimensions_that_do_not_exist_are_refused(cohort: AnnData, dims: tuple):
    with pytest.raises(ValueError, match="each from 0 to 2"):
        pl.latent(cohort, dims=dims)


def test_a_table_is_no_anndata(cohort: AnnData):
    with pytest.raises(TypeError, match="must be an AnnData .samples x genes., not DataFrame"):
        pl.latent(cohort.obs)


def test_a_long_legend_makes_the_figure_higher_and_not_the_axes_lower(cohort: AnnData):
    many = AnnData(
        np.ones((40, 1)), obs=pd.DataFrame({"x": [f"level {i}" for i in range(40)]}, index=map(str, range(40)))
    )
    many.obsm["X_bulkvi"] = np.ones((40, 2))
    heights = []
    for adata, column in ((cohort, "stage"), (many, "x")):
        ax = pl.latent(adata, color=column)
        plt.gcf().draw_without_rendering()
        heights.append(ax.get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_an_ellipse_holds_its_share_of_a_normal_distribution(rng: np.random.Generator):
    correlated = rng.normal(size=(20_000, 2)) @ np.array([[2.0, 1.2], [0.0, 0.5]]) + [3, -1]
    adata = AnnData(np.ones((len(correlated), 1)), obs=pd.DataFrame({"x": "a"}, index=map(str, range(len(correlated)))))
    adata.obsm["X_bulkvi"] = correlated
    ax = pl.latent(adata, color="x", ellipse=0.8)
    inside = ax.patches[0].get_path().contains_points(correlated, ax.patches[0].get_patch_transform())
    np.testing.assert_allclose(inside.mean(), 0.8, atol=0.01)  # 3.5 binomial standard errors


def test_ellipses_have_the_colours_of_their_levels_and_lie_inside_the_axes(cohort: AnnData):
    ax: Any = pl.latent(cohort, color="treated", ellipse=0.99, label=False)
    np.testing.assert_allclose(
        [patch.get_edgecolor() for patch in ax.patches], [points.get_facecolor()[0] for points in ax.collections]
    )
    for patch, treated in zip(ax.patches, (False, True), strict=True):
        members = cohort.obsm["X_bulkvi"][(cohort.obs["treated"] == treated).to_numpy(), :2]
        np.testing.assert_allclose(patch.get_center(), members.mean(0))
        corners = patch.get_path().transformed(patch.get_patch_transform()).get_extents()
        assert corners.x0 > ax.get_xlim()[0]
        assert corners.y1 < ax.get_ylim()[1]


def test_levels_of_fewer_than_three_samples_and_missing_values_have_no_ellipse(cohort: AnnData):
    assert not pl.latent(cohort, color="stage", ellipse=0.9, label=False).patches
    cohort.obs["some"] = ["a", "a", "a", None, None, None]
    assert len(pl.latent(cohort, color="some", ellipse=0.9, label=False).patches) == 1


@pytest.mark.parametrize(
    ("color", "share", "message"),
    [
        ("stage", 1.0, r"a share, such as 0.9. is 1.0: give a finite number above 0 and below 1"),
        ("stage", 0.0, "is 0.0: give"),
        ("age", 0.9, "give `color` a column of obs that is not numeric"),
        (None, 0.9, "give `color` a column"),
    ],
)
def test_ellipses_that_mean_nothing_are_refused(cohort: AnnData, color: str | None, share: float, message: str):
    with pytest.raises(ValueError, match=message):
        pl.latent(cohort, color=color, ellipse=share)
    assert plt.get_fignums() == []


def test_few_samples_are_named_and_many_are_not(cohort: AnnData):
    names = [text.get_text() for text in pl.latent(cohort, color="stage").texts]
    assert sorted(names) == sorted(cohort.obs_names)
    assert not pl.latent(cohort, label=False).texts
    many = AnnData(np.ones((21, 1)), obs=pd.DataFrame(index=[f"sample {i}" for i in range(21)]))
    many.obsm["X_bulkvi"] = np.random.default_rng(0).normal(size=(21, 2))
    assert not pl.latent(many).texts


@pytest.mark.parametrize("seed", [0, 7, 8])
def test_names_of_samples_do_not_hide_each_other(seed: int):
    crowd = AnnData(np.ones((20, 1)), obs=pd.DataFrame(index=[f"sample {i}" for i in range(20)]))
    crowd.obsm["X_bulkvi"] = np.random.default_rng(seed).normal(size=(20, 2))
    ax = pl.latent(crowd)
    plt.gcf().draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    shared = [Bbox.intersection(boxes[i], boxes[j]) for i in range(20) for j in range(i)]
    # boxes of text have a margin: a tenth of one is space above and below its letters
    assert max([box.width * box.height for box in shared if box], default=0.0) < 0.1 * boxes[0].width * boxes[0].height


def test_a_wide_legend_does_not_shrink_the_axes_at_each_drawing(cohort: AnnData):
    cohort.obs["cell"] = ["N052611", "N061011", "N080611", "N61311", "N052611", "N061011"]
    ax = pl.latent(cohort, color="cell")
    widths = []
    for _ in range(3):
        plt.gcf().draw_without_rendering()
        widths.append(ax.get_window_extent().width)
    np.testing.assert_allclose(widths, widths[0], rtol=0.01)


def test_several_columns_get_a_panel_each(cohort: AnnData):
    panels: Any = pl.latent(cohort, color=["stage", "age", "treated"])
    assert len(panels) == 3
    figure = plt.gcf()
    assert plt.get_fignums() == [figure.number]
    assert figure.get_figwidth() == pytest.approx(6.6)
    assert [panel.get_legend().get_title().get_text() for panel in (panels[0], panels[2])] == ["stage", "treated"]
    assert [bool(panel.texts) for panel in panels] == [True, False, False]
    figure.draw_without_rendering()
    for panel in panels:
        box = panel.get_tightbbox()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= -1
    assert isinstance(pl.latent(cohort, color=["stage"]), list)


def test_an_axes_takes_one_column(cohort: AnnData):
    ax = plt.subplots()[1]
    with pytest.raises(ValueError, match="`color` names 2 columns; give one or more, and one only with `ax`"):
        pl.latent(cohort, color=["stage", "age"], ax=ax)
    with pytest.raises(ValueError, match="`color` names 0 columns"):
        pl.latent(cohort, color=[])


def test_the_picture_says_what_the_latent_state_is_adjusted_for(cohort: AnnData):
    assert pl.latent(cohort).get_title(loc="left") == ""
    cohort.uns["_bulkvi_design_variables"] = np.array(["stage", "age"])
    assert pl.latent(cohort).get_title(loc="left") == "Adjusted for stage; age"
    assert pl.latent(cohort, adjusted_for=[]).get_title(loc="left") == ""
    assert pl.latent(cohort, adjusted_for="lane").get_title(loc="left") == "Adjusted for lane"
    cohort.obsm["X_pca"] = cohort.obsm["X_bulkvi"]
    assert pl.latent(cohort, basis="pca").get_title(loc="left") == ""


def test_setup_records_what_the_latent_state_is_adjusted_for():
    adata = bulkvi.datasets.simulate(n_per_group=6, n_genes=30, n_batches=2)
    bulkvi.pp.size_factors(adata)
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group", batch_key="batch")
    adata.obsm["X_bulkvi"] = np.random.default_rng(0).normal(size=(12, 2))
    assert pl.latent(adata).get_title(loc="left") == "Adjusted for batch; group"
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor")
    assert pl.latent(adata).get_title(loc="left") == ""
