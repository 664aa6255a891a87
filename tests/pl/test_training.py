import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bulkvi import pl

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


def test_axes_say_that_lower_is_better_and_in_which_unit(history: History):
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
