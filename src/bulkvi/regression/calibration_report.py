"""What permuted samples say about a method's calls: tables, and a verdict in words."""

from dataclasses import dataclass

import pandas as pd

from bulkvi import calibration_names, names
from bulkvi.stats.permutation import EXCEPTIONAL, LARGEST_OVERLAP

NOMINAL = 0.05
FEW_PERMUTATIONS = 30
MANY_CHANGED = 0.9


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationReport:
    """Answer of :meth:`BulkVI.calibrate`; ``print`` it to read the verdict, :func:`bulkvi.pl.calibration` draws it."""

    contrast: str
    """What was compared, in words."""
    method: str
    """Whose calls these are."""
    n_relabellings: int
    """Number of permutations that were analysed."""
    n_distinct: int
    """Number of permutations that exist; those that only swap the names of the groups are not counted."""
    within: tuple[str, ...]
    """Columns of ``obs`` within whose joint levels labels were exchanged."""
    null_share: float
    """Share of genes without effect, by the number of p-values above a half on the data and in permuted data."""
    fdr: pd.DataFrame
    """A row for each ``score`` and ``threshold``: ``calls`` on the data; ``cutoff``, the p-value that amounts to;
    ``null_calls``, mean number of permuted p-values up to it; ``calls_relabelled``, mean number of calls of the whole
    method on permuted samples; ``empirical_fdr``, the larger of the two (the first times ``null_share`` for ``s_value``)
    over ``calls``, with ``empirical_fdr_low`` and ``empirical_fdr_high``; ``share_as_many``, share of all permutations that
    give at least as many calls as the data: above 5 % the rate is 1."""
    relabellings: pd.DataFrame
    """A row for each ``relabelling``, ``score`` and ``threshold``: ``overlap`` with the real labels; ``dissimilar``, whether
    that is small enough to count in ``empirical_fdr`` and ``perm_p_value``; ``calls`` of the whole method; ``null_calls``
    up to the cutoff of the data."""
    genes: pd.DataFrame
    """A row for each gene: ``p_value``, ``adj_p_value`` and (of the model) ``s_value`` on the data; ``perm_p_value``, the
    rank of the p-value among all permuted ones, and ``perm_q_value``, these adjusted by Benjamini-Hochberg."""

    @property
    def verdict(self) -> str:
        """What the tables say, in words."""
        how_many = "all" if self.n_relabellings == self.n_distinct else f"{self.n_relabellings:,} of"
        inside = f" within the levels of {' and '.join(self.within)}" if self.within else ""
        lines = [
            f"{self.contrast}, {self.method}, against {how_many} {self.n_distinct:,} distinct permutations{inside}.",
            *(self._of_score(score) for score in self.fdr[calibration_names.SCORE].unique()),
            *self._limits(),
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.verdict

    def __repr__(self) -> str:
        return f"<CalibrationReport>\n{self.verdict}"

    def _of_score(self, score: str) -> str:
        row = self.fdr[
            (self.fdr[calibration_names.SCORE] == score) & (self.fdr[calibration_names.THRESHOLD] == NOMINAL)
        ].iloc[0]
        calls, fdr, share = (
            int(row[calibration_names.CALLS]),
            row[calibration_names.EMPIRICAL_FDR],
            row[calibration_names.SHARE_AS_MANY],
        )
        about = f"{score} < {NOMINAL}: {calls:,} genes called"
        if not calls:
            mean = row[calibration_names.CALLS_RELABELLED]
            return f"{score} < {NOMINAL}: no gene is called (permuted samples: {mean:.1f} on average)."
        if share > EXCEPTIONAL:
            return (
                f"{about}; {share:.0%} of the permutations give at least as many, so that nothing tells these from chance: "
                "each may be false (empirical FDR 1)."
            )
        low, high = row[calibration_names.EMPIRICAL_FDR_LOW], row[calibration_names.EMPIRICAL_FDR_HIGH]
        expected = f"empirical FDR {fdr:.3f}, Monte-Carlo interval {low:.3f} to {high:.3f}"
        if low > NOMINAL:
            return f"{about}; {expected}: above nominal. {self._advice(score)}"
        if fdr > NOMINAL:
            return f"{about}; {expected}: no clear difference from nominal."
        return f"{about}; {expected}: not above nominal."

    def _advice(self, score: str) -> str:
        if score == names.S_VALUE:
            return (
                f"An s-value counts wrong signs, and a gene that hardly changes has the right one half the time: call on "
                f"{names.ADJ_P_VALUE} if such genes must not be among the calls."
            )
        return f"Its p-values are too small on these samples: call on {calibration_names.PERM_Q_VALUE}, or take another method."

    def _limits(self) -> list[str]:
        each = self.relabellings.drop_duplicates(calibration_names.RELABELLING)
        used = each[each[calibration_names.DISSIMILAR]]
        limits = []
        if len(used) < FEW_PERMUTATIONS:
            limits.append(
                f"Limits: the empirical FDR rests on {len(used)} permutations. Rare events go unseen; more replicates would "
                "give more."
            )
        if self.null_share < MANY_CHANGED:
            limits.append(
                f"Limits: about {1 - self.null_share:.0%} of the genes seem to change. Once labels are exchanged their effects "
                f"are noise to all genes: the empirical FDR and {calibration_names.PERM_Q_VALUE} come out somewhat low."
            )
            if used[calibration_names.OVERLAP].max() > LARGEST_OVERLAP:
                limits.append(
                    f"Limits: the permutations still carry up to {used[calibration_names.OVERLAP].max():.0%} of each real effect, which "
                    "makes both somewhat high."
                )
        return limits
