import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from scipy.stats import norm

from bulkvi import pl

DE = pd.DataFrame(
    {
        "log_fc": [1.0, -2.0, 0.1, np.nan, 3.0],
        "p_value": [1e-4, 1e-6, 0.5, 1e-9, 1e-5],
        "adj_p_value": [2e-4, 2e-6, 0.5, 2e-9, np.nan],
        "symbol": ["A", "B", "C", "D", None],
    },
    index=["g1", "g2", "g3", "g4", "g5"],
)


def points(ax: Axes) -> list[list[list[float]]]:
    """Points by scatter: not called, down, up, and others."""
    return [np.round(np.asarray(drawn.get_offsets()), 9).tolist() for drawn in ax.collections]


def names(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_genes_are_drawn_at_their_values_in_the_colour_of_their_call():
    ax = pl.volcano(DE, label=0)
    assert points(ax) == [[[0.1, round(-np.log10(0.5), 9)], [3, 5]], [[-2, 6]], [[1, 4]]]
    assert len({tuple(np.ravel(drawn.get_facecolor())) for drawn in ax.collections}) == 3
    assert ax.get_title(loc="left") == "4 genes; 1 without finite values"


def test_the_legend_counts_calls_and_names_their_level():
    legend = pl.volcano(DE, level=1e-5).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["1 down", "0 up"]
    assert legend.get_title().get_text() == "Called at adj_p_value < 1e-05"


def test_a_p_value_of_zero_is_drawn_by_its_stat():
    de = pd.DataFrame({"log_fc": [1.0, -1.0], "p_value": [0.0, 2 * norm.sf(3)], "adj_p_value": [0.0, 0.01]})
    ax = pl.volcano(de.assign(stat=[45.0, -3.0]), label=0)
    _, down, up = points(ax)
    # log10 of 2 Phi(-45), from the asymptotic series of Mills' ratio
    log_tail = -(45**2) / 2 - np.log(45 * np.sqrt(2 * np.pi)) + np.log1p(-1 / 45**2 + 3 / 45**4)
    assert up[0][1] == pytest.approx(-(log_tail + np.log(2)) / np.log(10), rel=1e-9)
    assert down[0][1] == pytest.approx(-np.log10(2 * norm.sf(3)))
    assert ax.get_title(loc="left") == "2 genes"


@pytest.mark.parametrize("stat", [None, np.inf, np.nan])
def test_a_p_value_of_zero_without_a_stat_lies_at_the_edge_and_is_counted(stat: float | None):
    de = pd.DataFrame({"log_fc": [1.0, -1.0, 2.0], "p_value": [0.0, 0.0, 1e-20], "adj_p_value": [0.0, 0.0, 1e-20]})
    ax = pl.volcano(de if stat is None else de.assign(stat=stat), label=0)
    _, down, up, down_at_edge, up_at_edge = points(ax)
    assert (down, up) == ([], [[2, 20]])
    assert down_at_edge[0][0] == -1
    assert up_at_edge[0][0] == 1
    assert 20 < up_at_edge[0][1] == down_at_edge[0][1] < ax.get_ylim()[1]
    assert ax.get_title(loc="left") == "3 genes; 2 with p = 0, at the edge"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.texts] == ["1 down", "2 up"]


def test_a_table_of_zeros_can_be_drawn():
    de = pd.DataFrame({"log_fc": [0.0, 0.0], "p_value": [0.0, 0.0], "adj_p_value": [0.0, 0.0]})
    assert np.isfinite(pl.volcano(de).get_ylim()).all()


def test_the_most_significant_calls_are_named_by_their_symbols():
    assert names(pl.volcano(DE)) == ["B", "A"]
    assert names(pl.volcano(DE, label=1)) == ["B"]
    assert names(pl.volcano(DE, label=0)) == []


def test_genes_to_name_can_be_given_and_one_without_a_symbol_keeps_its_id():
    assert names(pl.volcano(DE, label=["g5", "g3"])) == ["C", "g5"]
    assert names(pl.volcano(DE, label="g3")) == ["C"]
    assert names(pl.volcano(DE, label=["g4"])) == [], "it is not drawn"


@pytest.mark.parametrize(
    ("gene_names", "expected"),
    [
        ({"g1": "one"}, ["g2", "one"]),
        (pd.Series(["one", "two"], index=["g1", "g2"]), ["two", "one"]),
        ("p_value", ["1e-06", "0.0001"]),
    ],
    ids=["dict", "series", "column"],
)
def test_genes_can_have_other_names(gene_names, expected: list[str]):
    assert names(pl.volcano(DE, gene_names=gene_names)) == expected


def test_without_symbols_genes_have_the_names_of_the_index():
    assert names(pl.volcano(DE.drop(columns="symbol"))) == ["g2", "g1"]


def test_names_of_genes_close_together_stay_inside_the_axes_and_clear_of_each_other(rng: np.random.Generator):
    n = 1_000
    p_value = rng.uniform(size=n) ** 3
    p_value[:10] = 10.0 ** -rng.uniform(11.8, 12, size=10)
    log_fc = np.append(np.linspace(2.6, 3, 10), rng.normal(0, 0.5, size=n - 10))
    de = pd.DataFrame({"log_fc": log_fc, "p_value": p_value, "adj_p_value": 20 * p_value})
    ax = pl.volcano(de, gene_names={i: f"ENSG{i:05}" for i in range(10)})
    plt.gcf().draw_without_rendering()
    box = ax.get_window_extent()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 10
    assert all(box.x0 < one.x0 and one.x1 < box.x1 and box.y0 < one.y0 and one.y1 < box.y1 for one in boxes)
    overlaps = [one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i]]
    assert sum(overlaps) <= 1


def test_the_same_table_gives_the_same_picture():
    first, second = ([text.get_position() for text in pl.volcano(DE).texts] for _ in range(2))
    assert first == second


def test_names_do_not_make_the_axes_smaller_while_they_are_placed(monkeypatch: pytest.MonkeyPatch):
    placed = []

    def place(texts, ax: Axes, **how) -> None:
        placed.append(ax.get_window_extent().width)

    monkeypatch.setattr("bulkvi.pl._text.adjust_text", place)
    ax = pl.volcano(DE.assign(symbol="a very long name of a gene"))
    for text in ax.texts:
        text.set_visible(False)
    plt.gcf().draw_without_rendering()
    assert placed == [pytest.approx(ax.get_window_extent().width - 8)]


def test_missing_columns_are_named():
    with pytest.raises(KeyError, match=r"no columns \['p_value'\].*differential_expression\(\) returns them"):
        pl.volcano(DE.drop(columns="p_value"))
    with pytest.raises(KeyError, match=r"no columns \['adj_p_value'\]"):
        pl.volcano(DE.drop(columns="adj_p_value"))


def test_names_that_do_not_exist_are_refused():
    with pytest.raises(KeyError, match=r"not in the index of `de`: \['g9'\]; it holds \['g1', 'g2', 'g3'\]"):
        pl.volcano(DE, label=["g1", "g9"])
    with pytest.raises(KeyError, match="no column 'name' in `de`"):
        pl.volcano(DE, gene_names="name")
    with pytest.raises(
        ValueError, match=r"label \(a number of genes, or their names\) is -1: give a whole number of at least 0"
    ):
        pl.volcano(DE, label=-1)
    assert plt.get_fignums() == []
