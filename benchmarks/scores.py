"""From a table of differential expression and a truth to numbers.

Everywhere: ``status`` is 1 for a changed gene, 0 for a null gene and -1 for one that is not to be judged; effects are log
base 2; NaN in a table is "no answer" and counts as such (not called, ranked last, an interval that is not there). A share of
an empty set is NaN, but the false discovery proportion of no call is 0.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

CALL_LEVELS = (0.01, 0.05, 0.10)
INTERVAL_LEVELS = (0.50, 0.80, 0.95)
EXPRESSED = 10.0
"""A gene counts as expressed from this mean normalised count on."""

Intervals = Mapping[float, tuple[np.ndarray, np.ndarray]]
"""Credible or confidence level -> (low, high)."""


def called(adjusted: np.ndarray, level: float) -> np.ndarray:
    """Genes whose adjusted p-value or s-value is below ``level``; NaN is not called."""
    return np.nan_to_num(np.asarray(adjusted, dtype=float), nan=np.inf) < level


def fdp(calls: np.ndarray, status: np.ndarray) -> float:
    """False discovery proportion: null share of the called genes that can be judged; 0 without a call."""
    false, true = np.sum(calls & (status == 0)), np.sum(calls & (status == 1))
    return float(false / max(false + true, 1))


def tpr(calls: np.ndarray, status: np.ndarray) -> float:
    """Share of the changed genes that is called; a changed gene without an answer is missed."""
    return _mean(calls[status == 1])


def tpr_at_fdp(score: np.ndarray, status: np.ndarray, level: float) -> float:
    """Largest share of changed genes above any cut of the ranking at which the false discovery proportion is <= ``level``.

    Parameters
    ----------
    score
        Smaller is stronger (p-value, lfsr). Genes with the same score stand on the same side of every cut; NaN genes are
        below every cut.
    """
    judged = np.isfinite(score) & (status >= 0)
    n_changed = np.sum(status == 1)
    if n_changed == 0:
        return np.nan
    cuts, cut_of_gene = np.unique(score[judged], return_inverse=True)
    true = np.bincount(cut_of_gene, weights=status[judged] == 1, minlength=cuts.size).cumsum()
    total = np.bincount(cut_of_gene, minlength=cuts.size).cumsum()
    allowed = (total - true) <= level * total + 1e-9
    return float(true[allowed].max() / n_changed) if allowed.any() else 0.0


def rmse(estimate: np.ndarray, log_fc: np.ndarray) -> float:
    """Root mean squared error over the genes with an estimate and a known effect."""
    return float(np.sqrt(_mean((estimate - log_fc)[np.isfinite(estimate) & np.isfinite(log_fc)] ** 2)))


def slope(estimate: np.ndarray, log_fc: np.ndarray) -> float:
    """Least-squares slope (with intercept) of the estimate on the true effect: 1 is unbiased, below 1 is shrunken."""
    both = np.isfinite(estimate) & np.isfinite(log_fc)
    x, y = log_fc[both], estimate[both]
    if x.size < 2 or np.ptp(x) == 0:
        return np.nan
    x = x - x.mean()
    return float(x @ y / (x @ x))


def coverage(low: np.ndarray, high: np.ndarray, log_fc: np.ndarray) -> float:
    """Share of the intervals that hold the true effect (ends included), over the genes with an interval and a known effect."""
    there = np.isfinite(low) & np.isfinite(high) & np.isfinite(log_fc)
    return _mean(((low <= log_fc) & (log_fc <= high))[there])


def coverage_by_decile(
    low: np.ndarray, high: np.ndarray, log_fc: np.ndarray, base_mean: np.ndarray, n_bins: int = 10
) -> np.ndarray:
    """``coverage`` within equal shares of the genes, from the lowest ``base_mean`` to the highest."""
    rank = stats.rankdata(base_mean, method="ordinal") - 1
    decile = rank * n_bins // rank.size
    return np.array([coverage(low[decile == k], high[decile == k], log_fc[decile == k]) for k in range(n_bins)])


def sign_error(estimate: np.ndarray, lfsr: np.ndarray, log_fc: np.ndarray, status: np.ndarray, level: float) -> float:
    """Share of the judged genes with lfsr < ``level`` whose estimate has not the sign of the true effect; a null gene is an error."""
    sure = called(lfsr, level) & (status >= 0)
    return _mean((np.sign(estimate) != np.where(status == 0, 0.0, np.sign(log_fc)))[sure])


def null_share(p_value: np.ndarray, status: np.ndarray, below: float) -> float:
    """Share of the null genes with a p-value whose p-value is under ``below``: ``below`` itself if calibrated."""
    return _mean((p_value < below)[(status == 0) & np.isfinite(p_value)])


def normal_intervals(estimate: np.ndarray, se: np.ndarray, df: np.ndarray | float = np.inf) -> dict[float, tuple]:
    """``estimate -+ quantile * se`` at ``INTERVAL_LEVELS``, normal, or Student's t where ``df`` is finite."""
    df = np.nan_to_num(np.broadcast_to(np.asarray(df, dtype=float), np.shape(estimate)), nan=np.inf)
    half = {level: stats.t.ppf(0.5 + level / 2, df) * se for level in INTERVAL_LEVELS}
    return {level: (estimate - width, estimate + width) for level, width in half.items()}


def binomial_se(share: float, n: float) -> float:
    """Standard error of a share observed in ``n`` independent trials."""
    return float(np.sqrt(share * (1 - share) / n)) if n > 0 else np.nan


def score(
    table: pd.DataFrame, truth: pd.DataFrame, intervals: Mapping[str, Intervals] | None = None
) -> dict[str, float]:
    """Every number about one table.

    Parameters
    ----------
    table
        Indexed as ``truth``; those of ``log_fc, log_fc_mle, p_value, adj_p_value, lfsr, s_value`` that it has are judged.
    truth
        ``log_fc``, ``status``, ``base_mean``, one row a gene.
    intervals
        Name in the result (``"interval"``, ``"mle_interval"``) -> intervals.

    Returns
    -------
    ``p_*`` judges calls by ``adj_p_value`` and ranks by ``p_value``; ``s_*`` calls by ``s_value`` and ranks by ``lfsr``.
    ``*_fdr_5`` is the false discovery proportion of this data set at nominal 5 %, to be averaged over data sets.
    Errors of effects are given over all genes (``_all``), the expressed ones, and the expressed and changed ones.
    Shares carry their number of genes in ``*_n`` where a binomial error may be asked of them.
    """
    if not table.index.equals(truth.index):
        raise ValueError(
            "`table` and `truth` must have the same genes in the same order; use table.reindex(truth.index)."
        )
    status, log_fc = truth["status"].to_numpy(), truth["log_fc"].to_numpy(dtype=float)
    expressed = truth["base_mean"].to_numpy() >= EXPRESSED
    changed = status == 1
    found: dict[str, float] = {}
    for prefix, by, ranking in (("p", "adj_p_value", "p_value"), ("s", "s_value", "lfsr")):
        if by not in table:
            continue
        for level in CALL_LEVELS:
            calls = called(table[by].to_numpy(), level)
            found[f"{prefix}_fdr_{_percent(level)}"] = fdp(calls, status)
            found[f"{prefix}_tpr_{_percent(level)}"] = tpr(calls, status)
            found[f"{prefix}_calls_{_percent(level)}"] = float(calls.sum())
        found[f"{prefix}_tpr_at_fdp_5"] = tpr_at_fdp(table[ranking].to_numpy(dtype=float), status, 0.05)
    if "p_value" in table:
        p_value = table["p_value"].to_numpy(dtype=float)
        found["null_p_below_1"] = null_share(p_value, status, 0.01)
        found["null_p_below_5"] = null_share(p_value, status, 0.05)
        found["null_p_n"] = float(np.sum((status == 0) & np.isfinite(p_value)))
    if "lfsr" in table:
        lfsr = table["lfsr"].to_numpy(dtype=float)
        found["sign_error_5"] = sign_error(table["log_fc"].to_numpy(), lfsr, log_fc, status, 0.05)
        found["sign_error_n"] = float(np.sum(called(lfsr, 0.05) & (status >= 0)))
    for prefix, column in (("", "log_fc"), ("mle_", "log_fc_mle")):
        if column in table:
            estimate = table[column].to_numpy(dtype=float)
            found[f"{prefix}rmse_all"] = rmse(estimate, log_fc)
            found[f"{prefix}rmse_expressed"] = rmse(estimate[expressed], log_fc[expressed])
            found[f"{prefix}rmse_changed"] = rmse(estimate[changed & expressed], log_fc[changed & expressed])
            found[f"{prefix}slope_expressed"] = slope(estimate[expressed], log_fc[expressed])
            found[f"{prefix}slope_changed"] = slope(estimate[changed & expressed], log_fc[changed & expressed])
            found[f"{prefix}no_estimate"] = _mean(~np.isfinite(estimate))
    own_calls = called(table["adj_p_value"].to_numpy(), 0.05) if "adj_p_value" in table else np.zeros(status.size, bool)
    for name, by_level in (intervals or {}).items():
        for level, (low, high) in by_level.items():
            among = {"": np.ones(status.size, bool), "_called": own_calls, "_changed": changed}
            for subset, mask in among.items():
                found[f"{name}_{_percent(level)}{subset}"] = coverage(low[mask], high[mask], log_fc[mask])
            deciles = coverage_by_decile(low, high, log_fc, truth["base_mean"].to_numpy())
            found |= {f"{name}_{_percent(level)}_decile_{k}": float(c) for k, c in enumerate(deciles, start=1)}
    return found


def _percent(level: float) -> int:
    return round(100 * level)


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if np.size(values) else np.nan
