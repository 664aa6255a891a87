from collections.abc import Callable
from pathlib import Path

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from matplotlib.axes import Axes
from scipy import sparse

from bulkvi import pl
from bulkvi.pl._size_factors import SparseLocator


def offsets(ax: Axes) -> np.ndarray:
    return np.asarray(ax.collections[0].get_offsets())


def test_size_factors_are_drawn_over_total_counts_on_log_axes(cohort: AnnData):
    ax = pl.size_factors(cohort)
    np.testing.assert_allclose(offsets(ax), np.column_stack([cohort.X.sum(1), cohort.obs["size_factor"]]))
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Total count (reads)", "Size factor")


def test_a_layer_and_another_column_can_be_drawn(cohort: AnnData):
    cohort.layers["tripled"] = 3 * cohort.X
    cohort.obs["poscounts"] = cohort.obs["size_factor"] + 1
    ax = pl.size_factors(cohort, layer="tripled", key="poscounts")
    np.testing.assert_allclose(offsets(ax), np.column_stack([3 * cohort.X.sum(1), cohort.obs["poscounts"]]))


@pytest.mark.parametrize(
    "convert",
    [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, lambda x: da.from_array(x, chunks=(2, 7))],
    ids=["csr_matrix", "csc_matrix", "csr_array", "dask"],
)
def test_storage_does_not_matter(cohort: AnnData, convert: Callable):
    expected = offsets(pl.size_factors(cohort))
    cohort.X = convert(cohort.X)
    np.testing.assert_allclose(offsets(pl.size_factors(cohort)), expected)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
def test_a_file_is_drawn_as_memory_is(cohort: AnnData, convert: Callable, tmp_path: Path):
    expected = offsets(pl.size_factors(cohort))
    cohort.X = convert(cohort.X)
    cohort.write_h5ad(tmp_path / "a.h5ad")
    backed = read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_allclose(offsets(pl.size_factors(backed)), expected)
    backed.file.close()


def test_the_line_is_where_size_factor_and_total_are_proportional(cohort: AnnData):
    cohort.X = np.outer(cohort.obs["size_factor"], np.full(30, 1000)).astype(np.float32)
    ax = pl.size_factors(cohort)
    (line,) = ax.lines
    (x1, y1), (x2, y2) = line.get_xy1(), line.get_xy2()  # type: ignore[attr-defined]
    assert y1 / x1 == pytest.approx(1 / 30_000)
    assert y2 / x2 == pytest.approx(1 / 30_000)


def test_few_samples_are_named(cohort: AnnData):
    ax = pl.size_factors(cohort)
    assert [text.get_text() for text in ax.texts] == list(cohort.obs_names)
    plt.gcf().draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    to_pixels = ax.transData.transform(offsets(ax))
    for box, at in zip(boxes, to_pixels, strict=True):
        assert np.abs(np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2 - at).max() < 40  # pixels, near its point
        assert not box.padded(-1).contains(*at)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


def test_many_samples_are_named_on_request_only(cohort: AnnData):
    obs = pd.concat([cohort.obs] * 3).set_axis([f"s{i}" for i in range(18)])
    many = AnnData(np.tile(cohort.X, (3, 1)), obs=obs)
    assert len(pl.size_factors(many).texts) == 0
    assert len(pl.size_factors(many, label=True).texts) == 18
    assert len(pl.size_factors(cohort, label=False).texts) == 0


def test_names_stay_inside_the_axes(cohort: AnnData):
    cohort.obs_names = [f"SRR10395{i:02}" for i in range(6)]
    ax = pl.size_factors(cohort)
    plt.gcf().draw_without_rendering()
    box = ax.get_window_extent()
    for text in ax.texts:
        extent = text.get_window_extent()
        assert box.x0 < extent.x0
        assert extent.x1 < box.x1


def test_long_names_leave_the_axes_their_width(cohort: AnnData):
    cohort.obs_names = [f"a sample with a name as long as file names are, {i}" for i in range(6)]
    ax = pl.size_factors(cohort)
    plt.gcf().draw_without_rendering()
    assert ax.get_position().width > 0.6


@pytest.mark.parametrize("spread", [1.1, 1.6, 5, 40, 2_000])
def test_every_spread_of_depths_has_two_labelled_ticks_on_each_axis(cohort: AnnData, spread: float):
    cohort.obs["size_factor"] = np.geomspace(1, spread, 6)
    cohort.X = np.outer(cohort.obs["size_factor"], np.full(30, 1e5)).round().astype(np.float32)
    ax = pl.size_factors(cohort, label=False)
    plt.gcf().draw_without_rendering()
    for axis in (ax.xaxis, ax.yaxis):
        low, high = axis.get_view_interval()
        shown = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high and t.label1.get_text()]
        assert 2 <= len(shown) <= 12


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf])
def test_a_size_factor_that_is_not_positive_is_named(cohort: AnnData, wrong: float):
    cohort.obs.loc["s2", "size_factor"] = wrong
    with pytest.raises(
        ValueError, match=rf"obs\['size_factor'\] must be finite and > 0; 1 samples are not.*'s2': {wrong}"
    ):
        pl.size_factors(cohort)


def test_a_sample_without_counts_is_named(cohort: AnnData):
    cohort.X[4] = 0
    with pytest.raises(ValueError, match="1 of 6 samples have no counts at all in adata.X: 's4'"):
        pl.size_factors(cohort)


def test_missing_column_or_layer_is_named_with_the_choices(cohort: AnnData):
    with pytest.raises(
        KeyError, match=r"'sf' is not a column of adata.obs; it has \['stage', 'age', 'treated', 'size_factor'\]"
    ):
        pl.size_factors(cohort, key="sf")
    cohort.layers["counts"] = cohort.X
    with pytest.raises(KeyError, match=r"no layer 'raw' in adata.layers; it has \['counts'\]"):
        pl.size_factors(cohort, layer="raw")


def test_an_empty_x_is_named():
    adata = AnnData(obs={"size_factor": [1.0, 2.0]})
    with pytest.raises(ValueError, match="adata.X is empty; name the layer"):
        pl.size_factors(adata)


def test_ticks_of_a_short_log_axis_do_not_overlap():
    ticks = SparseLocator(5, steps=[1, 2, 5, 10]).tick_values(9, 55)
    assert list(ticks) == [10, 20, 30, 40]  # 50 would touch 40
