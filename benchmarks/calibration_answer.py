"""What bulkvi answers about two groups, and every number by which it and the peers are judged."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import ndtr

from benchmarks.cache import ANSWER, code_digest, package_code
from benchmarks.peers import CACHE, METHODS, CountData, PeerResult, content_key, run_peers
from benchmarks.scores import INTERVAL_LEVELS, normal_intervals, score
from bulkvi.regression.effect_table import estimate_contrast
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.effects.effect import EffectLikelihood
from bulkvi.stats.effects.noise_inflation import noise_inflation
from bulkvi.stats.genes import effect_ridge, fit_genes
from bulkvi.stats.outliers.outliers import Outliers
from bulkvi.stats.outliers.suspected import Suspected
from bulkvi.study.size_factors import SizeFactorSource
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign

OURS = CACHE.with_name("ours")
CODE = (*package_code(*ANSWER), Path(__file__).with_name("scores.py"))
PROTOCOL = "5"
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
    regression = regressed(data, outliers=outliers)
    weights = pd.Series({regression.features.columns[-1]: 1.0})
    sides = (np.asarray(data.group) == 1, np.asarray(data.group) == 0)
    located = regression.recentred(weights, None, sides)
    given = {"sides": sides, "subtract": True, "located": located, "expected": regression.expected_alone}
    summaries = {level: estimate_contrast(regression, weights, **given, level=level).summary for level in levels}
    found, unit = summaries[max(levels)], np.log(2)
    columns = {"base_mean": regression.base_mean, "log_fc": found.mean / unit, "log_fc_sd": found.sd / unit}
    columns |= {"log_fc_mle": found.mle / unit, "log_fc_se": found.se / unit, "stat": found.stat}
    columns |= {name: getattr(found, name) for name in ("p_value", "adj_p_value", "lfsr", "s_value", "prob_effect")}
    table = pd.DataFrame(columns, index=data.counts.columns)
    effect, inflation = located[0].effect, regression.inflation
    centred = effect.shifted(found.shift.shift)
    intervals = {
        "interval": {level: (one.low / unit, one.high / unit) for level, one in summaries.items()},
        "mle_interval": {level: tuple(end / unit for end in mixture_interval(centred, level)) for level in levels},
        "mle_z_interval": normal_intervals(found.mle / unit, found.se / unit),
    }
    opposite = (found.mean * found.mle < 0) & (np.abs(found.mean) > 1e-3 * found.se)
    about = {
        "shift": found.shift.shift / unit,
        "null_share": found.null_share,
        "outlier_share": float(regression.outliers.dropped.mean()),
        "inflation_sd": float(
            np.sqrt(inflation.weight @ (inflation.factor - inflation.weight @ inflation.factor) ** 2)
        ),
        "opposite_sign": float(opposite.sum()),
        "beyond_mle": float(np.max(np.abs(found.mean) - np.abs(found.mle))) / unit,
        "not_converged": float((~regression.fit.nodes.converged).sum()),
    }
    return Answer(table, intervals, about)


def regressed(data: CountData, *, outliers: bool = True) -> GeneRegression:
    """Regressions on intercept, covariates and group, with size factors of all genes; without the search for outlying counts if wished."""
    counts = data.counts.to_numpy(dtype=float)
    parts = [] if data.covariates is None else [data.covariates.reset_index(drop=True).astype(float)]
    intercept, group = pd.Series(np.ones(len(counts)), name="Intercept"), pd.Series(data.group, name="group")
    features = pd.concat([intercept, *parts, group.reset_index(drop=True).astype(float)], axis=1)
    size_factors = median_of_ratios(counts).size_factors
    if outliers:
        obs = pd.DataFrame({"size_factor": size_factors}, index=features.index.astype(str))
        adata = AnnData(counts, obs=obs)
        study = Study(adata, StudyDesign(adata), "size_factor", SizeFactorSource("median_of_ratios"))
        return regress_genes(study, features)
    offset, n = np.log(size_factors), len(counts)
    fit = fit_genes(counts, features.to_numpy(), offset=offset, ridge=effect_ridge(features.to_numpy()))
    inflation = noise_inflation(counts, features.to_numpy(), offset, fit)
    none = Suspected(np.zeros(0, dtype=int), np.zeros((n, 0), dtype=bool))
    unsearched = Outliers(
        np.ones(counts.shape), np.zeros(counts.shape, bool), 0.0, np.zeros(n, bool), np.zeros(n, bool), none
    )
    return GeneRegression(counts, offset, features, unsearched, fit, inflation)


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
    code = PROTOCOL + code_digest(CODE)
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
