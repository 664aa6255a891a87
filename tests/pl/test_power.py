"""Curves of the table of power."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection

from bulkvi import pl
from bulkvi import power_names as pn
from bulkvi.pl._power import PowerKind


def make_table(n_genes: int = 2) -> pd.DataFrame:
    label = [(quantity, "") for quantity in pn.QUANTITIES if quantity != pn.CHANCE]
    label += [(pn.CHANCE, f"gene {i}") for i in range(n_genes)]
    rows = [(n, *which, n / 20, n / 30, n / 15) for n in (3, 5, 10) for which in label]
    table = pd.DataFrame(rows, columns=[pn.N_PER_GROUP, pn.QUANTITY, pn.GENE, pn.EXPECTED, pn.LOW, pn.HIGH])
    table.attrs[pn.SETTINGS] = {"contrast": "dex: trt / untrt", "pilot": [3, 4], "level": 0.8, "delta": 0.5}
    return table


@pytest.mark.parametrize(("kind", "n_lines"), [("power", 3), ("calls", 3), ("interval_width", 1), ("chance", 2)])
def test_draws_expected_values_and_ranges(kind: PowerKind, n_lines: int):
    table = make_table()
    ax = pl.power(table.sample(frac=1, random_state=0), kind=kind)
    assert len(ax.lines) == len(ax.collections) == n_lines
    for line, bars in zip(ax.lines, ax.collections, strict=True):
        assert np.asarray(line.get_ydata()).tolist() == [3 / 20, 5 / 20, 10 / 20]
        assert isinstance(bars, LineCollection)
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        assert ends == [[n / 30, n / 15] for n in (3, 5, 10)]
        assert line.get_xdata() == pytest.approx([3, 5, 10], abs=0.2)
    assert len({line.get_color() for line in ax.lines}) == n_lines
    assert len({line.get_marker() for line in ax.lines}) == n_lines
    assert ax.get_xlabel() == "Samples per group"


def test_the_caption_names_the_contrast_and_the_pilot_and_the_legend_the_unit():
    ax = pl.power(make_table())
    texts = [text.get_text().replace("\n", " ") for text in ax.texts] + [ax.get_title(loc="left").replace("\n", " ")]
    assert any("trt / untrt" in text and "3 against 4" in text and "80%" in text for text in texts)
    legend = ax.get_legend()
    assert legend is not None
    assert "above 0.5 (log2)" in legend.get_texts()[0].get_text()


def test_a_table_from_a_file_has_no_attrs_and_is_drawn():
    table = make_table()
    table.attrs = {}
    legend = pl.power(table).get_legend()
    assert legend is not None
    assert any("delta" in text.get_text() for text in legend.get_texts())


def test_one_size_is_drawn():
    table = make_table()
    assert pl.power(table[table[pn.N_PER_GROUP] == 5]).get_xlim()[0] < 5


def test_wrong_arguments():
    with pytest.raises(ValueError, match="`kind` must be one of"):
        pl.power(make_table(), kind="fdr")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match=r"bulkvi\.tl\.power"):
        pl.power(pd.DataFrame({"a": [1]}))
    for n_genes in (0, 9):
        with pytest.raises(ValueError, match="1 to 8"):
            pl.power(make_table(n_genes), kind="chance")
