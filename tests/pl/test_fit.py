import matplotlib.pyplot as plt
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
    """Points by scatter: genes, posterior, with Poisson noise only."""
    return [np.asarray(drawn.get_offsets()) for drawn in ax.collections]


def test_genes_and_posteriors_are_drawn_over_means_on_log_axes():
    ax = pl.dispersion(TABLE)
    genes, posterior, _ = points(ax)
    np.testing.assert_array_equal(genes, [[10, 0.5], [1_000, 0.01]])
    np.testing.assert_array_equal(posterior, TABLE[["base_mean", "dispersion"]][:4])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_title(loc="left").startswith("4 genes; 1 without finite values")


def test_genes_with_poisson_noise_lie_below_all_others_and_are_counted():
    ax = pl.dispersion(TABLE)
    edge = points(ax)[2]
    assert edge[:, 0].tolist() == [100, 1]
    assert ax.get_ylim()[0] < edge[0, 1] == edge[1, 1] < 0.01
    assert "2 with Poisson noise only" in ax.get_title(loc="left")


def test_without_such_genes_the_caption_leaves_them_out():
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
        KeyError, match=r"no columns \['dispersion_gene', 'dispersion_trend'\].*model.get_dispersions\(\) returns them"
    ):
        pl.dispersion(TABLE[["base_mean", "dispersion"]])
    with pytest.raises(
        TypeError, match=r"`dispersions` must be a table, as model.get_dispersions\(\) returns it, not NoneType"
    ):
        pl.dispersion(None)


History = dict[str, pd.DataFrame]


def test_training_and_validation_are_drawn_over_the_epochs(history: History):
    ax = pl.training(history)
    train, validation = ax.lines
    np.testing.assert_array_equal(train.get_xydata(), [[0, 9], [1, 5], [2, 4]])
    np.testing.assert_array_equal(validation.get_xydata(), [[0, 9.5], [1, 6], [2, 5.5]])
    assert train.get_linestyle() != validation.get_linestyle()
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["train", "validation"]


def test_training_alone_needs_no_legend(history: History):
    del history["elbo_validation"]
    ax = pl.training(history)
    assert len(ax.lines) == 1
    assert ax.get_legend() is None


def test_axes_name_the_loss_and_its_unit(history: History):
    ax = pl.training(history)
    assert ax.get_xlabel() == "Epoch"
    assert ax.get_ylabel() == "Training loss\n(negative ELBO,\nnats per sample)"


def test_another_quantity_can_be_drawn(history: History):
    ax = pl.training(history, metric="kl_local")
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.1, 0.5, 0.6])
    assert "KL divergence" in ax.get_ylabel()


def test_a_quantity_that_we_do_not_know_has_its_own_name_as_label(history: History):
    history["mse_train"] = history["elbo_train"]
    assert pl.training(history, metric="mse").get_ylabel() == "mse"


def test_a_single_epoch_is_visible(history: History):
    ax = pl.training({"elbo_train": history["elbo_train"].iloc[:1]})
    assert ax.lines[0].get_marker() == "o"


def test_tick_labels_are_whole_numbers_that_need_no_addition(history: History):
    history["elbo_train"] = 86_900 + history.pop("elbo_validation")
    ax = pl.training({"elbo_train": history["elbo_train"]})
    plt.gcf().draw_without_rendering()
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_a_quantity_that_was_not_recorded_is_named_with_the_choices(history: History):
    with pytest.raises(KeyError, match=r"no 'accuracy' in the history; it has \['elbo', 'kl_local'\]"):
        pl.training(history, metric="accuracy")


@pytest.mark.parametrize(("wrong", "hint"), [(None, "train the model first"), (pd.DataFrame(), "DataFrame")])
def test_what_is_no_history_is_refused(wrong: object, hint: str):
    with pytest.raises(TypeError, match=f"must be model.history.*{hint}"):
        pl.training(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("values", "flat"), [([36_590.0, 36_575.0, 36_565.0], True), ([900.0, 500.0, 400.0], False)])
def test_a_curve_that_hardly_moves_looks_flat(values: list[float], flat: bool):
    ax = pl.training({"elbo_train": pd.DataFrame({"elbo_train": values})})
    low, high = ax.get_ylim()
    share = (max(values) - min(values)) / (high - low)
    assert share < 0.1 if flat else share > 0.8
    assert low < min(values) < max(values) < high
