"""Class of each gene in two tables, and the reason of each disagreement."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi import comparison_names as cn
from bulkvi import names
from bulkvi.tl._foreign_tables import Recognised

LARGE_SHIFT = 0.1
NEAR_LEVEL = 2.0


class Side(NamedTuple):
    """One of the two tables, with a row for each gene of either."""

    table: pd.DataFrame
    present: np.ndarray
    """Whether the gene has a row."""
    effect: np.ndarray
    """The effects that are compared."""
    source: Recognised

    @property
    def tested(self) -> np.ndarray:
        """Genes with an effect and an adjusted p-value."""
        return np.isfinite(self.effect) & self.table[names.ADJ_P_VALUE].notna().to_numpy()

    def called(self, level: float) -> np.ndarray:
        """Genes called at a false discovery rate."""
        return self.tested & (self.table[names.ADJ_P_VALUE] < level).to_numpy()

    def flagged(self, code: str) -> np.ndarray:
        """Genes with a flag of bulkvi's table."""
        return np.array([code in flags.split(",") for flags in self.table[names.FLAG]], dtype=bool)


def side_of(source: Recognised, genes: pd.Index, column: str) -> Side:
    """Align a table with the genes of both."""
    table = source.table.reindex(genes)
    table[names.FLAG] = table[names.FLAG].fillna("")
    return Side(table, genes.isin(source.table.index), table[column].to_numpy(), source)


def classify(here: Side, other: Side, *, level: float, tolerance: float) -> np.ndarray:
    """Class of each gene (`bulkvi.comparison_names.CLASSES`)."""
    called = here.called(level), other.called(level)
    opposite = here.effect * other.effect < 0
    apart = np.abs(here.effect - other.effect) > tolerance
    classes = [
        (~here.present, cn.ABSENT_HERE),
        (~other.present, cn.ABSENT_OTHER),
        (~here.tested & ~other.tested, cn.NA_BOTH),
        (~here.tested, cn.NA_HERE),
        (~other.tested, cn.NA_OTHER),
        (called[0] & called[1] & opposite, cn.OPPOSITE),
        (called[0] & ~called[1], cn.ONLY_HERE),
        (called[1] & ~called[0], cn.ONLY_OTHER),
        (apart, cn.EFFECT_DIFFERS),
        (called[0], cn.BOTH),
    ]
    return _first(classes, cn.NEITHER)


def explain(
    here: Side, other: Side, classes: np.ndarray, *, level: float, low_counts: float, tolerance: float
) -> np.ndarray:
    """Reason of each disagreement, the first that holds in the order of :func:`bulkvi.tl.compare`; empty elsewhere."""
    mean = here.table[names.BASE_MEAN].fillna(other.table[names.BASE_MEAN]).to_numpy()
    low = (mean < low_counts) | here.flagged(names.LOW_INFORMATION) | other.flagged(names.LOW_INFORMATION)
    few = (low, cn.LOW_COUNTS)
    outlying = (here.flagged(names.OUTLIER) | other.flagged(names.OUTLIER), names.OUTLIER)
    separated = (here.flagged(names.SEPARATED) | other.flagged(names.SEPARATED), names.SEPARATED)
    effects = [side.table[names.LOG_FC_MLE].to_numpy() for side in (here, other)]
    apart = np.abs(effects[0] - effects[1]) > tolerance
    shrunk = (_shrunk(here, other, effects, tolerance), cn.SHRUNK)
    hidden = np.full(len(classes), here.source.n_latent_columns != other.source.n_latent_columns)
    composition = _composition(here, other, effects)
    missing = _missing_reason(here, mean), _missing_reason(other, mean)
    p_value = [side.table[names.P_VALUE].to_numpy() for side in (here, other)]
    adjusted = [side.table[names.ADJ_P_VALUE].to_numpy() for side in (here, other)]
    near = [(p >= level / NEAR_LEVEL) & (p <= level * NEAR_LEVEL) for p in adjusted]
    cutoffs = [_cutoff(side, level) for side in (here, other)]
    enough = np.where(classes == cn.ONLY_HERE, p_value[1] <= cutoffs[0], p_value[0] <= cutoffs[1])
    absent = np.where(low, cn.LOW_COUNTS, cn.NOT_IN_TABLE)
    evidence = np.where(apart, cn.DIFFERENT_EFFECT, cn.DIFFERENT_EVIDENCE)
    shared = [(composition, cn.COMPOSITION), (hidden, cn.HIDDEN_FACTOR)]
    of_class = {
        cn.ABSENT_HERE: absent,
        cn.ABSENT_OTHER: absent,
        cn.NA_HERE: missing[0],
        cn.NA_OTHER: missing[1],
        cn.NA_BOTH: missing[1],
        cn.OPPOSITE: _first([outlying, few, *shared], cn.DIFFERENT_EFFECT),
        cn.EFFECT_DIFFERS: _first([shrunk, outlying, separated, few, *shared], cn.DIFFERENT_EFFECT),
    }
    borderline = (near[0] & near[1], cn.BORDERLINE)
    one_calls = _first([outlying, few, borderline, *shared, (enough, cn.ADJUSTMENT)], evidence)
    of_class[cn.ONLY_HERE] = of_class[cn.ONLY_OTHER] = one_calls
    reasons = np.full(len(classes), "", dtype=object)
    for one, reason in of_class.items():
        reasons[classes == one] = reason[classes == one]
    return reasons


def _first(cases: list[tuple[np.ndarray, str]], otherwise: str | np.ndarray) -> np.ndarray:
    """The word of the first case that holds, per gene."""
    held, words = zip(*cases, strict=True)
    return np.select(held, [np.array(word, dtype=object) for word in words], np.asarray(otherwise, dtype=object))


def _missing_reason(side: Side, mean: np.ndarray) -> np.ndarray:
    """Reason why a table has no result for a gene in it."""
    p_value = side.table[names.P_VALUE]
    untested = p_value.isna().to_numpy()
    cases = [
        (~untested & side.table[names.ADJ_P_VALUE].isna().to_numpy(), cn.INDEPENDENT_FILTERING),
        (mean == 0, cn.NO_COUNTS),
        (untested & side.source.by_cooks_distance & np.isfinite(side.effect) & p_value.notna().any(), names.OUTLIER),
    ]
    return _first(cases, cn.NOT_TESTED)


def _composition(here: Side, other: Side, effects: list[np.ndarray]) -> np.ndarray:
    """Effects that were closer before a shift was subtracted in one of the tables."""
    ours, theirs = here.source.composition_shift, other.source.composition_shift
    if abs(ours - theirs) <= LARGE_SHIFT:
        return np.zeros(len(effects[0]), dtype=bool)
    before = np.abs((effects[0] + ours) - (effects[1] + theirs))
    return before < np.abs(effects[0] - effects[1])


def _shrunk(here: Side, other: Side, effects: list[np.ndarray], tolerance: float) -> np.ndarray:
    """Effects that agree before shrinkage, or that may be shrunk in a table without the unshrunken ones."""
    shrunk = np.abs(effects[0] - effects[1]) <= tolerance
    for one, another, unshrunken in ((here, other, effects[1]), (other, here, effects[0])):
        if one.source.shrunk and not another.source.shrunk:
            shrunk |= (one.effect * unshrunken >= 0) & (np.abs(one.effect) < np.abs(unshrunken))
    return shrunk


def _cutoff(side: Side, level: float) -> float:
    """The largest p-value that is called."""
    return float(side.table[names.P_VALUE].to_numpy()[side.called(level)].max(initial=-1.0))
