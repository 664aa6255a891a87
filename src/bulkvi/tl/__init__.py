"""Check designs and samples before the model; compare its tables, test pathways and plan the next study after it."""

from bulkvi.regression.outlier_scores import OutlierScores
from bulkvi.tl._check_design import DesignCheck, DesignVariable, check_design, design_variables
from bulkvi.tl._check_samples import check_samples
from bulkvi.tl._compare import compare
from bulkvi.tl._compare_enrichment import compare_enrichment
from bulkvi.tl._comparison import Comparison
from bulkvi.tl._enrichment import enrichment
from bulkvi.tl._gene_sets import check_gene_sets
from bulkvi.tl._other_tools import to_deseq2, to_pertpy
from bulkvi.tl._outliers import outliers
from bulkvi.tl._power import power

__all__ = [
    "Comparison",
    "DesignCheck",
    "DesignVariable",
    "OutlierScores",
    "check_design",
    "check_gene_sets",
    "check_samples",
    "compare",
    "compare_enrichment",
    "design_variables",
    "enrichment",
    "outliers",
    "power",
    "to_deseq2",
    "to_pertpy",
]
