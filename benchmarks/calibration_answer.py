"""What bulkvi answers about two groups, and every number by which it and the peers are judged."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

import bulkvi
from benchmarks.calibration_scenarios import MIN_COUNTS
from benchmarks.peers import CACHE, METHODS, CountData, PeerResult, content_key, run_peers
from benchmarks.scores import INTERVAL_LEVELS, normal_intervals, score
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.effects.effect import EffectLikelihood, effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.effects.summary import composition_shift, summarise_effect
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.outliers.outliers import find_outliers

OURS = CACHE.with_name("ours")
CODE = [*sorted(Path(bulkvi.__file__).parent.joinpath("stats").glob("*.py")), Path(__file__).with_name("scores.py")]
PROTOCOL = "4"
"""Part of every key in `OURS`: raise it when `answer` or `scored` computes something else."""


class Answer(NamedTuple):
    """What bulkvi says about the last design column of one data set, in log2."""

    table: pd.DataFrame
    intervals: dict[str, dict[float, tuple[np.ndarray, np.ndarray]]]
    about: dict[str, float]


def answer(data: CountData, levels: Sequence[float] = INTERVAL_LEVELS, *, outliers: bool = True) -> Answer:
    """Counts to the table of the group's effect: size factors, outliers, regressions, shrinkage.

    ``mle_interval`` are quantiles of the likelihood, a mixture of normals over the dispersion: the interval that holds
    0 exactly where the p-value says so. ``mle_z_interval`` is what a reader of the table can compute, estimate -+ z se;
    se is the mixture's standard deviation, tails included, so that this one is too wide at 50 % and right at 95 %.
    """
    counts = data.counts.to_numpy(dtype=float)
    covariates = [] if data.covariates is None else [data.covariates.to_numpy(dtype=float)]
    features = np.column_stack([np.ones(len(counts)), *covariates, data.group]).astype(float)
    contrast = np.eye(features.shape[1])[-1]
    offset, ridge = np.log(median_of_ratios(counts).size_factors), effect_ridge(features)
    weights = find_outliers(counts, features, offset=offset, ridge=ridge).weight if outliers else None
    weights = None if weights is None or (weights == 1).all() else weights
    fit = fit_genes(counts, features, offset=offset, ridge=ridge, weights=weights)
    inflation = noise_inflation(counts, features, offset, fit)
    given = {"offset": offset, "ridge": ridge, "weights": weights}
    raw = effect_likelihood(fit.nodes, contrast)
    settled = handle_separation(raw, counts, features, contrast, fit, **given)
    shift = composition_shift(settled.effect, counts.sum(0) >= MIN_COUNTS)
    if shift.shift:
        settled = handle_separation(raw, counts, features, contrast, fit, null=shift.shift, **given)
    effect = settled.effect
    unit = np.log(2)
    tested = counts.any(0)
    options = {"log_p": settled.log_p, "tested": tested, "inflation": inflation, "shift": shift}
    summaries = {level: summarise_effect(effect, level=level, **options) for level in levels}
    found = summaries[max(levels)]
    columns = {"base_mean": fit.base_mean, "log_fc": found.mean / unit, "log_fc_sd": found.sd / unit}
    columns |= {"log_fc_mle": found.mle / unit, "log_fc_se": found.se / unit, "stat": found.stat}
    columns |= {name: getattr(found, name) for name in ("p_value", "adj_p_value", "lfsr", "s_value", "prob_effect")}
    table = pd.DataFrame(columns, index=data.counts.columns)
    centred = effect._replace(estimate=effect.estimate - found.shift.shift)
    intervals = {
        "interval": {level: (one.low / unit, one.high / unit) for level, one in summaries.items()},
        "mle_interval": {level: tuple(end / unit for end in mixture_interval(centred, level)) for level in levels},
        "mle_z_interval": normal_intervals(found.mle / unit, found.se / unit),
    }
    opposite = (found.mean * found.mle < 0) & (np.abs(found.mean) > 1e-3 * found.se)
    about = {
        "shift": found.shift.shift / unit,
        "null_share": found.null_share,
        "outlier_share": 0.0 if weights is None else float((weights < 0.5).mean()),
        "inflation_sd": float(
            np.sqrt(inflation.weight @ (inflation.factor - inflation.weight @ inflation.factor) ** 2)
        ),
        "opposite_sign": float(opposite.sum()),
        "beyond_mle": float(np.max(np.abs(found.mean) - np.abs(found.mle))) / unit,
        "not_converged": float((~fit.nodes.converged).sum()),
    }
    return Answer(table, intervals, about)


def mixture_interval(effect: EffectLikelihood, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Central quantiles of ``sum_k weight_k N(estimate_k, se_k^2)`` of each gene, by bisection."""
    ends = []
    for target in ((1 - level) / 2, (1 + level) / 2):
        low = (effect.estimate - 12 * effect.se).min(0)
        high = (effect.estimate + 12 * effect.se).max(0)
        for _ in range(50):
            middle = (low + high) / 2
            below = (effect.weight * ndtr((middle - effect.estimate) / effect.se)).sum(0) < target
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        ends.append((low + high) / 2)
    return ends[0], ends[1]


def scored(data: CountData, found: Answer) -> dict[str, float]:
    """Every number about one answer; ``zero_error`` is where unchanged expressed genes lie (log2, median)."""
    truth = _truth(data)
    numbers = score(found.table, truth, found.intervals) | found.about
    still = ((truth["status"] == 0) & (truth["base_mean"] >= 10)).to_numpy()
    estimate = found.table["log_fc_mle" if "log_fc_mle" in found.table else "log_fc"]
    return numbers | {"zero_error": float(estimate[still].median())}


def judge(
    datasets: Iterable[CountData], methods: Sequence[str] = METHODS, *, outliers: bool = True, only_cached: bool = False
) -> pd.DataFrame:
    """One row a data set and method: scenario, source, n, seed, method, and all numbers of `scored`.

    ``only_cached`` leaves out peers that R would have to be asked for.
    """
    rows = []
    stream = iter(datasets)
    code = hashlib.sha256(PROTOCOL.encode() + b"".join(path.read_bytes() for path in CODE)).hexdigest()[:12]
    while batch := list(islice(stream, 8)):
        asked = {d.name: [m for m in methods if not only_cached or is_cached(d, m)] for d in batch}
        peers: dict[tuple[str, str], PeerResult] = {}
        for wanted in {tuple(m) for m in asked.values() if m}:
            peers |= run_peers([d for d in batch if tuple(asked[d.name]) == wanted], wanted)
        for data in batch:
            scenario, source, n, seed = data.name.split("/")
            about = {"scenario": scenario, "source": source, "n": int(n[1:]), "seed": int(seed[4:])}
            status = _truth(data)["status"]
            about |= {"n_genes": status.size, "n_changed": int((status == 1).sum())}
            path = OURS / code / f"{content_key(data, f'ours outliers={outliers}')}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(scored(data, answer(data, outliers=outliers))))
            rows.append(about | {"method": "ours"} | json.loads(path.read_text()))
            for method in methods:
                if (data.name, method) in peers:
                    table = peers[data.name, method].table
                    interval = {"interval": normal_intervals(table["log_fc"], table["log_fc_se"], table["df"])}
                    rows.append(about | {"method": method} | scored(data, Answer(table, interval, {})))
    return pd.DataFrame(rows)


def _truth(data: CountData) -> pd.DataFrame:
    if data.truth is None:
        raise ValueError(f"{data.name} has no `truth` to be judged against.")
    return data.truth


def is_cached(data: CountData, method: str) -> bool:
    """Whether R has answered this before."""
    return (CACHE / f"{content_key(data, method)}.npz").exists()
