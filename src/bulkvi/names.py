"""Every AnnData key and table column that bulkvi writes, named once.

Units: log fold changes and everything derived from them are in log base 2; ``rate`` and ``base_mean`` are expected
counts per unit size factor.
"""

from typing import Final

# obs
SIZE_FACTOR: Final = "size_factor"
"""``obs``: size factor of a sample (relative sequencing depth, unitless, > 0)."""

# var
LOG_GEOMETRIC_MEAN: Final = "log_geometric_mean"
"""``var``: natural log of the geometric mean count that size factors are measured against; -inf leaves a gene out."""

N_COUNTS: Final = "n_counts"
"""``var``: counts of a gene over all samples, before genes were filtered."""

N_SAMPLES: Final = "n_samples"
"""``var``: number of samples with at least one count of a gene, before genes were filtered."""

SYMBOL: Final = "symbol"
"""``var`` and tables: gene symbol; the gene id stands in where none is known."""

# obsm
LATENT: Final = "X_bulkvi"
"""``obsm``: posterior mean of the latent state, samples x n_latent."""

DESIGN: Final = "_bulkvi_design"
"""``obsm``: design matrix registered by ``setup_anndata`` (samples x columns, intercept left out)."""

# columns of the table of differential expression
GENE_ID: Final = "gene_id"
"""Name of the gene index in tables that are written to a file."""

BASE_MEAN: Final = "base_mean"
"""Mean over the samples of count / size factor."""

LOG_FC_DECODED: Final = "log_fc_decoded"
"""Difference of the log2 rates that the decoder gives to the two groups, group1 over group2."""

CONTRAST: Final = "contrast"
"""What was compared, in words: ``"<column>: <group1> vs <group2>"``."""

# truth that datasets.simulate stores
GROUP: Final = "group"
"""``obs``: the two simulated groups, categorical with levels A and B."""

BATCH: Final = "batch"
"""``obs``: the known batch of a simulated sample, categorical with levels b1, b2, ..."""

TRUE_DEPTH: Final = "true_depth"
"""``obs``: what the rate of every gene was multiplied by (unitless)."""

TRUE_HIDDEN: Final = "true_hidden"
"""``obs``: prefix of the hidden factors ``true_hidden_0``, ...; binary ones are -0.5 or 0.5, continuous have sd 1."""

TRUE_BASE_MEAN: Final = "true_base_mean"
"""``var``: expected count at depth 1 in group A, batch and hidden factors at zero."""

TRUE_DISPERSION: Final = "true_dispersion"
"""``var``: alpha in variance = mean + alpha mean^2."""

TRUE_LOG_FC: Final = "true_log_fc"
"""``var``: log2 fold change of the rate, B over A; exactly 0 for unchanged genes."""

TRUE_BATCH_EFFECT: Final = "true_batch_effect"
"""``varm``: log2 effect of each batch, genes x batches, rows sum to zero."""

TRUE_HIDDEN_LOADING: Final = "true_hidden_loading"
"""``varm``: log2 change of the rate per unit of each hidden factor, genes x factors."""

TRUE_OUTLIER: Final = "true_outlier"
"""``layers``: True where a count was multiplied."""

SIMULATION: Final = "simulation"
"""``uns``: the arguments of the simulation."""
