from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from bulkvi import pl


@pytest.fixture
def de(rng: np.random.Generator) -> pd.DataFrame:
    """All 30 genes: the first 20 are called, the most significant first, and every second one is down."""
    effect = np.where(np.arange(30) % 2, -1, 1) * rng.uniform(0.5, 3, 30)
    table = pd.DataFrame({"log_fc": effect, "log_fc_low": effect - 0.5, "log_fc_high": effect + 0.25})
    table["p_value"] = np.geomspace(1e-9, 0.9, 30)
    table["adj_p_value"] = np.where(np.arange(30) < 20, 0.01, 0.5)
    return table.set_index(np.array([str(i) for i in range(30)]))


def matrix(ax: Axes) -> np.ndarray:
    return np.ma.getdata(np.ma.asarray(ax.collections[0].get_array()))


def rows(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def columns(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


def panel(ax: Axes) -> Any:
    return next(one for one in ax.child_axes if one.get_xlabel().startswith("log2 fold"))


def latent_colours(adata: AnnData, color: str) -> dict[str, str]:
    drawn: Any = pl.latent(adata, color=color).collections
    return {points.get_label(): to_hex(points.get_facecolor()[0]) for points in drawn}


def expected(adata: AnnData, genes: list[str], samples: list[str]) -> np.ndarray:
    here = adata[samples, genes]
    values = np.log2(1 + here.X / here.obs["size_factor"].to_numpy()[:, None])
    everyone = np.log2(1 + adata[:, genes].X / adata.obs["size_factor"].to_numpy()[:, None])
    return (values - everyone.mean(0)).T


def test_rows_are_the_most_significant_called_genes_from_up_to_down(cohort: AnnData, de: pd.DataFrame):
    ax = pl.heatmap(cohort, de.sample(frac=1, random_state=1), genes=6)
    assert rows(ax) == list(de.iloc[:6].sort_values("log_fc", ascending=False).index)
    assert len(rows(pl.heatmap(cohort, de, genes=25))) == 20
    assert len(rows(pl.heatmap(cohort, de, genes=25, level=0.6))) == 25


def test_rows_are_the_given_genes_in_their_order(cohort: AnnData, de: pd.DataFrame):
    cohort.var["symbol"] = [f"Gene{i}" for i in range(30)]
    ax = pl.heatmap(cohort, de, genes=["29", "Gene3", "11"])
    assert rows(ax) == ["Gene29", "Gene3", "Gene11"]
    np.testing.assert_allclose(matrix(ax), expected(cohort, ["29", "3", "11"], list(cohort.obs_names)), rtol=1e-5)


def test_names_are_those_of_the_table_where_it_has_some(cohort: AnnData, de: pd.DataFrame):
    cohort.var["symbol"] = "of adata"
    assert rows(pl.heatmap(cohort, de, genes=["3"], gene_names={"3": "named"})) == ["named"]
    de["symbol"] = [f"Gene{i}" for i in range(30)]
    assert rows(pl.heatmap(cohort, de, genes=["3"])) == ["Gene3"]


def test_samples_are_sorted_by_the_first_column_then_by_the_second_and_missing_values_last(
    cohort: AnnData, de: pd.DataFrame
):
    ax = pl.heatmap(cohort, de, color=["treated", "stage"], label=True)
    assert columns(ax) == ["s1", "s5", "s3", "s4", "s0", "s2"]  # s3 has no stage
    np.testing.assert_allclose(matrix(ax), expected(cohort, rows(ax), columns(ax)), rtol=1e-5)
    assert columns(pl.heatmap(cohort, de, color="age", label=True)) == ["s0", "s1", "s2", "s4", "s5", "s3"]


def test_another_order_of_samples_and_genes_gives_the_same_picture(cohort: AnnData, de: pd.DataFrame):
    other = cohort[[3, 1, 5, 0, 2, 4], ::-1].copy()
    first, second = (pl.heatmap(adata, de, color="age", label=True) for adata in (cohort, other))
    assert (rows(first), columns(first)) == (rows(second), columns(second))
    np.testing.assert_allclose(matrix(first), matrix(second), atol=1e-12)


def test_depth_does_not_matter(cohort: AnnData, de: pd.DataFrame):
    before = matrix(pl.heatmap(cohort, de))
    cohort.X = cohort.X * 2
    cohort.obs["size_factor"] *= 2
    np.testing.assert_allclose(matrix(pl.heatmap(cohort, de)), before, atol=1e-12)


def test_offsets_are_divided_by(cohort: AnnData, de: pd.DataFrame):
    cohort.layers["length"] = np.ones(cohort.shape)
    before = matrix(pl.heatmap(cohort, de, genes=["3"], offset_key="length"))
    cohort.layers["length"][0, 3] = 4.0
    after = matrix(pl.heatmap(cohort, de, genes=["3"], offset_key="length"))
    assert after[0, 0] < before[0, 0] - 1


def test_colours_are_those_of_the_latent_picture(cohort: AnnData, de: pd.DataFrame):
    cohort.uns["stage_colors"] = ["#ff0000", "#00ff00", "#0000ff"]
    stage, treated = latent_colours(cohort, "stage"), latent_colours(cohort, "treated")
    ax: Any = pl.heatmap(cohort, de, color=["stage", "treated"], label=True)
    strips = next(
        one for one in ax.child_axes if [label.get_text() for label in one.get_yticklabels()][:1] == ["stage"]
    )
    cells = np.ma.getdata(np.ma.asarray(strips.collections[0].get_array()))
    order = cohort.obs.loc[columns(ax)]
    assert [to_hex(cell) for cell in cells[0]] == [
        stage[str(one)] for one in order["stage"].astype(object).fillna("missing")
    ]
    assert [to_hex(cell) for cell in cells[1]] == [treated[str(one)] for one in order["treated"]]
    legends = {one.get_title().get_text(): [text.get_text() for text in one.texts] for one in ax.artists}
    assert legends == {"stage": ["missing", "lactation", "pregnancy", "virgin"], "treated": ["False", "True"]}


def test_fold_changes_are_drawn_beside_their_genes_with_their_intervals(cohort: AnnData, de: pd.DataFrame):
    beside = panel(pl.heatmap(cohort, de, genes=["5", "2"]))
    points = np.vstack([one.get_offsets() for one in beside.collections[1::2]])
    np.testing.assert_allclose(points, [[de.loc["5", "log_fc"], 0], [de.loc["2", "log_fc"], 1]])
    lines = np.vstack([one.get_segments() for one in beside.collections[::2]])
    np.testing.assert_allclose(lines[:, :, 0], de.loc[["5", "2"], ["log_fc_low", "log_fc_high"]])
    assert len(pl.heatmap(cohort, de, effects=False).child_axes) == 1  # the colour bar


def test_colours_end_at_the_limit(cohort: AnnData, de: pd.DataFrame):
    assert pl.heatmap(cohort, de, limit=2.5).collections[0].get_clim() == (-2.5, 2.5)
    low, high = pl.heatmap(cohort, de).collections[0].get_clim()
    assert low == -high
    assert 0.9 < np.mean(np.abs(matrix(plt.gcf().axes[0])) <= high) < 1


def test_names_are_written_only_where_they_have_room(cohort: AnnData, de: pd.DataFrame):
    obs = pd.DataFrame({"size_factor": 1.0}, index=[f"sample {i}" for i in range(60)])
    many = AnnData(np.tile(cohort.X, (10, 1)), obs=obs)
    ax = pl.heatmap(many, de)
    assert (columns(ax), ax.get_xlabel()) == ([], "60 samples")
    assert len(columns(pl.heatmap(many, de, label=True))) == 60


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"genes": 0}, ValueError, "is 0: give a whole number of at least 1"),
        ({"genes": []}, ValueError, "`genes` is empty"),
        ({"genes": ["x"]}, KeyError, "no gene 'x' in adata.var_names"),
        ({"level": 0.001}, ValueError, "no gene has adj_p_value < 0.001"),
        ({"limit": -1}, ValueError, r"limit .log2. is -1: give a finite number above 0"),
        ({"size_factor_key": "depth"}, KeyError, "Compute them with bulkvi.pp.size_factors"),
        ({"gene_names": "nick"}, KeyError, "no column 'nick' in `de`"),
    ],
)
def test_what_cannot_be_drawn_is_refused(cohort: AnnData, de: pd.DataFrame, change: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        pl.heatmap(cohort, de, **change)
    assert plt.get_fignums() == []


def test_a_gene_that_the_table_lacks_is_refused(cohort: AnnData, de: pd.DataFrame):
    with pytest.raises(KeyError, match=r"not in the index of `de`: \['3'\]"):
        pl.heatmap(cohort, de.drop("3"), genes=["5", "3"])


def test_a_table_without_intervals_is_refused_if_they_are_drawn(cohort: AnnData, de: pd.DataFrame):
    bare = de.drop(columns="log_fc_low")
    with pytest.raises(KeyError, match=r"no columns \['log_fc_low'\] in `de`"):
        pl.heatmap(cohort, bare)
    assert len(rows(pl.heatmap(cohort, bare, effects=False))) == 20
