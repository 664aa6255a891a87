"""Keys under which `simulate` stores the truth, named once."""

from typing import Final

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
