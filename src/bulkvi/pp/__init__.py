"""Prepare counts: filter genes, estimate size factors, sum technical replicates."""

from bulkvi.pp._filter_genes import filter_genes
from bulkvi.pp._size_factors import size_factors
from bulkvi.pp._sum_replicates import sum_replicates

__all__ = ["filter_genes", "size_factors", "sum_replicates"]
