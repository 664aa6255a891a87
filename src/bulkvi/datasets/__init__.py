"""Real data sets and simulated cohorts, as AnnData of raw counts."""

from bulkvi.datasets._airway import airway
from bulkvi.datasets._gse60450 import gse60450
from bulkvi.datasets._simulate import simulate

__all__ = ["airway", "gse60450", "simulate"]
