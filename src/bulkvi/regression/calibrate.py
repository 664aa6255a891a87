"""Empirical false discovery rate of a comparison by permutation of the labels."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from bulkvi import calibration_names, names
from bulkvi.arguments import check_whole
from bulkvi.regression.calibration_report import CalibrationReport
from bulkvi.regression.composition_shift import resolve_shift
from bulkvi.regression.contrast import Contrast, group_contrast
from bulkvi.regression.effect_table import estimate_contrast
from bulkvi.regression.fit import GeneFit
from bulkvi.regression.permutation import MIN_PERMUTATIONS, find_exchange
from bulkvi.regression.reference import ReferenceVariation, deviation_alone
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.effects.effect import benjamini_hochberg
from bulkvi.stats.permutation import (
    CallCounts,
    EmpiricalFDR,
    MethodResult,
    count_calls,
    dissimilar,
    empirical_fdr,
    equal_cutoff,
    null_share,
    overlap,
    recalibrate,
    stack,
)
from bulkvi.stats.rank import aliased_columns
from bulkvi.study.groups import find_groups

THRESHOLDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Counts (samples x genes) and group (1 for group1, 0 for group2) to one p-value per gene."""


def calibrate(
    fit: GeneFit,
    groupby: str,
    group1: Any,
    group2: Any,
    *,
    within: str | Sequence[str] | None,
    n_permutations: int,
    seed: int,
    method: Method | None,
    composition_shift: bool | None,
    n_jobs: int,
    progress_bar: bool,
) -> CalibrationReport:
    """Estimate false discovery rates by permutation (:meth:`bulkvi.BulkVI.calibrate`)."""
    for name, number in (("n_permutations", n_permutations), ("n_jobs", n_jobs)):
        check_whole(name, number)
        if number < 1:
            raise ValueError(f"{name} is {number}; give 1 or more.")
    check_whole("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    study = fit.study
    study.check_unchanged()
    design, subtract = study.design, resolve_shift(study.source, given=composition_shift)
    compared = group_contrast(design, groupby, group1, group2)
    if method is None and not compared.weights.any():
        raise ValueError(
            f"The design does not tell {compared.label} apart, so there is no test to calibrate. Put {groupby!r} into "
            "the design of setup_anndata, or give a method."
        )
    groups = find_groups(design.obs, groupby, group1, group2)
    exchange = find_exchange(study, groupby, groups, within)
    permuted, n_distinct = exchange.draw(n_permutations, rng), exchange.n_distinct()
    if method is None:
        given: list[Any] = [design.code(exchange.permute(in_first)) for in_first in permuted]
        estimable = np.array([not aliased_columns(matrix.to_numpy()) for matrix in given])
        permuted, n_distinct = permuted[estimable], n_distinct - int((~estimable).sum())
        given = [matrix for matrix, good in zip(given, estimable, strict=True) if good]
        if len(given) < min(MIN_PERMUTATIONS, n_permutations):
            raise ValueError(
                f"Only {len(given)} of {estimable.size} permutations can be told from the other columns of the design. "
                "Exchange labels within the levels of those columns (within=None), or take them out of the design."
            )

        known = None if fit.reference is None else deviation_alone(fit.reference)

        def answer(matrix: Any) -> MethodResult:
            plain = regress_genes(study, matrix, reference=known)
            beside = fit.reference_variation
            return _scores(plain, compared, beside and replace(beside, plain=plain), subtract=subtract)

        data = _scores(fit.regression, compared, fit.reference_variation, subtract=subtract)
    else:
        given = list(permuted)
        answer = partial(_scores_of_method, method, study.counts[exchange.samples].astype(np.int64))
        data = answer(exchange.in_first)
    thresholds, calls = np.array(THRESHOLDS), data.calls(np.array(THRESHOLDS))
    cutoffs = np.array([equal_cutoff(data.p_value, int(n)) for n in calls])

    def work(one: Any) -> CallCounts:
        return count_calls(answer(one), thresholds, cutoffs, data.p_value)

    steps = track(
        _in_threads(work, given, n_jobs), "Permutations", total=len(given), disable=not progress_bar, transient=True
    )
    counted = stack(steps)
    shared = overlap(exchange.in_first, permuted, exchange.stratum)
    used = dissimilar(shared)
    unchanged = null_share(data.p_value, float(counted.n_above[used].mean()))
    share = np.repeat([unchanged if score == names.S_VALUE else 1.0 for score in data.scores], len(THRESHOLDS))
    fdr = empirical_fdr(calls, counted.null_calls, counted.calls, used=used, null_share=share, rng=rng)
    return CalibrationReport(
        contrast=compared.label,
        method="BulkVI" if method is None else getattr(method, "__name__", type(method).__name__),
        n_relabellings=len(given),
        n_distinct=n_distinct,
        within=tuple(exchange.within),
        null_share=unchanged,
        fdr=_fdr_table(data, calls, cutoffs, counted, used, fdr),
        relabellings=_permutation_table(data, counted, shared, used),
        genes=_gene_table(data, counted, used).set_index(study.genes.copy()),
    )


def _scores(
    regression: GeneRegression, compared: Contrast, beside: ReferenceVariation | None, *, subtract: bool
) -> MethodResult:
    """P-value, adjusted p-value and s-value of each gene, NaN without counts; beside the directions of a reference, if any."""
    if beside is None:
        estimated = estimate_contrast(
            regression, compared.weights, subtract=subtract, expected=regression.expected_alone
        )
    else:
        given = beside.effect(compared.weights, None, 0, common=not subtract)
        estimated = estimate_contrast(
            given.regression, given.weights, given.covariance, given.sides, subtract=subtract, expected=given.expected
        )
    summary = estimated.summary
    tested = regression.counts.max(0) > 0
    p_value, adjusted, s_value = (
        np.where(tested, values, np.nan) for values in (summary.p_value, summary.adj_p_value, summary.s_value)
    )
    return MethodResult(p_value, {names.ADJ_P_VALUE: adjusted, names.S_VALUE: s_value})


def _scores_of_method(method: Method, counts: np.ndarray, in_first: np.ndarray) -> MethodResult:
    p_value = np.asarray(method(counts.copy(), in_first.astype(int)), dtype=float)
    if p_value.shape != counts.shape[1:]:
        raise ValueError(
            f"method returned values of shape {p_value.shape}; it must return one p-value for each of the "
            f"{counts.shape[1]} genes."
        )
    if ((p_value < 0) | (p_value > 1)).any():
        raise ValueError("method returned values outside [0, 1]; it must return p-values, NaN where it has none.")
    return MethodResult(p_value, {names.ADJ_P_VALUE: benjamini_hochberg(p_value)})


def _in_threads(work: Callable[[Any], CallCounts], given: Sequence[Any], n_jobs: int) -> Iterator[CallCounts]:
    """Results in order. Compiled loops and most of numpy let other threads run."""
    if n_jobs == 1:
        yield from map(work, given)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        yield from pool.map(work, given)


def _by_score(data: MethodResult) -> pd.DataFrame:
    scores = list(data.scores)
    return pd.DataFrame(
        {
            calibration_names.SCORE: np.repeat(scores, len(THRESHOLDS)),
            calibration_names.THRESHOLD: np.tile(THRESHOLDS, len(scores)),
        }
    )


def _fdr_table(
    data: MethodResult, calls: np.ndarray, cutoffs: np.ndarray, counted: CallCounts, used: np.ndarray, fdr: EmpiricalFDR
) -> pd.DataFrame:
    return _by_score(data).assign(
        **{
            calibration_names.CALLS: calls,
            calibration_names.CUTOFF: cutoffs,
            calibration_names.NULL_CALLS: counted.null_calls[used].mean(0),
            calibration_names.EMPIRICAL_FDR: fdr.fdr,
            calibration_names.EMPIRICAL_FDR_LOW: fdr.low,
            calibration_names.EMPIRICAL_FDR_HIGH: fdr.high,
            calibration_names.CALLS_RELABELLED: counted.calls[used].mean(0),
            calibration_names.SHARE_AS_MANY: fdr.share_as_many,
        }
    )


def _permutation_table(data: MethodResult, counted: CallCounts, shared: np.ndarray, used: np.ndarray) -> pd.DataFrame:
    n, n_rows = counted.calls.shape
    table = pd.concat([_by_score(data)] * n, ignore_index=True)
    table.insert(0, calibration_names.RELABELLING, np.repeat(np.arange(n), n_rows))
    return table.assign(
        **{
            calibration_names.OVERLAP: np.repeat(shared, n_rows),
            calibration_names.DISSIMILAR: np.repeat(used, n_rows),
            calibration_names.CALLS: counted.calls.ravel(),
            calibration_names.NULL_CALLS: counted.null_calls.ravel(),
        }
    )


def _gene_table(data: MethodResult, counted: CallCounts, used: np.ndarray) -> pd.DataFrame:
    p_value, q_value = recalibrate(data.p_value, counted.up_to[used].sum(0), int(counted.n_tested[used].sum()))
    return pd.DataFrame(
        {
            names.P_VALUE: data.p_value,
            **data.scores,
            calibration_names.PERM_P_VALUE: p_value,
            calibration_names.PERM_Q_VALUE: q_value,
        }
    )
