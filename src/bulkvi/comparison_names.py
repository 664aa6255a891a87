"""Columns of other tools' tables and of comparisons with them; see :mod:`bulkvi.names` for our own."""

from typing import Final

from bulkvi.names import ADJ_P_VALUE, BASE_MEAN, LOG_FC, LOG_FC_SE, P_VALUE, STAT

BULKVI: Final = "bulkvi"
DESEQ2: Final = "DESeq2"
PYDESEQ2: Final = "PyDESeq2"
EDGER: Final = "edgeR"
LIMMA: Final = "limma"
PERTPY: Final = "pertpy"

VARIABLE: Final = "variable"
"""Column of pertpy's tables with the gene ids, which have no index of genes."""

PERTPY_BASE_MEAN: Final = "baseMean"
"""Column that pertpy's plot of means looks for, as PyDESeq2 calls it."""

NEEDED: Final = {
    LOG_FC: {LOG_FC: BULKVI, "log2FoldChange": DESEQ2, "logFC": f"{EDGER}, {LIMMA}"},
    P_VALUE: {P_VALUE: BULKVI, "pvalue": DESEQ2, "PValue": EDGER, "P.Value": LIMMA},
    ADJ_P_VALUE: {ADJ_P_VALUE: BULKVI, "padj": DESEQ2, "FDR": EDGER, "adj.P.Val": LIMMA},
}
"""Required columns, under one of these names, and the tool of each name; pertpy's names are ours."""

WELCOME: Final = {
    BASE_MEAN: (BASE_MEAN, "baseMean"),
    LOG_FC_SE: (LOG_FC_SE, "lfcSE"),
    STAT: (STAT, "t"),
}
"""Further columns, where a table has them. ``logCPM`` and ``AveExpr`` are on another scale than ``base_mean``."""

# attrs of a table
METHOD: Final = "method"
"""``attrs``: method of a table."""

VERSION: Final = "version"
"""``attrs``: version of the package that gave it."""

# columns of a joined table
OTHER: Final = "_other"
"""Suffix of the columns of the other table."""

CLASS: Final = "class"
"""Agreement of two tables on a gene."""

REASON: Final = "reason"
"""Why they disagree; empty where they do not."""

# classes
BOTH: Final = "both"
"""Called in both, with the same sign and effects within ``tolerance``."""

NEITHER: Final = "neither"
"""Called in none, effects within ``tolerance``."""

OPPOSITE: Final = "opposite"
"""Called in both, with opposite signs."""

ONLY_HERE: Final = "only_here"
"""Called here, tested and not called in the other."""

ONLY_OTHER: Final = "only_other"
"""Called in the other, tested and not called here."""

EFFECT_DIFFERS: Final = "effect_differs"
"""Called in both or in none, and the effects differ by more than ``tolerance``."""

NA_HERE: Final = "na_here"
"""A result in the other, none here."""

NA_OTHER: Final = "na_other"
"""A result here, none in the other."""

NA_BOTH: Final = "na_both"
"""A result in none."""

ABSENT_HERE: Final = "absent_here"
"""No row here."""

ABSENT_OTHER: Final = "absent_other"
"""No row in the other."""

CLASSES: Final = (
    *(BOTH, NEITHER, ONLY_HERE, ONLY_OTHER, OPPOSITE, EFFECT_DIFFERS),
    *(NA_OTHER, NA_HERE, NA_BOTH, ABSENT_OTHER, ABSENT_HERE),
)
"""All of them, in the order in which they are listed."""

# reasons; OUTLIER and SEPARATED in bulkvi.names are others
LOW_COUNTS: Final = "low_counts"
"""Mean count below ``low_counts``, or the flag ``low_information``."""

INDEPENDENT_FILTERING: Final = "independent_filtering"
"""A p-value but no adjusted one: the gene was filtered by its mean count after the test."""

NO_COUNTS: Final = "no_counts"
"""Not a single count."""

NOT_IN_TABLE: Final = "not_in_table"
"""No row, although the mean count is not low: filtered before the test for another reason, or another annotation."""

NOT_TESTED: Final = "not_tested"
"""No result, for an unknown reason; methods without p-values have none for any gene."""

SHRUNK: Final = "shrunk"
"""The effects agree before one of them is shrunk towards zero."""

COMPOSITION: Final = "composition"
"""One table has subtracted a shift that all effects share, and without it the effects would be closer."""

HIDDEN_FACTOR: Final = "hidden_factor"
"""One table adjusts for hidden variation and the other does not (another number of latent columns)."""

BORDERLINE: Final = "borderline"
"""Both adjusted p-values lie between half the level and twice the level."""

ADJUSTMENT: Final = "adjustment"
"""The p-value that is not called would be called in the other table: the other genes differ."""

DIFFERENT_EFFECT: Final = "different_effect"
"""The effects before shrinkage differ by more than ``tolerance``, and nothing in the tables explains it."""

DIFFERENT_EVIDENCE: Final = "different_evidence"
"""The effects agree, but not their uncertainty: another dispersion, prior or test."""

# entries of the concordance
N_SHARED: Final = "n_shared"
"""Number of genes with an effect in both tables."""

PEARSON: Final = "pearson"
"""Pearson's correlation of the effects."""

SPEARMAN: Final = "spearman"
"""Spearman's correlation of the effects."""

SLOPE: Final = "slope"
"""Slope of our effects over the other's, by total least squares."""

SIGN_AGREEMENT: Final = "sign_agreement"
"""Share of the same sign among the genes called in either."""

CALLED_HERE: Final = "called_here"
"""Number of genes called here, of those in both tables."""

CALLED_OTHER: Final = "called_other"
"""Number of genes called in the other, of those in both tables."""

CALLED_BOTH: Final = "called_both"
"""Number of genes called in both, whatever the sign."""

JACCARD: Final = "jaccard"
"""Called in both / called in either."""

RANK_RANK_OVERLAP: Final = "rank_rank_overlap"
"""Mean overlap of the first genes from either end of both rankings; 1 for the same ranking."""

N_GENES: Final = "n_genes"
"""Number of genes."""
