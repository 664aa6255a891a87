"""Every method on data sets of two groups: judged alike, from the cache the second time."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmarks import python_methods, two_groups
from benchmarks.calibration_scenarios import with_known_effects
from benchmarks.peers import CountData, PeerResult
from bulkvi.datasets import simulate


@pytest.fixture(scope="module")
def data() -> CountData:
    adata = simulate(n_per_group=4, n_genes=300, seed=3)
    counts = pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)
    group = (adata.obs["group"] == "B").to_numpy().astype(int)
    return with_known_effects("clean/yeast/n4/seed0", counts, group, adata.var["true_log_fc"].to_numpy())


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(python_methods, "CACHE", tmp_path)
    return tmp_path / "python"


def test_an_answer_is_computed_once(data, empty_cache, monkeypatch):
    first = python_methods.answer(data, "bulkvi")
    assert len(list(empty_cache.iterdir())) == 1
    monkeypatch.setitem(python_methods.RUN, "bulkvi", None)  # would fail if it were called
    second = python_methods.answer(data, "bulkvi")
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.cpu_seconds == second.cpu_seconds > 0
    assert set(second.versions) == set(python_methods.PACKAGES)


def test_the_truth_as_an_answer_has_no_error(data):
    truth = data.truth
    assert truth is not None
    table = pd.DataFrame(
        {"log_fc": truth["log_fc"], "log_fc_low": truth["log_fc"] - 0.1, "log_fc_high": truth["log_fc"] + 0.1}
    )
    table["p_value"] = table["adj_p_value"] = np.where(truth["status"] == 1, 1e-6, 0.9)
    found = two_groups.judge(data, PeerResult(table, 1.0, {}))
    assert found["FDR"] == 0
    assert found["TPR"] == found["TPR at 5 % FDP"] == found["coverage"] == 1
    assert found["RMSE"] == found["RMSE, all genes"] == 0


def test_without_p_values_the_s_value_calls(data):
    truth = data.truth
    assert truth is not None
    sure = np.where(truth["status"] == 1, 0.01, 0.4)
    table = pd.DataFrame(
        {"log_fc": truth["log_fc"], "p_value": np.nan, "adj_p_value": np.nan, "lfsr": sure, "s_value": sure}
    )
    table["log_fc_low"], table["log_fc_high"] = table["log_fc"], table["log_fc"]
    found = two_groups.judge(data, PeerResult(table, 1.0, {}))
    assert found["TPR"] == 1
    assert found["FDR"] == 0
    assert "null p < .05" not in found


def test_panels_are_the_same_for_the_same_seed():
    first, second = two_groups.panel(3, 0), two_groups.panel(3, 0)
    pd.testing.assert_frame_equal(first.counts, second.counts)
    assert not first.counts.equals(two_groups.panel(3, 1).counts)
    assert first.counts.shape[1] <= two_groups.PANEL["n_genes"]


def trend_of_dispersions(counts: np.ndarray) -> float:
    """Rank correlation of moment dispersions and means, in standard errors."""
    depth = counts.sum(axis=1) / counts.sum(axis=1).mean()
    mean, variance = (counts / depth[:, None]).mean(axis=0), (counts / depth[:, None]).var(axis=0, ddof=1)
    seen = mean > 5
    dispersion = (variance - mean * (1 / depth).mean())[seen] / mean[seen] ** 2
    return spearmanr(mean[seen], dispersion).statistic * np.sqrt(seen.sum())


def test_dispersions_of_a_panel_follow_no_trend_and_those_of_its_genes_before_the_exchange_do():
    """Eight panels of 400 samples together."""
    of_panels, before = [], []
    for seed in range(8):
        data = two_groups.panel(400, seed)
        of_panels.append(trend_of_dispersions(data.counts.to_numpy(float)[np.asarray(data.group) == 0]))
        adata = simulate(n_per_group=400, trend="gse60450", seed=seed, **two_groups.PANEL)  # type: ignore[arg-type]
        before.append(trend_of_dispersions(np.asarray(adata.X, dtype=float)[(adata.obs["group"] == "A").to_numpy()]))
    assert abs(np.sum(of_panels)) / np.sqrt(8) < 3
    assert np.sum(before) / np.sqrt(8) < -3
