"""The arithmetic of the calibration benchmark, and what it must show on a few data sets."""

import importlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bulkvi.stats.effects.effect import EffectLikelihood, wald_p_value

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        names = ("calibration", "calibration_answer", "calibration_tables", "calibration_scenarios", "peers")
        yield SimpleNamespace(**{name: importlib.import_module(f"benchmarks.{name}") for name in names})


def mixture() -> EffectLikelihood:
    estimate = np.array([[1.0, 0.3], [1.1, 0.5], [1.3, 0.7]])
    se = np.array([[0.2, 0.1], [0.4, 0.2], [0.8, 0.5]])
    return EffectLikelihood(estimate, se, np.array([[0.2, 0.3], [0.5, 0.4], [0.3, 0.3]]))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_interval_of_a_mixture_leaves_equal_tails(bench, level):
    effect = mixture()
    for end, tail in zip(bench.calibration_answer.mixture_interval(effect, level), (-1, 1), strict=True):
        beyond = (effect.weight * stats.norm.sf(tail * (end - effect.estimate) / effect.se)).sum(0)
        np.testing.assert_allclose(beyond, (1 - level) / 2, atol=1e-10)


def test_interval_of_a_mixture_ends_at_zero_where_the_p_value_is_one_minus_its_level(bench):
    effect = mixture()
    for gene, p_value in enumerate(wald_p_value(effect)):
        low, _ = bench.calibration_answer.mixture_interval(effect, 1 - p_value)
        assert low[gene] == pytest.approx(0, abs=1e-9)


def two_groups(bench: SimpleNamespace, n: int = 4, n_genes: int = 300) -> Any:
    return bench.calibration_scenarios.simulated("clean", "yeast", n, seed=3, n_genes=n_genes)


def test_the_answer_is_about_the_last_column_and_not_about_a_covariate(bench, rng):
    data = two_groups(bench)
    plain = bench.calibration_answer.answer(data, (0.95,)).table
    batch = np.tile([0, 1], 4)
    counts = data.counts + 0
    counts.loc[batch == 1, counts.columns[:100]] *= 3
    covariates = pd.DataFrame({"batch": batch})
    with_batch = bench.peers.CountData("b", counts, data.group, covariates, data.truth)
    adjusted = bench.calibration_answer.answer(with_batch, (0.95,)).table
    strong = (data.truth["base_mean"] > 50).to_numpy()
    assert (adjusted["log_fc_mle"] - plain["log_fc_mle"])[strong].abs().median() < 0.1
    assert list(adjusted.index) == list(data.counts.columns)


def test_answers_of_ours_are_kept_until_the_data_change(bench, monkeypatch, tmp_path):
    asked: list = []
    answer = bench.calibration_answer.answer

    def counting(*given: Any, **options: Any) -> Any:
        asked.append(given)
        return answer(*given, **options)

    monkeypatch.setattr(bench.calibration_answer, "OURS", tmp_path)
    monkeypatch.setattr(bench.calibration_answer, "answer", counting)
    first = bench.calibration_answer.judge([two_groups(bench)], ())
    again = bench.calibration_answer.judge([two_groups(bench)], ())
    bench.calibration_answer.judge([two_groups(bench, 3)], ())
    bench.calibration_answer.judge([two_groups(bench)], (), outliers=False)
    assert len(asked) == 3
    pd.testing.assert_frame_equal(first, again)
    assert first.loc[0, ["scenario", "source", "n", "seed", "method"]].tolist() == ["clean", "yeast", 4, 3, "ours"]


def rows() -> pd.DataFrame:
    cells = {("clean", 3): [0.02, 0.05, 0.9], ("clean", 5): [0.01, 0.02, 0.03]}
    return pd.DataFrame(
        {"scenario": s, "source": "yeast", "n": n, "seed": k, "method": method, "fdr": value + extra, "calls": 100}
        for (s, n), values in cells.items()
        for k, value in enumerate(values)
        for method, extra in (("ours", 0.0), ("voom", 0.1), ("deseq2", -0.01))
    )


def test_a_promise_is_held_against_the_median_and_names_the_cell_furthest_out(bench):
    tables = bench.calibration_tables
    cells = tables.medians(rows(), "fdr")["ours"]
    broken = tables.promise("FDR", cells, high=0.04)
    assert broken.kept is False
    assert broken.found == "0.05 in clean/yeast/3; 1 of 2 outside"
    assert tables.promise("FDR", cells, 0.01, 0.05).kept is True
    assert tables.promise("FDR", cells, low=0.03).found.startswith("0.02 in clean/yeast/5")
    assert tables.promise("FDR", cells * np.nan, high=0.04).kept is None


def test_the_lead_is_over_the_best_peer_that_answered(bench):
    ahead = bench.calibration_tables.lead(rows(), "fdr")
    assert ahead.tolist() == pytest.approx([-0.1, -0.1])
    without = rows().query("method != 'voom'")
    assert bench.calibration_tables.lead(without, "fdr").tolist() == pytest.approx([0.01, 0.01])


def test_a_table_shows_median_mean_and_binomial_error(bench, capsys):
    tables = bench.calibration_tables
    tables.show("T", rows(), tables.columns("fdr", "FDR", "ours", "edger_ql", trials="calls"))
    printed = capsys.readouterr().out
    error = np.sqrt(0.02 * 0.98 / 300)
    assert "| scenario | source | n | sets | FDR ours | FDR edger_ql |" in printed
    assert f"| clean | yeast | 5 | 3 | 0.020 (0.020 ± {error:.3f}) | - |" in printed
    assert "| clean | yeast | 3 | 3 | 0.050 (0.323 ±" in printed


def test_a_digest_has_a_line_a_scenario_and_a_column_a_size(bench, capsys):
    tables = bench.calibration_tables
    tables.digest("D", rows(), tables.columns("fdr", "", "ours", "edger_ql", "voom"))
    printed = capsys.readouterr().out
    assert "### D: ours / edger_ql / voom" in printed
    assert "| scenario | n = 3 | n = 5 |" in printed
    assert "| clean | .050 / - / .150 | .020 / - / .120 |" in printed


def run(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, section: str, **options: object
) -> list:
    """The promises of a section without the peers."""
    calibration: ModuleType = bench.calibration
    found: list = []
    monkeypatch.setattr(bench.calibration_answer, "OURS", tmp_path)
    monkeypatch.setattr(bench.calibration_answer, "is_cached", lambda *_: False)
    monkeypatch.setattr(calibration, "print_promises", found.extend)
    calibration.SECTIONS[section](Namespace(how={"outliers": True, "only_cached": True}, **options))
    return found


@pytest.mark.slow
def test_simulated_effects_are_calibrated(bench, monkeypatch, tmp_path):
    """Medians over three data sets of each trend; what needs the peers is not measured here."""
    judge = bench.calibration.judge
    monkeypatch.setattr(bench.calibration, "judge", lambda *a, **k: judge(*a, **k).assign(source="both trends"))
    scenarios = ["clean", "t3", "low_depth", "depth_spread_4", "composition_60", "outliers_5"]
    found = run(bench, monkeypatch, tmp_path, "simulations", scenarios=scenarios, sizes=[3, 5, 10], seeds=3)
    assert not [p for p in found if p.kept is False]
    assert sum(p.kept is True for p in found) > 15


@pytest.mark.slow
def test_nothing_is_called_between_replicates_of_one_strain(bench, monkeypatch, tmp_path, data_dir):
    monkeypatch.setenv("BULKVI_DATA_DIR", str(data_dir))
    found = run(bench, monkeypatch, tmp_path, "null")
    assert len(found) == 4
    assert not [p for p in found if p.kept is False]
