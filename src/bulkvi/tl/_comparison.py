"""Two tables of differential expression side by side, and what they say about each other."""

from typing import NamedTuple

import pandas as pd

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
