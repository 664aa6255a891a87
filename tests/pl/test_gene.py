from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from scipy import sparse

from bulkvi import pl
from bulkvi.pl._gene_table import DOWN, UP

RATES = pd.DataFrame(
    {
        "group": ["virgin", "lactation", "pregnancy", "virgin"],
        "rate": [100.0, 90.0, 110.0, 1.0],
        "rate_low": [80.0, 70.0, 100.0, 0.0],
        "rate_high": [120.0, 95.0, 140.0, 2.0],
    },
    index=["4", "4", "4", "5"],
)


def points(ax: Axes) -> np.ndarray:
    return np.asarray(ax.collections[0].get_offsets())


def test_counts_over_size_factors_are_drawn_at_their_groups(cohort: AnnData):
    ax = pl.gene(cohort, "4", "stage")
    x, y = points(ax).T
    drawn = [0, 1, 2, 4, 5]  # s3 has no stage
    np.testing.assert_allclose(y, cohort.X[drawn, 4] / cohort.obs["size_factor"].to_numpy()[drawn])
    assert np.round(x).tolist() == [2, 0, 2, 0, 1]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["lactation", "pregnancy", "virgin"]
    assert ax.get_title(loc="left") == "4; 1 sample without stage"


def test_samples_of_a_group_do_not_hide_each_other_and_stay_where_they_are(cohort: AnnData):
    cohort.obs["one"] = "all"
    cohort.X[:] = cohort.obs["size_factor"].to_numpy()[:, None]
    first, second = (points(pl.gene(cohort, "4", "one")) for _ in range(2))
    assert np.diff(np.sort(first[:, 0])).min() > 0.02
    assert np.abs(first[:, 0]).max() < 0.15
    np.testing.assert_array_equal(first, second)


def test_zero_has_a_place_on_the_axis(cohort: AnnData):
    cohort.X[:3, 4] = 0
    ax = pl.gene(cohort, "4", "treated")
    low, high = ax.get_ylim()
    assert low < 0 < 1 < high
    ticks = ax.get_yticks().tolist()
    assert ticks == [0, 1, 10, 100]
    zero, one, ten, hundred = ax.transData.transform([(0, tick) for tick in ticks])[:, 1]
    np.testing.assert_allclose((ten - zero) / (one - zero), np.log(11) / np.log(2))
    np.testing.assert_allclose((hundred - zero) / (one - zero), np.log(101) / np.log(2))


@pytest.mark.parametrize("count", [0, 3, 1_000])
def test_a_constant_gene_can_be_drawn(cohort: AnnData, count: int):
    cohort.X[:, 4] = count * cohort.obs["size_factor"]
    ax = pl.gene(cohort, "4", "treated")
    plt.gcf().draw_without_rendering()
    low, high = ax.get_ylim()
    assert low < count < high


@pytest.mark.parametrize("largest", [1, 8, 90, 3e3, 2e5, 6e6])
@pytest.mark.parametrize("smallest", [0, 0.5])
def test_every_range_has_labelled_ticks(cohort: AnnData, smallest: float, largest: float):
    cohort.obs["size_factor"] = 1.0
    cohort.X[:, 4] = np.linspace(smallest * largest, largest, 6)
    ax = pl.gene(cohort, "4", "treated")
    plt.gcf().draw_without_rendering()
    low, high = ax.get_ylim()
    shown = [t.label1.get_text() for t in ax.yaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert 2 <= len(shown) <= 8
    assert len(set(shown)) == len(shown)
    assert all(0 < len(label) <= 6 for label in shown)


def test_rates_are_drawn_beside_their_groups_with_their_intervals(cohort: AnnData):
    ax = pl.gene(cohort, "4", "stage", rates=RATES)
    (bars,) = ax.containers
    rate, _, (interval,) = bars
    np.testing.assert_allclose(rate.get_xydata(), [[2.3, 100], [0.3, 90], [1.3, 110]])
    np.testing.assert_allclose(
        [np.asarray(line)[:, 1] for line in interval.get_segments()], [[80, 120], [70, 95], [100, 140]]
    )
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["model's rate, credible interval"]


def test_rates_of_some_groups_are_enough(cohort: AnnData):
    ax = pl.gene(cohort, "5", "stage", rates=RATES)
    np.testing.assert_allclose(ax.containers[0][0].get_xydata(), [[2.3, 1]])


def test_rates_of_groups_that_are_no_words_are_matched(cohort: AnnData):
    rates = RATES[:2].assign(group=[True, False])
    ax = pl.gene(cohort, "4", "treated", rates=rates)
    np.testing.assert_allclose(ax.containers[0][0].get_xydata(), [[1.3, 100], [0.3, 90]])


def test_a_symbol_is_found_where_it_is_unique(cohort: AnnData):
    cohort.var["symbol"] = pd.Categorical(["twice", "twice", "Wap", None, *map(str, range(4, 30))])
    expected = points(pl.gene(cohort, "2", "treated"))
    ax = pl.gene(cohort, "Wap", "treated")
    np.testing.assert_array_equal(points(ax), expected)
    assert ax.get_title(loc="left") == "Wap (2)"
    assert pl.gene(cohort, "3", "treated").get_title(loc="left") == "3"
    with pytest.raises(
        ValueError, match=r"'twice' occurs 2 times in adata.var\['symbol'\]: choose one of \['0', '1'\]"
    ):
        pl.gene(cohort, "twice", "treated")
    with pytest.raises(KeyError, match=r"no gene 'Csn2' in adata.var_names.*no such symbol in adata.var\['symbol'\]"):
        pl.gene(cohort, "Csn2", "treated")


@pytest.mark.parametrize(
    "convert",
    [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, lambda x: da.from_array(x, chunks=(2, 7))],
    ids=["csr_matrix", "csc_matrix", "csr_array", "dask"],
)
def test_storage_does_not_matter(cohort: AnnData, convert: Callable):
    expected = points(pl.gene(cohort, "4", "stage"))
    cohort.X = convert(cohort.X)
    np.testing.assert_allclose(points(pl.gene(cohort, "4", "stage")), expected)


@pytest.mark.parametrize("convert", [np.asarray, sparse.csr_matrix, sparse.csc_matrix], ids=["dense", "csr", "csc"])
def test_a_file_is_drawn_as_memory_is(cohort: AnnData, convert: Callable, tmp_path: Path):
    expected = points(pl.gene(cohort, "4", "stage"))
    cohort.X = convert(cohort.X)
    cohort.write_h5ad(tmp_path / "a.h5ad")
    backed = read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_allclose(points(pl.gene(backed, "4", "stage")), expected)
    backed.file.close()


def test_a_layer_and_other_size_factors_can_be_taken(cohort: AnnData):
    cohort.layers["tripled"] = 3 * cohort.X
    cohort.obs["halves"] = 0.5
    ax = pl.gene(cohort, "4", "treated", layer="tripled", size_factor_key="halves")
    np.testing.assert_allclose(points(ax)[:, 1], 6 * cohort.X[:, 4])


@pytest.mark.parametrize("convert", [np.asarray, sparse.csc_matrix], ids=["dense", "csc"])
def test_counts_are_drawn_per_unit_of_a_relative_offset(cohort: AnnData, convert: Callable):
    plain = points(pl.gene(cohort, "4", "treated"))
    length = np.array([1, 2, 4, 8, 16, 32], dtype=float)
    cohort.layers["length"] = convert(np.tile(100 * length[:, None], (1, 30)))
    ax = pl.gene(cohort, "4", "treated", offset_key="length")
    np.testing.assert_allclose(points(ax)[:, 1], plain[:, 1] / (length / np.sqrt(32)))
    assert ax.get_ylabel() == "Count / size factor / relative offset"
    cohort.layers["length"] = np.ones((6, 30))
    np.testing.assert_array_equal(points(pl.gene(cohort, "4", "treated", offset_key="length")), plain)
    cohort.layers["length"][3, 4] = 0
    with pytest.raises(ValueError, match=r"layers\['length'\] must hold finite numbers > 0 .*'s3' has 0.0 at gene '4'"):
        pl.gene(cohort, "4", "treated", offset_key="length")
    with pytest.raises(KeyError, match=r"offset_key='len' is not a layer of adata; it has \['length'\]"):
        pl.gene(cohort, "4", "treated", offset_key="len")


def test_long_group_names_are_slanted_clear_of_each_other_and_of_the_legend(cohort: AnnData):
    levels = ["basal_pregnancy", "basal_lactation", "luminal_pregnancy", "luminal_lactation", "virgin", "other"]
    cohort.obs["group"] = levels
    rates = RATES[:1].assign(group="virgin")
    ax = pl.gene(cohort, "4", "group", rates=rates)
    plt.gcf().draw_without_rendering()
    assert all(label.get_rotation() == 40 for label in ax.get_xticklabels())
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y1 < ax.xaxis.label.get_window_extent().y0
    assert ax.get_window_extent().height > 100
    short = pl.gene(cohort, "4", "treated")
    assert all(label.get_rotation() == 0 for label in short.get_xticklabels())


@pytest.mark.parametrize("wrong", [0, -1, np.nan, np.inf])
def test_a_size_factor_that_is_not_positive_is_named(cohort: AnnData, wrong: float):
    cohort.obs.loc["s2", "size_factor"] = wrong
    with pytest.raises(
        ValueError, match=rf"obs\['size_factor'\] must be finite and > 0; 1 samples are not.*'s2': {wrong}"
    ):
        pl.gene(cohort, "4", "stage")


def test_wrong_counts_are_named(cohort: AnnData):
    cohort.X[1, 4] = -2
    with pytest.raises(ValueError, match="sample 's1' has -2 of gene '4'. Give raw counts"):
        pl.gene(cohort, "4", "stage")


def test_what_is_not_there_is_named_with_the_choices(cohort: AnnData):
    cohort.layers["counts"] = cohort.X
    with pytest.raises(KeyError, match=r"no gene 'x' in adata.var_names, which holds \['0', '1', '2'\]"):
        pl.gene(cohort, "x", "stage")
    with pytest.raises(KeyError, match=r"no layer 'raw' in adata.layers; it has \['counts'\]"):
        pl.gene(cohort, "4", "stage", layer="raw")
    with pytest.raises(
        KeyError, match=r"size_factor_key='sf' is not a column of adata.obs; .* bulkvi.pp.size_factors\(adata\)"
    ):
        pl.gene(cohort, "4", "stage", size_factor_key="sf")
    with pytest.raises(KeyError, match=r"`rates` has no row of gene '7'; its index holds \['4', '4', '4'\]"):
        pl.gene(cohort, "7", "stage", rates=RATES)
    with pytest.raises(
        KeyError, match=r"no columns \['group', 'rate_low'\] in `rates`.*model.get_group_rates\(\) returns them"
    ):
        pl.gene(cohort, "4", "stage", rates=RATES.drop(columns=["group", "rate_low"]))
    with pytest.raises(TypeError, match="must be an AnnData"):
        pl.gene(cohort.obs, "4", "stage")
    assert plt.get_fignums() == []


def test_rates_of_other_groups_or_of_one_group_twice_are_refused(cohort: AnnData):
    with pytest.raises(ValueError, match=r"levels of 'treated', \['False', 'True'\]; it has \['virgin', 'lactation'"):
        pl.gene(cohort, "4", "treated", rates=RATES)
    with pytest.raises(ValueError, match="must have one row for a group"):
        pl.gene(cohort, "4", "stage", rates=pd.concat([RATES, RATES]))


def test_a_column_without_values_is_refused(cohort: AnnData):
    cohort.obs["none"] = np.nan
    with pytest.raises(ValueError, match=r"no sample has a value in adata.obs\['none'\]"):
        pl.gene(cohort, "4", "none")


def test_an_empty_x_is_named():
    adata = AnnData(obs=pd.DataFrame({"size_factor": [1.0], "a": ["b"]}, index=["s"]), var=pd.DataFrame(index=["g"]))
    with pytest.raises(ValueError, match="adata.X is empty; name the layer"):
        pl.gene(adata, "g", "a")


def test_the_order_of_the_groups_can_be_given_and_moves_samples_and_rates_with_their_names(cohort: AnnData):
    rates = pd.DataFrame(
        {"group": ["lactation", "virgin"], "rate": [10.0, 99.0], "rate_low": [9.0, 90.0], "rate_high": [11.0, 110.0]},
        index=["3", "3"],
    )
    ax = pl.gene(cohort, "3", "stage", rates=rates, order=["virgin", "lactation"])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["virgin", "lactation", "pregnancy"]
    drawn = np.asarray(ax.collections[0].get_offsets())
    expected = (np.asarray(cohort.X)[:, 3] / cohort.obs["size_factor"].to_numpy())[[0, 2]]
    np.testing.assert_allclose(sorted(drawn[drawn[:, 0] < 0.5, 1]), sorted(expected), rtol=1e-6)
    bars: Any = ax.containers[0]
    places, heights = bars.lines[0].get_data()
    assert dict(zip(np.floor(places), heights, strict=True)) == {0: 99.0, 1: 10.0}


@pytest.mark.parametrize("order", [["virgin", "mature"], ["virgin", "virgin"]])
def test_an_order_of_other_groups_is_refused(cohort: AnnData, order: list[str]):
    with pytest.raises(ValueError, match="`order` must hold levels of 'stage', each once"):
        pl.gene(cohort, "3", "stage", order=order)


def test_groups_have_the_colours_of_the_latent_picture_and_not_those_of_up_and_down(cohort: AnnData):
    gene = pl.gene(cohort, "3", "stage", order=["virgin"])
    points: Any = gene.collections[0]
    shown = zip(points.get_offsets(), points.get_facecolor(), strict=True)
    by_place = {round(float(at[0])): to_hex(colour) for at, colour in shown}
    drawn: Any = pl.latent(cohort, color="stage").collections
    latent = {points.get_label(): to_hex(points.get_facecolor()[0]) for points in drawn}
    assert [by_place[i] for i in range(3)] == [latent[name] for name in ("virgin", "lactation", "pregnancy")]
    assert not {DOWN.lower(), UP.lower()} & set(by_place.values())


CURVE = pd.DataFrame(
    {
        "covariate": [60.0, 10.0, 10.0],
        "rate": [150.0, 50.0, 1.0],
        "rate_low": [100.0, 40.0, 0.5],
        "rate_high": [200.0, 60.0, 2.0],
    },
    index=["4", "4", "5"],
)


def test_counts_over_size_factors_are_drawn_over_the_covariate(cohort: AnnData):
    ax = pl.gene_trend(cohort, "4", "age")
    x, y = np.asarray(ax.collections[0].get_offsets()).T
    drawn = [0, 1, 2, 4, 5]  # s3 has no age
    assert x.tolist() == cohort.obs["age"].iloc[drawn].tolist()
    np.testing.assert_allclose(y, cohort.X[drawn, 4] / cohort.obs["size_factor"].to_numpy()[drawn])
    assert ax.get_title(loc="left") == "4; 1 sample without age"
    assert ax.get_xlabel() == "age"


def test_the_curve_of_the_gene_is_drawn_from_left_to_right(cohort: AnnData):
    ax = pl.gene_trend(cohort, "4", "age", curve=CURVE)
    (line,) = ax.lines
    assert np.asarray(line.get_xdata()).tolist() == [10.0, 60.0]
    assert np.asarray(line.get_ydata()).tolist() == [50.0, 150.0]
    heights = np.asarray(ax.collections[1].get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (40.0, 200.0)


def test_it_draws_on_the_axes_it_is_given_and_closes_nothing(cohort: AnnData):
    _, ax = plt.subplots()
    assert pl.gene_trend(cohort, "4", "age", ax=ax) is ax
    assert len(plt.get_fignums()) == 1


def test_a_dollar_in_a_name_is_no_formula(cohort: AnnData):
    cohort.obs["a$^$b"] = np.arange(6.0)
    pl.gene_trend(cohort, "4", "a$^$b")
    plt.gcf().draw_without_rendering()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"covariate": "stage"}, "not numeric.*bulkvi.pl.gene"),
        ({"covariate": "treated"}, "not numeric"),
        ({"covariate": "aeg"}, "no column 'aeg'"),
        ({"gene": "nonsense"}, "nonsense"),
        ({"curve": CURVE.loc[["5"]]}, "no row of gene '4'"),
        ({"curve": CURVE.drop(columns="rate")}, "get_rate_curve"),
    ],
)
def test_wrong_input_of_a_trend_is_explained(cohort: AnnData, changed: dict, message: str):
    with pytest.raises((KeyError, ValueError), match=message):
        pl.gene_trend(cohort, **{"gene": "4", "covariate": "age"} | changed)


def test_a_column_without_numbers_is_refused(cohort: AnnData):
    cohort.obs["age"] = np.nan
    with pytest.raises(ValueError, match="no sample has a finite value"):
        pl.gene_trend(cohort, "4", "age")
