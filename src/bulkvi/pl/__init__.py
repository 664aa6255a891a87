"""Draw tables and AnnData on an Axes, without a model."""

from bulkvi.pl._calibration import calibration
from bulkvi.pl._compare import compare
from bulkvi.pl._design import design
from bulkvi.pl._enrichment import enrichment, enrichment_compare
from bulkvi.pl._fit import dispersion, training
from bulkvi.pl._fold_changes import ma, shrinkage
from bulkvi.pl._gene import gene, gene_trend
from bulkvi.pl._heatmap import heatmap
from bulkvi.pl._histograms import na_genes, p_values
from bulkvi.pl._latent import latent
from bulkvi.pl._loadings import loadings
from bulkvi.pl._log_fc_scatter import log_fc_scatter
from bulkvi.pl._outliers import outliers
from bulkvi.pl._power import power
from bulkvi.pl._sample_distance import sample_distance
from bulkvi.pl._size_factors import size_factors
from bulkvi.pl._volcano import volcano

__all__ = [
    "calibration",
    "compare",
    "design",
    "dispersion",
    "enrichment",
    "enrichment_compare",
    "gene",
    "gene_trend",
    "heatmap",
    "latent",
    "loadings",
    "log_fc_scatter",
    "ma",
    "na_genes",
    "outliers",
    "p_values",
    "power",
    "sample_distance",
    "shrinkage",
    "size_factors",
    "training",
    "volcano",
]
