"""Columns of simulated studies and of the table of :func:`bulkvi.tl.power`; see :mod:`bulkvi.names` for the other tables."""

from typing import Final

TRUE_LOG_FC: Final = "true_log_fc"
"""``var`` of a simulated study: true effect, log2, group1 over group2; exactly 0 where unchanged."""

TRUE_BASE_MEAN: Final = "true_base_mean"
"""``var`` of a simulated study: expected count at a size factor of 1, mean over its samples."""

TRUE_DISPERSION: Final = "true_dispersion"
"""``var`` of a simulated study: dispersion of a gene between samples of one group, hidden directions included."""

TRUE_HIDDEN: Final = "true_hidden"
"""``obsm`` of a simulated study: hidden states, samples x directions, standard normal."""

TRUE_HIDDEN_LOADING: Final = "true_hidden_loading"
"""``varm`` of a simulated study: log2 fold change per unit of each hidden state, genes x directions."""

N_PER_GROUP: Final = "n_per_group"
"""Number of samples in each group of the future study."""

QUANTITY: Final = "quantity"
"""What a row is about: one of `QUANTITIES`."""

GENE: Final = "gene"
"""Name of the gene that a row is about; empty for all genes."""

EXPECTED: Final = "expected"
"""Expected value of the quantity: mean over draws of the future study."""

LOW: Final = "low"
"""Lower end of its range: of the values that a future study has, a share ``attrs["power"]["level"]`` is expected within."""

HIGH: Final = "high"
"""Upper end of its range."""

POWER: Final = "power"
"""Share of the genes changed by more than ``delta`` that are called."""

POWER_ANY: Final = "power_any"
"""Share of all changed genes that are called, however small the change."""

CALLS: Final = "calls"
"""Number of genes called."""

FALSE_CALLS: Final = "false_calls"
"""Number of genes called that are not changed."""

FALSE_SHARE: Final = "false_share"
"""Share of the calls that are false; 0 without calls."""

INTERVAL_WIDTH: Final = "interval_width"
"""Width of the 95 % interval of ``log_fc_mle``, log2; of the median gene."""

CHANGED: Final = "changed"
"""Number of genes changed by more than ``delta``."""

CHANCE: Final = "chance"
"""Probability that a named gene is called."""

QUANTITIES: Final = (POWER, POWER_ANY, CALLS, FALSE_CALLS, FALSE_SHARE, INTERVAL_WIDTH, CHANGED, CHANCE)
"""Values of ``quantity``, in order."""

SETTINGS: Final = "power"
"""``attrs`` of the table: the arguments of :func:`bulkvi.tl.power` as plain values, and the contrast."""
