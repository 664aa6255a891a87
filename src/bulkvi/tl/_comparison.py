"""Comparison of two tables of differential expression, and measures of agreement."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from bulkvi import comparison_names as cn
from bulkvi.arguments import check_number

OPPOSITE_DIRECTION = -0.3


class Comparison(NamedTuple):
    """Result of :func:`bulkvi.tl.compare`; ``print`` it for a summary, :func:`bulkvi.pl.compare` draws it."""

    labels: tuple[str, str]
    """Names of the two tables: this one, the other."""
    contrast: str
    """The contrast in words; empty if it is unknown."""
    level: float
    """False discovery rate at which genes are called."""
    column: str
    """Which effects of bulkvi's table are compared."""
    table: pd.DataFrame
    """A row for each gene of either table, those of the first in its order, then the rest: ``symbol`` if one of them has it;
    ``base_mean, log_fc, log_fc_mle, log_fc_se, stat, p_value, adj_p_value, flag``; the same of the other with ``_other``
    appended; ``class``, ``reason``. NaN where a table has no such column; ``log_fc_mle`` of a tool that does not shrink is its
    effect."""
    concordance: pd.Series
    """``n_shared``, ``pearson``, ``spearman``, ``slope``, ``sign_agreement``, ``called_here``, ``called_other``,
    ``called_both``, ``jaccard``, ``rank_rank_overlap``."""
    classes: pd.DataFrame
    """A row for each class and reason that occurs: ``class``, ``reason``, ``n_genes``."""

    @property
    def words(self) -> dict[str, str]:
        """Words for the classes, with the names of the two tables."""
        here, other = self.labels
        return {
            cn.BOTH: "called by both",
            cn.NEITHER: "called by none",
            cn.ONLY_HERE: f"called by {here} only",
            cn.ONLY_OTHER: f"called by {other} only",
            cn.OPPOSITE: "called with opposite signs",
            cn.EFFECT_DIFFERS: "effects differ",
            cn.NA_OTHER: f"no answer in {other}",
            cn.NA_HERE: f"no answer in {here}",
            cn.NA_BOTH: "no answer in both",
            cn.ABSENT_OTHER: f"no row in {other}",
            cn.ABSENT_HERE: f"no row in {here}",
        }

    def __str__(self) -> str:
        here, other = self.labels
        n = self.classes.groupby(cn.CLASS, observed=True)[cn.N_GENES].sum()
        absent = [int(n.get(one, 0)) for one in (cn.ABSENT_OTHER, cn.ABSENT_HERE)]
        values = self.concordance
        called = [int(values[one]) for one in (cn.CALLED_HERE, cn.CALLED_OTHER, cn.CALLED_BOTH)]
        lines = [
            f"{self.contrast + ': ' if self.contrast else ''}{here} and {other}, {len(self.table) - sum(absent):,} genes in "
            f"both, {absent[0]:,} only in {here}, {absent[1]:,} only in {other}",
            f"Effects ({self.column}) of {int(values[cn.N_SHARED]):,} genes: Pearson {_shown(values[cn.PEARSON])}, "
            f"Spearman {_shown(values[cn.SPEARMAN])}, slope of {here} over {other} {_shown(values[cn.SLOPE])} (total least "
            "squares)",
            f"Called at {self.level:g}: {called[0]:,} and {called[1]:,}, {called[2]:,} in both (Jaccard "
            f"{_shown(values[cn.JACCARD])}); of those called in either {_shown(values[cn.SIGN_AGREEMENT])} have the same sign; "
            f"rank-rank overlap {_shown(values[cn.RANK_RANK_OVERLAP])}",
        ]
        if values[cn.PEARSON] < OPPOSITE_DIRECTION:
            lines.append("The effects point in opposite directions: is one of them group2 over group1?")
        words = self.words
        for one, rows in self.classes[self.classes[cn.REASON] != ""].groupby(cn.CLASS, observed=True, sort=False):
            pairs = zip(rows[cn.REASON], rows[cn.N_GENES], strict=True)
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in pairs)
            lines.append(f"  {words[one]}, {rows[cn.N_GENES].sum():,}: {reasons}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison>\n{self}"


def _shown(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.3f}"


def check_level(level: float) -> None:
    """Raise unless ``level`` is a false discovery rate."""
    check_number("level (a false discovery rate)", level, above=0, below=1)


def check_labels(labels: tuple[str, str] | None) -> None:
    """Raise ValueError unless ``labels`` are two different names, or None."""
    if labels is not None and (isinstance(labels, str) or len(labels) != 2 or labels[0] == labels[1]):
        raise ValueError(f"`labels` are two different names, of the first table and of the second; it is {labels!r}.")


def check_table(table: pd.DataFrame, columns: Iterable[str], argument: str, source: str) -> None:
    """Raise TypeError for anything but a table, KeyError for missing columns; ``source`` is what returns such a table."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"`{argument}` must be a table, as {source} returns it, not {type(table).__name__}.")
    missing = [column for column in columns if column not in table]
    if missing:
        raise KeyError(f"no columns {missing} in `{argument}`; it has {list(table.columns)}. {source} returns them.")


def two_labels(here: str, other: str) -> tuple[str, str]:
    """Names of two tables, different ones if both have the same."""
    return (here, other) if here != other else (here, f"{other} (other)")


def count_calls(here: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Numbers of items called in each of two tables and in both, and Jaccard's index of the calls."""
    both, either = int((here & other).sum()), int((here | other).sum())
    return {
        cn.CALLED_HERE: int(here.sum()),
        cn.CALLED_OTHER: int(other.sum()),
        cn.CALLED_BOTH: both,
        cn.JACCARD: both / either if either else np.nan,
    }


def total_least_squares_slope(x: np.ndarray, y: np.ndarray) -> float:
    r"""Slope of the line with the least sum of squared distances from the points; NaN if no direction is best.

    Errors in x and y count alike, so that swapping them inverts the slope, while an ordinary regression is too flat in both
    directions. With the centred sums of squares and products (Pearson 1901, *On lines and planes of closest fit*),

    .. math:: \tan\!\left(\tfrac12 \operatorname{atan2}(2 S_{xy}, S_{xx} - S_{yy})\right)
    """
    if not x.size:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    across, apart = 2 * float(x @ y), float(x @ x - y @ y)
    if across == 0:
        return 0.0 if apart > 0 else float("inf" if apart < 0 else "nan")
    return float(np.tan(0.5 * np.arctan2(across, apart)))


def rank_rank_overlap(first: np.ndarray, second: np.ndarray, *, share: float = 0.1) -> float:
    r"""Mean overlap of the first genes at both ends of two rankings, 1 for the same ranking; NaN without genes.

    With :math:`A_k` and :math:`B_k` the k genes of highest score, all genes tied with the last included,

    .. math:: \frac{1}{K} \sum_{k=1}^{K} \frac{|A_k \cap B_k|}{\max(|A_k|, |B_k|)}

    is the average overlap of Fagin, Kumar & Sivakumar (2003, *Comparing top k lists*), here the mean of both ends. It reads the
    map of rank-rank hypergeometric overlap (Plaisier et al. 2010, *Nucleic Acids Research* 38, e169) along its diagonal, as a
    share, where p-values would grow with the number of genes. By chance it is about ``share / 2``.

    ``first`` and ``second`` are signed scores, such as -log10 p with the sign of the effect; K is a ``share`` of the genes.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"`first` and `second` need one score for each gene; their shapes are {first.shape}, {second.shape}."
        )
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("scores must not be NaN: leave genes without one out of both rankings.")
    if not 0 < share <= 0.5:
        raise ValueError(f"`share` is the share of the genes at either end, in (0, 0.5]; it is {share}.")
    if not first.size:
        return float("nan")
    deepest = max(1, int(share * first.size))
    return 0.5 * (_average_overlap(-first, -second, deepest) + _average_overlap(first, second, deepest))


def _average_overlap(first: np.ndarray, second: np.ndarray, deepest: int) -> float:
    """Mean overlap of the genes with the lowest scores."""
    ranks = [rankdata(scores, method="min").astype(int) for scores in (first, second)]
    sizes = [_count_up_to(rank, deepest) for rank in ranks]
    common = _count_up_to(np.maximum(*ranks), deepest)
    return float(np.mean(common / np.maximum(*sizes)))


def _count_up_to(rank: np.ndarray, deepest: int) -> np.ndarray:
    """Number of ranks that are at most 1, ..., deepest."""
    return np.cumsum(np.bincount(rank, minlength=deepest + 1)[1 : deepest + 1])
