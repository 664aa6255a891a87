"""Two tables of differential expression side by side, and what they say about each other."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from bulkvi import comparison_names as cn

OPPOSITE_DIRECTION = -0.3


class Comparison(NamedTuple):
    """Answer of :func:`bulkvi.tl.compare`; ``print`` it for a summary, :func:`bulkvi.pl.compare` draws it."""

    labels: tuple[str, str]
    """What the two tables are called: this one, the other."""
    contrast: str
    """What was compared, in words; empty if the tables do not say."""
    level: float
    """False discovery rate at which genes are called."""
    column: str
    """Which effects of ours are compared."""
    table: pd.DataFrame
    """A row for each gene of either table, those of the first in its order, then the rest: ``symbol`` if one of them has it;
    ``base_mean, log_fc, log_fc_mle, log_fc_se, stat, p_value, adj_p_value, flag``; the same of the other with ``_other``
    appended; ``class``, ``reason``. NaN for what a table does not have; effects without shrinkage are those of a tool that
    does not shrink."""
    concordance: pd.Series
    """``n_shared``, ``pearson``, ``spearman``, ``slope``, ``sign_agreement``, ``called_here``, ``called_other``,
    ``called_both``, ``jaccard``, ``rank_rank_overlap``."""
    classes: pd.DataFrame
    """A row for each class and reason that occurs: ``class``, ``reason``, ``n_genes``."""

    @property
    def words(self) -> dict[str, str]:
        """The classes in words, with the names of the two tables."""
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
            why = ", ".join(
                f"{reason} {count:,}" for reason, count in zip(rows[cn.REASON], rows[cn.N_GENES], strict=True)
            )
            lines.append(f"  {words[one]}, {rows[cn.N_GENES].sum():,}: {why}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Comparison>\n{self}"


def _shown(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.3f}"


def total_least_squares_slope(x: np.ndarray, y: np.ndarray) -> float:
    r"""Slope of the line with the smallest sum of squared distances from the points: how much of x is y.

    Neither x nor y is taken for free of error, so that swapping them gives the inverse slope; the slope of an ordinary
    regression is flatter in both directions. With the centred sums of squares and products,

    .. math:: \tan\!\left(\tfrac12 \operatorname{atan2}(2 S_{xy}, S_{xx} - S_{yy})\right)

    (Pearson 1901, *On lines and planes of closest fit to systems of points in space*).

    Parameters
    ----------
    x, y
        Finite numbers, shape ``(n_genes,)``.

    Returns
    -------
    The slope; infinite for a vertical line, NaN where no direction is better than another.

    Examples
    --------
    >>> round(total_least_squares_slope(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.5, 2.0])), 12)
    0.5
    """
    if not x.size:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    across, apart = 2 * float(x @ y), float(x @ x - y @ y)
    if across == 0:
        return 0.0 if apart > 0 else float("inf" if apart < 0 else "nan")
    return float(np.tan(0.5 * np.arctan2(across, apart)))


def rank_rank_overlap(first: np.ndarray, second: np.ndarray, *, share: float = 0.1) -> float:
    r"""Are the same genes at the ends of two rankings? The mean overlap of their first k genes.

    Genes are ranked by a signed score, as in rank-rank hypergeometric overlap (Plaisier et al. 2010, *Nucleic Acids
    Research* 38, e169), whose map is read here along its diagonal, as a share instead of a p-value that grows with the
    number of genes: with :math:`A_k` and :math:`B_k` the k genes of highest score in the two rankings,

    .. math:: \frac{1}{K} \sum_{k=1}^{K} \frac{|A_k \cap B_k|}{\max(|A_k|, |B_k|)}

    the average overlap of Fagin, Kumar & Sivakumar (2003, *Comparing top k lists*), taken once from the top and once from
    the bottom, and averaged. By chance it is about ``share / 2``.

    Parameters
    ----------
    first, second
        Scores, such as -log10 p with the sign of the effect, shape ``(n_genes,)``; not NaN. Tied genes enter together, so
        that the order of the genes does not matter.
    share
        K as a share of the genes, in (0, 0.5].

    Returns
    -------
    A number in [0, 1], 1 where both ends of the rankings are the same; NaN without genes.

    Raises
    ------
    ValueError
        If a score is NaN, the shapes differ, or ``share`` is out of range.

    Examples
    --------
    >>> score = np.arange(40.0)
    >>> rank_rank_overlap(score, score)
    1.0
    >>> rank_rank_overlap(score, -score)
    0.0
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"`first` and `second` need one score for each gene; their shapes are {first.shape}, {second.shape}."
        )
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("scores must not be NaN: leave genes without one out of both rankings.")
    if not 0 < share <= 0.5:
        raise ValueError(f"`share` is the share of the genes to look at from either end, in (0, 0.5]; it is {share}.")
    if not first.size:
        return float("nan")
    deepest = max(1, int(share * first.size))
    return 0.5 * (_average_overlap(-first, -second, deepest) + _average_overlap(first, second, deepest))


def _average_overlap(first: np.ndarray, second: np.ndarray, deepest: int) -> float:
    """From the lowest scores on."""
    ranks = [rankdata(scores, method="min").astype(int) for scores in (first, second)]
    sizes = [_count_up_to(rank, deepest) for rank in ranks]
    common = _count_up_to(np.maximum(*ranks), deepest)
    return float(np.mean(common / np.maximum(*sizes)))


def _count_up_to(rank: np.ndarray, deepest: int) -> np.ndarray:
    """How many ranks are at most 1, ..., deepest."""
    return np.cumsum(np.bincount(rank, minlength=deepest + 1)[1 : deepest + 1])
