"""Look at a study before and after the model: designs, samples, how the answer compares with other tools', and pathways."""

from bulkvi.tl._check_design import DesignCheck, check_design
from bulkvi.tl._check_gene_sets import check_gene_sets
from bulkvi.tl._check_samples import check_samples
from bulkvi.tl._compare import compare
from bulkvi.tl._compare_enrichment import compare_enrichment
from bulkvi.tl._comparison import Comparison
from bulkvi.tl._design_variables import DesignVariable, design_variables
from bulkvi.tl._enrichment import enrichment
from bulkvi.tl._to_deseq2 import to_deseq2
from bulkvi.tl._to_pertpy import to_pertpy

__all__ = [
    "Comparison",
    "DesignCheck",
    "DesignVariable",
    "check_design",
    "check_gene_sets",
    "check_samples",
    "compare",
    "compare_enrichment",
    "design_variables",
    "enrichment",
    "to_deseq2",
    "to_pertpy",
]
