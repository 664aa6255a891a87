"""Scores of predicted power."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import power


def test_a_row_says_whether_the_range_held():
    predicted = list(np.linspace(0.4, 0.6, 9))
    row = power._row("yeast 0", 6, "share above 0.5", 0.55, predicted)
    assert row["predicted"] == pytest.approx(0.5)
    assert row["held"]
    assert row["close"]
    far = power._row("yeast 0", 6, "share above 0.5", 0.7, predicted)
    assert not far["held"]
    assert not far["close"]


def test_counts_and_means_over_the_sets():
    rows = [power._row(f"yeast {i}", 6, "calls", 0.5 + 0.2 * i, [0.4, 0.6] * 5) for i in range(2)]
    table = power.summarise(pd.DataFrame(rows))
    assert table["sets"].tolist() == [2]
    assert table["held"].tolist() == [1]
    assert table["error"].tolist() == pytest.approx([-0.1])


def test_pilot_and_future_studies_are_disjoint(data_dir, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    case = next(power.geuvadis_cases(1))
    samples = [sample for counts, _ in case.studies.values() for sample in counts.index]
    assert len(samples) == len(set(samples)) == 2 * (3 + 6 + 10)
    assert set(case.truth["status"]) == {0, 1}
