"""From data sets to a page, without R: the table's numbers are those of the rows."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pages, python_methods, two_groups
from benchmarks.__main__ import NAMES
from benchmarks.page import write
from benchmarks.pages import PYTHON_PACKAGES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_r(tmp_path, monkeypatch):
    monkeypatch.setattr(python_methods, "CACHE", tmp_path)
    monkeypatch.setattr(two_groups, "run_peers", lambda *_: {})


def test_a_page_from_small_data_sets(without_r, tmp_path):
    sets = [two_groups.panel(3, seed) for seed in range(2)]
    page = pages._accuracy("simulations", two_groups.rows(sets, 0), 2, 0, ("scenario", "n"))
    ours = page.cells[page.cells["method"] == "bulkvi"].iloc[0]
    rows = two_groups.rows(sets, 0)
    assert np.isclose(ours["RMSE"], rows["RMSE"].mean())
    assert ours["sets"] == 2
    table = page.tables["RMSE of log2 fold changes, genes with a mean count of at least 10"]
    assert list(table.columns) == ["sets", "bulkvi"]
    assert set(PYTHON_PACKAGES) <= set(page.versions)
    write("simulations", page, tmp_path / "page")
    text = (tmp_path / "page" / "simulations.md").read_text()
    assert f"{ours['RMSE']:.3f}" in text
    assert "python -m benchmarks simulations --sets 2" in text


@pytest.mark.parametrize(
    "name", ["thinning", "yeast", "simulations", "null", "hidden", "generative", "reference", "cost"]
)
def test_the_door_knows_every_page(name: str):
    assert callable(getattr(pages, name))
    assert name in NAMES
    assert name in (ROOT / "benchmarks" / "__main__.py").read_text().split('"""')[1]


def test_an_unknown_name_is_refused():
    asked = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 2
    assert "invalid choice: 'nothing'" in asked.stderr
