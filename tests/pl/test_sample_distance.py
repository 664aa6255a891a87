import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.axes import Axes
from scipy import sparse

import bulkvi.pl._sample_distance as module
from bulkvi import pl
from bulkvi.pl._sample_distance import sample_distances

KEYS: dict = {"size_factor_key": "size_factor", "layer": None, "offset_key": None}


def matrix(ax: Axes) -> np.ndarray:
    return np.ma.getdata(np.ma.asarray(ax.collections[0].get_array()))


def names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def by_definition(adata: AnnData) -> np.ndarray:
    values = np.log2(1 + adata.X / adata.obs["size_factor"].to_numpy()[:, None])
    return np.array([[np.sqrt(np.mean((one - other) ** 2)) for other in values] for one in values])


@pytest.mark.parametrize("block", [1, 20, 10_000])
def test_distances_are_those_of_a_slow_loop(cohort: AnnData, block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", block)
    distances = sample_distances(cohort, **KEYS)
    np.testing.assert_allclose(distances, by_definition(cohort), rtol=1e-6)
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_array_equal(np.diag(distances), 0)


def test_the_same_counts_at_another_depth_have_no_distance(cohort: AnnData):
    cohort.X[1] = 8 * cohort.X[0]
    cohort.obs.loc["s1", "size_factor"] = 8 * cohort.obs.loc["s0", "size_factor"]
    assert sample_distances(cohort, **KEYS)[0, 1] < 1e-6


def test_sparse_counts_and_counts_in_a_layer_are_the_same(cohort: AnnData):
    cohort.layers["counts"] = sparse.csr_matrix(cohort.X)
    expected = by_definition(cohort)
    cohort.X = np.zeros(cohort.shape, dtype=np.float32)
    np.testing.assert_allclose(sample_distances(cohort, **KEYS | {"layer": "counts"}), expected, rtol=1e-6)


def test_each_cell_is_the_distance_of_its_two_samples(cohort: AnnData):
    ax = pl.sample_distance(cohort)
    at = [list(cohort.obs_names).index(name) for name in names(ax)]
    np.testing.assert_allclose(matrix(ax), by_definition(cohort)[np.ix_(at, at)], rtol=1e-6)


def test_another_order_of_samples_and_genes_gives_the_same_picture(cohort: AnnData):
    other = cohort[[3, 1, 5, 0, 2, 4], ::-1].copy()
    first, second = (pl.sample_distance(adata, color="stage") for adata in (cohort, other))
    assert names(first) == names(second)
    np.testing.assert_allclose(matrix(first), matrix(second), rtol=1e-12)


def test_of_the_two_directions_the_one_is_drawn_that_begins_with_the_earlier_name(cohort: AnnData):
    for order in (cohort.obs_names, cohort.obs_names[::-1]):
        cohort.obs_names = list(order)
        drawn = names(pl.sample_distance(cohort))
        assert drawn[0] < drawn[-1]


def test_similar_samples_are_neighbours(cohort: AnnData, rng: np.random.Generator):
    cohort.X[[1, 3, 4]] *= rng.choice([1, 16], size=30)  # another kind of sample
    kinds = [name in ("s1", "s3", "s4") for name in names(pl.sample_distance(cohort))]
    assert sum(one != other for one, other in zip(kinds, kinds[1:], strict=False)) == 1


def test_without_clusters_samples_are_sorted_by_the_columns(cohort: AnnData):
    assert names(pl.sample_distance(cohort, cluster=False)) == list(cohort.obs_names)
    assert names(pl.sample_distance(cohort, color=["treated", "age"], cluster=False)) == [
        "s1",
        "s5",
        "s3",
        "s0",
        "s2",
        "s4",
    ]


def test_colours_begin_at_the_smallest_distance_of_two_samples(cohort: AnnData):
    distances = by_definition(cohort)
    apart = distances[~np.eye(6, dtype=bool)]
    np.testing.assert_allclose(pl.sample_distance(cohort).collections[0].get_clim(), [apart.min(), apart.max()])


def test_samples_that_are_all_the_same_can_be_drawn(cohort: AnnData):
    cohort.X[:] = cohort.obs["size_factor"].to_numpy(dtype=np.float32)[:, None]
    assert matrix(pl.sample_distance(cohort)).max() < 1e-6


def test_names_are_written_only_where_they_have_room(cohort: AnnData):
    obs = pd.DataFrame({"size_factor": 1.0}, index=[f"sample {i}" for i in range(60)])
    many = AnnData(np.tile(cohort.X, (10, 1)), obs=obs)
    ax = pl.sample_distance(many)
    assert (names(ax), ax.get_xlabel()) == ([], "60 samples")
    assert len(names(pl.sample_distance(many, label=True))) == 60
    assert names(pl.sample_distance(cohort, label=False)) == []


def test_what_cannot_be_drawn_is_refused(cohort: AnnData, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match="1 samples; distances are drawn for 2 to 1,000"):
        pl.sample_distance(cohort[:1])
    with pytest.raises(ValueError, match="there are no genes"):
        pl.sample_distance(cohort[:, :0])
    with pytest.raises(TypeError, match="must be an AnnData"):
        pl.sample_distance(cohort.obs)
    cohort.X[2, 5] = -1
    with pytest.raises(ValueError, match="sample 's2' has -1 of gene '5'"):
        pl.sample_distance(cohort)
    assert plt.get_fignums() == []
