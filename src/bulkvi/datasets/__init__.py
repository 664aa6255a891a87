"""Real data sets and simulated cohorts, as AnnData of raw counts, and gene sets."""

from bulkvi.datasets._airway import airway
from bulkvi.datasets._gene_sets import GeneSet, gene_sets, read_gmt
from bulkvi.datasets._gse60450 import gse60450
from bulkvi.datasets._simulate import simulate

__all__ = ["GeneSet", "airway", "gene_sets", "gse60450", "read_gmt", "simulate"]
