"""Prepare counts: filter genes, estimate size factors."""

from bulkvi.pp._filter_genes import filter_genes
from bulkvi.pp._size_factors import size_factors

__all__ = ["filter_genes", "size_factors"]
