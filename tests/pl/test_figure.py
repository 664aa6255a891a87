from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

from bulkvi import pl
from bulkvi.pl._figure import finish, legend_below


@pytest.mark.parametrize("ending", ["pdf", "svg", "png"])
def test_the_ending_determines_the_format(tmp_path: Path, ending: str):
    heads = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}
    finish(plt.subplots()[1], show=False, save=str(tmp_path / f"figure.{ending}"))
    assert (tmp_path / f"figure.{ending}").read_bytes().startswith(heads[ending])


def test_text_of_a_vector_file_stays_text_and_the_settings_of_matplotlib_stay(tmp_path: Path):
    before = dict(plt.rcParams)
    ax = plt.subplots()[1]
    ax.set_xlabel("Log2 fold change")
    finish(ax, show=False, save=tmp_path / "figure.pdf")
    assert b"/Subtype /Type0" in (tmp_path / "figure.pdf").read_bytes()
    assert dict(plt.rcParams) == before


def test_a_figure_is_saved_before_it_is_shown_and_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "figure.png"
    monkeypatch.setattr(plt, "show", lambda: seen.append(path.exists()))
    seen: list[bool] = []
    ax = plt.subplots()[1]
    assert finish(ax, show=True, save=path) is ax
    assert seen == [True]
    assert plt.fignum_exists(ax.figure.number)  # type: ignore[union-attr]


def test_the_whole_figure_of_a_given_axes_is_saved(cohort: AnnData, tmp_path: Path):
    figure, axes = plt.subplots(1, 2, figsize=(6, 2))
    pl.latent(cohort, ax=axes[0], save=tmp_path / "both.png")
    np.testing.assert_array_equal(plt.imread(tmp_path / "both.png").shape[:2], (600, 1800))


def test_a_picture_is_not_chosen_by_show():
    with pytest.raises(TypeError, match="`show` is True or False; it is 'calls'"):
        finish(plt.subplots()[1], show="calls", save=None)  # type: ignore[arg-type]


def test_an_unknown_format_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="not supported"):
        finish(plt.subplots()[1], show=False, save=tmp_path / "figure.doc")


def test_a_legend_can_be_placed_lower():
    tops = []
    for lower in (0, 20):
        figure, ax = plt.subplots(dpi=72)
        legend_below(ax, ax.plot([1, 2], label="a"), lower=lower)
        figure.draw_without_rendering()
        legend = ax.get_legend()
        assert legend is not None
        tops.append(legend.get_window_extent().y1)
    assert tops[0] - tops[1] == pytest.approx(20)


def test_a_legend_that_is_too_wide_for_one_row_has_more():
    figure, ax = plt.subplots(figsize=(3.3, 2.4), layout="constrained")
    lines = [ax.plot([1, 2], label=f"method {i}")[0] for i in range(4)]
    legend_below(ax, lines)
    figure.draw_without_rendering()
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert len({round(text.get_window_extent().y0) for text in legend.texts}) == 2
