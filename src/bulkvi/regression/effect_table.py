"""Estimate, test and posterior of one contrast, and its table in log base 2."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi import names
from bulkvi.arguments import warn_user
from bulkvi.regression.contrast import TREND_UNSETTLED, Contrast, effect_flags, gene_flags, join_flags
from bulkvi.regression.design_alone import DesignAlone, Located
from bulkvi.regression.hidden import ContrastInRegression
from bulkvi.regression.regression import GeneRegression, Sides
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.likelihood_ratio import ContrastedEffect
from bulkvi.stats.effects.summary import CompositionShift, EffectSummary, summarise_effect

LN2 = np.log(2)


class EstimatedContrast(NamedTuple):
    """A contrast of every gene, natural log."""

    contrasted: ContrastedEffect
    shift: CompositionShift
    """Shift that most effects share."""
    summary: EffectSummary


def estimate_contrast(
    regression: GeneRegression,
    weights: pd.Series,
    covariance: pd.DataFrame | None = None,
    sides: Sides | None = None,
    *,
    subtract: bool | None,
    expected: ExpectedInflation | None = None,
    located: Located | None = None,
    alone: DesignAlone | None = None,
    delta: float = 0.0,
    level: float = 0.95,
) -> EstimatedContrast:
    """Estimate a contrast, locate the shift that most effects share, and summarise test and posterior."""
    if subtract is None:
        contrasted, shift = regression.contrast(weights, covariance, sides), CompositionShift()
    elif located is not None:
        contrasted, shift = located
    else:
        contrasted, shift = regression.recentred(weights, covariance, sides, subtract=subtract)
    inflation = regression.inflation
    if alone is not None:
        contrasted = alone.averaged(contrasted, shift.shift if subtract else 0.0)
        expected, inflation = None, inflation if alone.inflation is None else alone.inflation
    summary = summarise_effect(
        contrasted.effect,
        log_p=contrasted.log_p,
        tested=regression.counts.max(0) > 0,
        informative=regression.informative,
        inflation=inflation,
        shift=shift if subtract else CompositionShift(),
        null_centre=0.0 if subtract else shift.shift,
        expected=expected,
        level=level,
        delta=delta,
        readings=contrasted.readings,
    )
    return EstimatedContrast(contrasted, shift, summary)


def effect_table(
    weighted: ContrastInRegression,
    compared: Contrast,
    decoded: np.ndarray,
    *,
    unit: float,
    subtract: bool | None,
    delta: float,
    level: float,
) -> pd.DataFrame:
    """Tabulate one effect, log2; ``subtract`` is None if no shift is estimated."""
    regression, alone = weighted.regression, weighted.alone
    contrasted, seen, summary = estimate_contrast(
        regression,
        weighted.weights,
        weighted.covariance,
        weighted.sides,
        subtract=subtract,
        expected=weighted.expected,
        located=weighted.located,
        alone=alone,
        delta=delta * LN2,
        level=level,
    )
    if not summary.converged:
        warn_user(
            "The prior of the effects was still moving after its last round: take shrunken effects, lfsr and s_value of this "
            "table as approximate. log_fc_mle, log_fc_se and the p-values do not depend on it."
        )
    se = summary.se / LN2
    if not regression.fit.prior.converged:
        warn_user(TREND_UNSETTLED)
    flags = gene_flags(regression) | effect_flags(contrasted.separated, se, unit)
    table = pd.DataFrame(
        {
            names.BASE_MEAN: regression.base_mean,
            names.LOG_FC: summary.mean / LN2,
            names.LOG_FC_SD: summary.sd / LN2,
            names.LOG_FC_LOW: summary.low / LN2,
            names.LOG_FC_HIGH: summary.high / LN2,
            names.LOG_FC_MLE: summary.mle / LN2,
            names.LOG_FC_SE: se,
            names.LOG_FC_DECODED: decoded - summary.shift.shift / LN2,
            names.STAT: summary.stat,
            names.P_VALUE: summary.p_value,
            names.ADJ_P_VALUE: summary.adj_p_value,
            names.LFSR: summary.lfsr,
            names.S_VALUE: summary.s_value,
            names.PROB_EFFECT: summary.prob_effect,
            names.DISPERSION: np.exp(regression.fit.prior.mean),
            names.FLAG: join_flags(flags),
            names.CONTRAST: compared.label,
        }
    )
    table.attrs = {
        names.COMPOSITION_SHIFT: float(summary.shift.shift / LN2),
        names.COMPOSITION_SHIFT_SEEN: float(seen.shift / LN2),
        names.NULL_SHARE: float(summary.null_share),
        names.INDEPENDENT_GENES: float(summary.independent),
        names.N_LATENT_COLUMNS: weighted.n_latent,
        names.NULL_VARIANCE: float(summary.null_variance) if alone is None else alone.factor,
        names.DESIGN_ALONE: 0.0 if alone is None else alone.probability,
    }
    return table
