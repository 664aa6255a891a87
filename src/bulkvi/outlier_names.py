"""Columns of the table of outliers, and tables of all samples x genes (:class:`bulkvi.tl.OutlierScores`)."""

from typing import Final

from bulkvi.names import ADJ_P_VALUE, COUNT, EXPECTED_COUNT, LOG_FC, LOG_FC_HIGH, LOG_FC_LOW, P_VALUE, SAMPLE

GENE: Final = "gene"
"""Name of the gene."""

N_OUTLIERS: Final = "n_outliers"
"""Number of genes called in a sample."""

N_UP: Final = "n_up"
"""Number of them above what is expected."""

N_DOWN: Final = "n_down"
"""Number of them below what is expected."""

QUANTITIES: Final = (COUNT, EXPECTED_COUNT, LOG_FC, LOG_FC_LOW, LOG_FC_HIGH, P_VALUE, ADJ_P_VALUE)
"""Tables of all samples and genes: the count, the count that is expected given the sample's other genes, their log2 fold change with
its 95 % interval, the two-sided tail probability of the count, and the same adjusted over the genes of the sample."""

COLUMNS: Final = (SAMPLE, GENE, *QUANTITIES)
"""Columns of the table of calls."""
