"""Is the false discovery rate what it says, on the user's own samples? Permutation of the labels."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager

from bulkvi import calibration_names, names
from bulkvi.arguments import check_whole
from bulkvi.model._calibration_report import CalibrationReport
from bulkvi.model._composition_shift import current_source, resolve_shift
from bulkvi.model._contrast import Contrast, group_contrast
from bulkvi.model._differential import DifferentialMixin
from bulkvi.model._groups import find_groups
from bulkvi.model._regression import regress_genes
from bulkvi.model._relabelling import FEWEST, find_exchange
from bulkvi.stats.blocks import iter_row_blocks
from bulkvi.stats.composition import CompositionShift
from bulkvi.stats.effect_summary import summarise_effect
from bulkvi.stats.empirical_fdr import (
    Answers,
    Counted,
    EmpiricalFDR,
    count_answers,
    empirical_fdr,
    equal_cutoff,
    null_share,
    recalibrate,
    stack,
)
from bulkvi.stats.multiplicity import benjamini_hochberg
from bulkvi.stats.permutation import dissimilar, overlap
from bulkvi.stats.rank import aliased_columns

THRESHOLDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

Method = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Counts (samples x genes) and group (1 for group1, 0 for group2) to a p-value a gene."""


class CalibrateMixin(DifferentialMixin):
    """``calibrate`` of :class:`~bulkvi.BulkVI`."""

    def calibrate(
        self,
        groupby: str,
        group1: Any,
        group2: Any,
        *,
        within: str | Sequence[str] | None = None,
        n_permutations: int = 100,
        seed: int = 0,
        method: Method | None = None,
        composition_shift: bool | None = None,
        n_jobs: int = 1,
        progress_bar: bool = True,
    ) -> CalibrationReport:
        r"""Is the false discovery rate of these calls what it says, on these samples?

        The labels of the two groups are exchanged between samples, and all else is kept: counts, size factors and
        offsets (they are not made from labels), other covariates, samples of other groups. Each time all genes are
        regressed anew on the relabelled design, outliers, dispersions, shared noise and prior included. Latent columns do not
        take part: what is measured is ``differential_expression(..., latent_columns=0)``, and the network is not trained
        anew. As nothing then differs between the groups by design, what is still called is false.
        The empirical false discovery rate at a threshold is

        .. math:: \max(\pi_0 \overline{V}, \overline{W}) / R

        with R the calls on the data, :math:`\overline{V}` the mean number of relabelled p-values that reach the p-value of
        the last of them (Tusher, Tibshirani & Chu 2001), and :math:`\overline{W}` the mean number of calls of the whole
        method on relabelled samples. :math:`\pi_0` is 1 for ``adj_p_value``, which takes all genes for possibly unchanged, and
        for ``s_value``, which does not, the share of genes without effect. The rate is 1 where more than 5 % of the
        relabellings give at least as many calls: nothing then tells the data from chance.

        Relabellings are distinct; neither the real one nor those that swap the names of the groups are among them. Those
        that resemble the real one still carry part of every real effect (column ``overlap``) and count only if there are
        too few others.

        Limits: the effects of genes that really change are noise once labels are exchanged. That makes relabelled p-values
        of all genes a little larger, and the empirical rate of data with many effects too low: 0.03 to 0.04 for a true 0.05
        if a tenth of the genes change. Covariates that go along with the group, such as an age, stay with their samples.
        Samples that are not independent (several of one donor) must not be exchanged one by one: name the donor as
        ``donor_key`` of ``setup_anndata``. Labels are then exchanged within donors that are in both groups, and whole donors
        among those that are in one.

        Parameters
        ----------
        groupby
            Column of ``obs``.
        group1, group2
            Levels of that column, as in :meth:`differential_expression`.
        within
            Columns of ``obs``: labels are exchanged between samples that are the same in all of them. By default the other
            categorical covariates of the design; ``[]`` for none.
        n_permutations
            Most relabellings; all of them if there are fewer.
        seed
            Seed of their choice; the caller's random state is left alone.
        method
            Instead of the model: any function of raw counts (samples of the two groups x genes) and group (1 for group1, 0
            for group2) that returns a p-value for each gene, NaN where it has none. It sees the same relabellings, and no
            offset.
        composition_shift
            Whether the shift that most effects share is subtracted, as in :meth:`differential_expression`. Not used with
            ``method``.
        n_jobs
            Relabellings worked on at a time, in threads. ``method`` must allow for threads if it is above 1.
        progress_bar
            Whether to show progress.

        Returns
        -------
        Tables and a verdict: ``print(report)``.

        Raises
        ------
        KeyError
            If a column does not exist.
        ValueError
            If a group has no samples, labels are missing, the design cannot tell the groups apart, too few relabellings
            exist, a number is below 1, or ``method`` does not return p-values.

        Examples
        --------
        >>> import bulkvi
        >>> adata = bulkvi.datasets.simulate(n_per_group=4, n_genes=300)
        >>> bulkvi.pp.size_factors(adata)
        >>> bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
        >>> report = bulkvi.BulkVI(adata).calibrate("group", "B", "A", n_permutations=10, progress_bar=False)
        >>> report.n_relabellings, report.n_distinct
        (10, 34)
        """
        for name, number in (("n_permutations", n_permutations), ("n_jobs", n_jobs)):
            check_whole(name, number)
            if number < 1:
                raise ValueError(f"{name} is {number}; give 1 or more.")
        check_whole("seed", seed, least=0)
        rng = np.random.default_rng(seed)
        features = self._features()
        subtract = resolve_shift(current_source(self.adata_manager), given=composition_shift)
        compared = group_contrast(features, groupby, group1, group2)
        if method is None and not compared.weights.any():
            raise ValueError(
                f"The design does not tell {compared.label} apart, so there is no test to calibrate. Put {groupby!r} into "
                "the design of setup_anndata, or give a method."
            )
        groups = find_groups(features.obs, groupby, group1, group2)
        exchange = find_exchange(features.registry, features.obs, groupby, groups, within)
        relabelled, n_distinct = exchange.draw(n_permutations, rng), exchange.n_distinct()
        if method is None:
            given: list[Any] = [features.of(exchange.relabelled(in_first)) for in_first in relabelled]
            estimable = np.array([not aliased_columns(matrix.to_numpy()) for matrix in given])
            relabelled, n_distinct = relabelled[estimable], n_distinct - int((~estimable).sum())
            given = [matrix for matrix, good in zip(given, estimable, strict=True) if good]
            if len(given) < min(FEWEST, n_permutations):
                raise ValueError(
                    f"Only {len(given)} of {estimable.size} relabellings can be told from the other columns of the design. "
                    "Exchange labels within the levels of those columns (within=None), or take them out of the design."
                )
            answer: Callable[[Any], Answers] = partial(
                _answer_of_model, self.adata_manager, compared, subtract=subtract
            )
            data = answer(features.matrix())
        else:
            stored = self.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
            counts = np.concatenate([block for _, block in iter_row_blocks(stored)])[exchange.samples]
            given = list(relabelled)
            answer = partial(_answer_of_method, method, counts.astype(np.int64))
            data = answer(exchange.in_first)
        thresholds, calls = np.array(THRESHOLDS), data.calls(np.array(THRESHOLDS))
        cutoffs = np.array([equal_cutoff(data.p_value, int(n)) for n in calls])

        def work(one: Any) -> Counted:
            return count_answers(answer(one), thresholds, cutoffs, data.p_value)

        steps = track(
            _in_threads(work, given, n_jobs), "Relabelling", total=len(given), disable=not progress_bar, transient=True
        )
        counted = stack(steps)
        shared = overlap(exchange.in_first, relabelled, exchange.stratum)
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
            relabellings=_relabelling_table(data, counted, shared, used),
            genes=_gene_table(data, counted, used).set_index(self.adata.var_names.copy()),
        )


def _answer_of_model(manager: AnnDataManager, compared: Contrast, matrix: pd.DataFrame, *, subtract: bool) -> Answers:
    regression = regress_genes(manager, matrix)
    contrasted, shift = regression.recentred(compared.weights, subtract=subtract)
    tested = regression.counts.max(0) > 0
    summary = summarise_effect(
        contrasted.effect,
        log_p=contrasted.log_p,
        tested=tested,
        informative=regression.informative,
        inflation=regression.inflation,
        shift=shift if subtract else CompositionShift(),
    )
    p_value, adjusted, s_value = (
        np.where(tested, values, np.nan) for values in (summary.p_value, summary.adj_p_value, summary.s_value)
    )
    return Answers(p_value, {names.ADJ_P_VALUE: adjusted, names.S_VALUE: s_value})


def _answer_of_method(method: Method, counts: np.ndarray, in_first: np.ndarray) -> Answers:
    p_value = np.asarray(method(counts.copy(), in_first.astype(int)), dtype=float)
    if p_value.shape != counts.shape[1:]:
        raise ValueError(
            f"method returned values of shape {p_value.shape}; it must return one p-value for each of the "
            f"{counts.shape[1]} genes."
        )
    if ((p_value < 0) | (p_value > 1)).any():
        raise ValueError("method returned values outside [0, 1]; it must return p-values, NaN where it has none.")
    return Answers(p_value, {names.ADJ_P_VALUE: benjamini_hochberg(p_value)})


def _in_threads(work: Callable[[Any], Counted], given: Sequence[Any], n_jobs: int) -> Iterator[Counted]:
    """Results in order. Compiled loops and most of numpy let other threads run."""
    if n_jobs == 1:
        yield from map(work, given)
        return
    with ThreadPoolExecutor(n_jobs) as pool:
        yield from pool.map(work, given)


def _by_score(data: Answers) -> pd.DataFrame:
    scores = list(data.scores)
    return pd.DataFrame(
        {
            calibration_names.SCORE: np.repeat(scores, len(THRESHOLDS)),
            calibration_names.THRESHOLD: np.tile(THRESHOLDS, len(scores)),
        }
    )


def _fdr_table(
    data: Answers, calls: np.ndarray, cutoffs: np.ndarray, counted: Counted, used: np.ndarray, fdr: EmpiricalFDR
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


def _relabelling_table(data: Answers, counted: Counted, shared: np.ndarray, used: np.ndarray) -> pd.DataFrame:
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


def _gene_table(data: Answers, counted: Counted, used: np.ndarray) -> pd.DataFrame:
    p_value, q_value = recalibrate(data.p_value, counted.up_to[used].sum(0), int(counted.n_tested[used].sum()))
    return pd.DataFrame(
        {
            names.P_VALUE: data.p_value,
            **data.scores,
            calibration_names.PERM_P_VALUE: p_value,
            calibration_names.PERM_Q_VALUE: q_value,
        }
    )
