import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from bulkvi import pl

TABLE = pd.DataFrame(
    {
        "base_mean": [10.0, 1_000.0, 100.0, 1.0, 5.0],
        "dispersion_gene": [0.5, 0.01, 1e-8, 0.0, np.nan],
        "dispersion_trend": [0.2, 0.02, 0.05, 0.4, 0.3],
        "dispersion": [0.3, 0.015, 0.04, 0.39, 0.3],
    }
)


def points(ax: Axes) -> list[np.ndarray]:
    """Points by scatter: genes, posterior, with counting noise alone."""
    return [np.asarray(drawn.get_offsets()) for drawn in ax.collections]


def test_genes_and_posteriors_stand_over_means_on_log_axes():
    ax = pl.dispersion(TABLE)
    genes, posterior, _ = points(ax)
    np.testing.assert_array_equal(genes, [[10, 0.5], [1_000, 0.01]])
    np.testing.assert_array_equal(posterior, TABLE[["base_mean", "dispersion"]][:4])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_title(loc="left").startswith("4 genes; 1 without finite values")


def test_genes_at_the_poisson_edge_stand_below_all_others_and_are_counted():
    ax = pl.dispersion(TABLE)
    edge = points(ax)[2]
    assert edge[:, 0].tolist() == [100, 1]
    assert ax.get_ylim()[0] < edge[0, 1] == edge[1, 1] < 0.01
    assert "2 with counting noise alone" in ax.get_title(loc="left")


def test_without_such_genes_nothing_is_said_of_them():
    ax = pl.dispersion(TABLE[:2])
    assert len(points(ax)) == 2
    assert ax.get_title(loc="left") == "2 genes"


def test_the_trend_is_a_line_through_the_genes_in_the_order_of_their_means():
    (trend,) = pl.dispersion(TABLE).lines
    np.testing.assert_array_equal(trend.get_xydata(), [[1, 0.4], [10, 0.2], [100, 0.05], [1_000, 0.02]])


def test_the_trend_of_many_genes_has_few_points_and_keeps_its_ends(rng: np.random.Generator):
    mean = 10 ** rng.uniform(0, 5, size=5_000)
    table = pd.DataFrame(
        {"base_mean": mean, "dispersion_gene": 0.1, "dispersion_trend": 1 / mean, "dispersion": 0.1}, dtype=float
    )
    (line,) = pl.dispersion(table).lines
    x, y = np.asarray(line.get_data())
    assert len(x) <= 200
    assert (x[0], x[-1]) == (mean.min(), mean.max())
    assert (np.diff(np.log(x)) > 0).all()
    assert np.diff(np.log(x)).max() < 0.1
    np.testing.assert_allclose(y, 1 / x)


def test_a_single_gene_can_be_drawn():
    assert np.asarray(pl.dispersion(TABLE[:1]).lines[0].get_xydata()).tolist() == [[10, 0.2]]


def test_missing_columns_are_named_with_what_gives_them():
    with pytest.raises(
        KeyError, match=r"no columns \['dispersion_gene', 'dispersion_trend'\].*model.get_dispersions\(\) gives them"
    ):
        pl.dispersion(TABLE[["base_mean", "dispersion"]])
    with pytest.raises(
        TypeError, match=r"`dispersions` must be a table, as model.get_dispersions\(\) gives it, not NoneType"
    ):
        pl.dispersion(None)
