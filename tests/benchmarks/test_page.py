"""Tables of the page: means of cells, a column for each method, Markdown."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmarks.page import Page, by_method, completed, markdown, means, shown, write

ROWS = pd.DataFrame(
    {
        "scenario": "thinned",
        "source": ["yeast"] * 4 + ["mice"] * 2,
        "n": [6, 6, 6, 6, 5, 5],
        "seed": [0, 1, 0, 1, 0, 0],
        "method": ["bulkvi", "bulkvi", "deseq2", "deseq2", "bulkvi", "deseq2"],
        "FDR": [0.02, 0.04, 0.1, np.nan, 0.0, 0.5],
    }
)


def test_means_are_over_the_sets_of_a_cell():
    cells = means(ROWS)
    ours = cells[(cells["source"] == "yeast") & (cells["method"] == "bulkvi")].iloc[0]
    assert np.isclose(ours["FDR"], 0.03)
    assert ours["sets"] == 2


def test_a_column_for_each_method_and_cells_in_the_order_given():
    table = by_method(means(ROWS), "FDR", ["bulkvi", "voom", "deseq2"], ("source", "n"))
    assert list(table.columns) == ["sets", "bulkvi", "DESeq2"]
    assert list(table.index) == [("yeast", 6), ("mice", 5)]
    assert np.isclose(table.loc[("mice", 5), "DESeq2"], 0.5)


def test_numbers_are_shown_with_three_decimals_or_three_digits():
    assert [shown(x) for x in (0.0514, 12.34, 1234.5, np.nan, "yeast", 3)] == [
        "0.051",
        "12.3",
        "1,234",
        "-",
        "yeast",
        "3",
    ]


def test_markdown_has_a_line_for_each_row():
    table = by_method(means(ROWS), "FDR", ["bulkvi"], ("source", "n"))
    assert markdown(table).splitlines() == [
        "| source | n | sets | bulkvi |",
        "| :-- | --: | --: | --: |",
        "| yeast | 6 | 2 | 0.030 |",
        "| mice | 5 | 1 | 0.000 |",
    ]


def test_a_page_is_three_files_and_the_same_twice(tmp_path):
    def page() -> Page:
        figure = Figure()
        figure.subplots().plot([0, 1])
        table = by_method(means(ROWS), "FDR", ["bulkvi"], ("source", "n"))
        return Page(means(ROWS), {"FDR": table}, figure, {"numpy": "2"}, "python -m benchmarks thinning")

    for folder in ("first", "second"):
        write("thinning", page(), tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["thinning.csv", "thinning.md", "thinning.png"]
    for name in files:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert "`python -m benchmarks thinning`; numpy 2." in (tmp_path / "first" / "thinning.md").read_text()


def test_methods_that_were_not_run_keep_the_numbers_of_an_earlier_table():
    earlier = means(ROWS).assign(subset="all")
    ours = means(ROWS[ROWS["method"] == "bulkvi"]).assign(FDR=[0.01, 0.02])
    whole = completed(ours, earlier, "all")
    assert whole["method"].tolist() == ["bulkvi", "deseq2"] * 2
    assert whole["FDR"].tolist() == [0.01, 0.1, 0.02, 0.5]
    with pytest.raises(ValueError, match="other cells or numbers of data sets"):
        completed(ours.assign(sets=3), earlier, "all")
