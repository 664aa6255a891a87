"""Each score against its definition in a slow loop, or against a table small enough to count by hand."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

_path = Path(__file__).parents[2] / "benchmarks" / "scores.py"  # benchmarks is not an installed package
scores = SimpleNamespace(**runpy.run_path(str(_path)))

NAN = np.nan


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_gene_without_an_adjusted_p_value_or_at_the_level_itself_is_not_called():
    assert scores.called(np.array([0.049, 0.05, NAN, 0.0]), 0.05).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("calls", "status", "fdp", "tpr"),
    [
        pytest.param([1, 1, 1, 0], [1, 0, 1, 1], 1 / 3, 2 / 3, id="counted by hand"),
        pytest.param([1, 1, 1, 0], [1, 0, -1, 1], 1 / 2, 1 / 2, id="a gene not to be judged does not count"),
        pytest.param([0, 0, 0, 0], [1, 0, 1, 1], 0, 0, id="no call is no false discovery"),
        pytest.param([1, 0, 0, 0], [0, 0, 0, 0], 1, NAN, id="nothing to find"),
    ],
)
def test_fdp_and_tpr(calls, status, fdp, tpr):
    calls, status = np.array(calls, dtype=bool), np.array(status)
    np.testing.assert_allclose([scores.fdp(calls, status), scores.tpr(calls, status)], [fdp, tpr])


def best_tpr_by_trying_every_cut(score, status, level):
    best = 0.0
    for cut in score[np.isfinite(score)]:
        above = [k for k in range(len(score)) if score[k] <= cut and status[k] >= 0]
        false = sum(status[k] == 0 for k in above)
        if above and false <= level * len(above) + 1e-9:
            best = max(best, sum(status[k] == 1 for k in above) / sum(status == 1))
    return best


@pytest.mark.parametrize("level", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_tpr_at_fdp_is_the_best_cut_of_the_ranking(level, seed):
    rng = np.random.default_rng(seed)
    status = rng.integers(-1, 2, size=60)
    score = rng.integers(0, 15, size=60) / 15 + 0.3 * (status == 0)  # many ties
    score[rng.random(60) < 0.2] = NAN
    expected = best_tpr_by_trying_every_cut(score, status, level)
    assert scores.tpr_at_fdp(score, status, level) == pytest.approx(expected)


def test_tpr_at_fdp_takes_ties_together_in_any_gene_order():
    status = np.array([1, 1, 0, 1])
    score = np.array([0.1, 0.2, 0.2, 0.3])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        # the tie at 0.2 brings its null: 1 of 3 false, then 1 of 4
        assert scores.tpr_at_fdp(score[order], status[order], 0.05) == pytest.approx(1 / 3)
        assert scores.tpr_at_fdp(score[order], status[order], 0.25) == pytest.approx(1)


def test_tpr_at_fdp_goes_beyond_a_null_that_leads_the_ranking():
    status = np.array([0] + [1] * 19 + [0] * 5)
    assert scores.tpr_at_fdp(np.arange(25.0), status, 0.05) == 1
    assert scores.tpr_at_fdp(np.arange(25.0), status, 0.04) == 0


def test_genes_without_a_score_cannot_be_found_at_any_level():
    assert scores.tpr_at_fdp(np.array([NAN, NAN, 0.1]), np.array([1, 1, 1]), 1.0) == pytest.approx(1 / 3)
    assert np.isnan(scores.tpr_at_fdp(np.array([0.1, 0.2]), np.array([0, -1]), 0.05))


def test_rmse_and_slope_leave_genes_without_an_estimate_out(rng):
    log_fc = rng.normal(size=30)
    estimate = 0.25 + 0.5 * log_fc
    estimate[3], log_fc[5] = NAN, NAN
    errors = [(e - t) ** 2 for e, t in zip(estimate, log_fc, strict=True) if np.isfinite(e) and np.isfinite(t)]
    assert scores.rmse(estimate, log_fc) == pytest.approx(np.sqrt(sum(errors) / len(errors)))
    assert scores.slope(estimate, log_fc) == pytest.approx(0.5)


def test_slope_is_that_of_a_least_squares_line(rng):
    log_fc, noise = rng.normal(size=(2, 40))
    assert scores.slope(log_fc + noise, log_fc) == pytest.approx(stats.linregress(log_fc, log_fc + noise).slope)
    assert np.isnan(scores.slope(noise, np.zeros(40)))


def test_coverage_counts_the_ends_in_and_missing_intervals_out():
    low, high = np.array([-1, 0, 0.5, NAN, -1]), np.array([1, 0, 1, 1, 1])
    truth = np.array([0.5, 0, 0.4, 0, NAN])
    assert scores.coverage(low, high, truth) == pytest.approx(2 / 3)


def test_coverage_by_decile_follows_expression_and_not_gene_order(rng):
    base_mean = rng.permutation(50).astype(float)
    truth = np.zeros(50)
    low = np.where(base_mean < 10, 1.0, -1.0)  # the lowest fifth of the genes misses
    found = scores.coverage_by_decile(low, np.full(50, 2.0), truth, base_mean)
    assert found.tolist() == [0.0] * 2 + [1.0] * 8


def test_coverage_by_decile_shares_out_tied_and_unround_numbers_of_genes():
    found = scores.coverage_by_decile(np.full(23, -1.0), np.full(23, 1.0), np.zeros(23), np.ones(23))
    assert found.tolist() == [1.0] * 10


def test_sign_error_holds_null_genes_and_wrong_signs_against_the_sure_ones():
    lfsr = np.array([0.01, 0.01, 0.01, 0.01, 0.2, NAN, 0.01])
    estimate = np.array([1, -1, 1, 0.0, -1, -1, 1])
    log_fc = np.array([2, 2, 0, 2, 2, 2, 2.0])
    status = np.array([1, 1, 0, 1, 1, 1, -1])
    assert scores.sign_error(estimate, lfsr, log_fc, status, 0.05) == pytest.approx(3 / 4)


def test_a_null_of_the_consensus_is_a_sign_error_whatever_its_reference_effect():
    one = np.ones(1)
    assert scores.sign_error(one, 0 * one, 0.01 * one, np.array([0]), 0.05) == 1


def test_null_share_counts_only_null_genes_with_a_p_value():
    p_value = np.array([0.001, 0.04, 0.5, NAN, 0.001])
    status = np.array([0, 0, 0, 0, 1])
    assert scores.null_share(p_value, status, 0.01) == pytest.approx(1 / 3)
    assert scores.null_share(p_value, status, 0.05) == pytest.approx(2 / 3)


def test_normal_intervals_use_student_t_where_df_are_given():
    estimate, se = np.array([1.0, 1.0]), np.array([0.5, 0.5])
    low, high = scores.normal_intervals(estimate, se, np.array([4.0, NAN]))[0.95]
    np.testing.assert_allclose(high - 1, [0.5 * stats.t.ppf(0.975, 4), 0.5 * stats.norm.ppf(0.975)])
    np.testing.assert_allclose(1 - low, high - 1)


def test_binomial_error_is_that_of_many_draws(rng):
    shares = rng.binomial(200, 0.4, size=20_000) / 200
    assert scores.binomial_se(0.4, 200) == pytest.approx(shares.std(), rel=0.03)


def test_score_judges_a_small_table_by_hand():
    genes = ["a", "b", "c", "d"]
    truth = pd.DataFrame({"log_fc": [1.0, 0.0, -2.0, 0.0], "status": [1, 0, 1, 0], "base_mean": [20, 20, 5, 20]}, genes)
    table = pd.DataFrame(
        {
            "log_fc": [0.5, 0.1, -1.0, NAN],
            "p_value": [0.001, 0.004, 0.02, NAN],
            "adj_p_value": [0.004, 0.02, 0.06, NAN],
            "lfsr": [0.01, 0.03, 0.02, 0.5],
            "s_value": [0.01, 0.02, 0.015, 0.2],
        },
        genes,
    )
    low = table["log_fc"].to_numpy() - 0.5
    high = low + 1
    low[1] = 0.05  # misses 0
    found = scores.score(table, truth, {"interval": {0.95: (low, high)}})
    expected = {
        "p_fdr_1": 0, "p_fdr_5": 1 / 2, "p_fdr_10": 1 / 3,
        "p_tpr_1": 1 / 2, "p_tpr_5": 1 / 2, "p_tpr_10": 1,
        "p_calls_5": 2, "p_calls_10": 3, "p_tpr_at_fdp_5": 1 / 2,
        "s_fdr_5": 1 / 3, "s_tpr_5": 1, "s_calls_5": 3, "s_tpr_at_fdp_5": 1,
        "null_p_below_1": 1, "null_p_n": 1, "sign_error_5": 1 / 3, "sign_error_n": 3,
        "rmse_all": np.sqrt((0.5**2 + 0.1**2 + 1) / 3), "rmse_expressed": np.sqrt((0.5**2 + 0.1**2) / 2), "rmse_changed": 0.5, "no_estimate": 1 / 4,
        "interval_95": 1 / 3, "interval_95_called": 1 / 2, "interval_95_changed": 1 / 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_score_refuses_a_table_of_other_genes():
    truth = pd.DataFrame({"log_fc": [0.0, 0.0], "status": [0, 0], "base_mean": [1.0, 1.0]}, ["a", "b"])
    with pytest.raises(ValueError, match="same genes in the same order"):
        scores.score(truth.iloc[::-1], truth)
