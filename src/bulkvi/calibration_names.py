"""Columns of the tables of :meth:`bulkvi.BulkVI.calibrate`; see :mod:`bulkvi.names` for those of genes."""

from typing import Final

SCORE: Final = "score"
"""Column that genes are called on: ``adj_p_value`` or ``s_value``."""

THRESHOLD: Final = "threshold"
"""Genes are called below it."""

CALLS: Final = "calls"
"""Number of genes called."""

CUTOFF: Final = "cutoff"
"""The p-value up to which there are as many genes as were called; NaN for none."""

NULL_CALLS: Final = "null_calls"
"""Number of p-values of permuted labels up to ``cutoff``; of one permutation, or the mean over the dissimilar ones."""

CALLS_RELABELLED: Final = "calls_relabelled"
"""Number of genes called by the whole method on permuted samples; the mean over the dissimilar permutations."""

SHARE_AS_MANY: Final = "share_as_many"
"""Share of the permutations in which the whole method calls at least as many genes as on the data."""

EMPIRICAL_FDR: Final = "empirical_fdr"
"""Expected share of false calls, from permuted samples; NaN where nothing is called."""

EMPIRICAL_FDR_LOW: Final = "empirical_fdr_low"
"""Lower end of its Monte-Carlo interval (95 %)."""

EMPIRICAL_FDR_HIGH: Final = "empirical_fdr_high"
"""Upper end of its Monte-Carlo interval (95 %)."""

RELABELLING: Final = "relabelling"
"""Number of a permutation of the labels, from 0."""

OVERLAP: Final = "overlap"
"""Share of every real effect that is left in a permuted comparison: 0 to 1."""

DISSIMILAR: Final = "dissimilar"
"""Whether ``overlap`` is small enough for a permutation to count in ``empirical_fdr`` and ``perm_p_value``."""

PERM_P_VALUE: Final = "perm_p_value"
"""p-value by rank among the p-values of permuted labels of all genes."""

PERM_Q_VALUE: Final = "perm_q_value"
"""``perm_p_value`` adjusted by Benjamini-Hochberg."""
