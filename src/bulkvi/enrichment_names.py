"""Columns and attributes of tables of enrichment; see :mod:`bulkvi.names` for those of genes."""

from typing import Final

# columns
TERM: Final = "term"
"""Name of a gene set, or of a regulator whose targets are one."""

TERM_ID: Final = "term_id"
"""Its accession, such as ``GO:0006954``; empty where the sets have none."""

DIRECTION: Final = "direction"
"""``up`` or ``down``: of the given genes (ora), or the sign of the score (gsea, ulm)."""

SCORE: Final = "score"
"""ora: log2 odds ratio; gsea: normalised enrichment score; ulm: t-value of the slope on the sets' weights (unitless)."""

SCORE_LOW: Final = "score_low"
"""Lower end of the interval that holds the score and 95 % of its draws from the posterior of the effects."""

SCORE_HIGH: Final = "score_high"
"""Upper end of that interval."""

PROB_SIGN: Final = "prob_sign"
"""Share of the posterior draws in which the score has the sign of ``score``."""

SIZE: Final = "size"
"""Number of tested genes in the set."""

N_CALLED: Final = "n_called"
"""Number of genes of the set that are called; of ora in ``direction``, else in either."""

GENES: Final = "genes"
"""Genes that carry the score, the most significant first, joined by ``;``: called ones (ora, ulm) or the leading edge (gsea)."""

N_GENES: Final = "n_genes"
"""Number of genes in a set as it was given."""

N_FOUND: Final = "n_found"
"""Number of them among the given genes."""

UP: Final = "up"
DOWN: Final = "down"

# attrs
METHOD: Final = "enrichment_method"
"""``attrs``: ``ora``, ``gsea`` or ``ulm``."""

LEVEL: Final = "level"
"""``attrs``: false discovery rate at which genes, or in a comparison terms, are called."""

GENE_NAMES: Final = "gene_names"
"""``attrs``: where the genes' names were taken from: ``index``, a column, or ``given``."""

BACKGROUND: Final = "background"
"""``attrs``: ``annotated`` or ``tested``."""

N_BACKGROUND: Final = "n_background"
"""``attrs``: number of genes in the background."""

N_NOT_TESTED: Final = "n_not_tested"
"""``attrs``: number of rows without an effect or an adjusted p-value, or without a count: not in the background."""

N_WITHOUT_NAME: Final = "n_without_name"
"""``attrs``: number of tested rows without a name."""

N_REPEATED: Final = "n_repeated"
"""``attrs``: number of tested rows left out because a row of higher mean count has the same name."""

N_IN_NO_SET: Final = "n_in_no_set"
"""``attrs``: number of tested genes that are in none of the sets; part of the background if that is ``tested``."""

N_SETS: Final = "n_sets"
"""``attrs``: number of sets scored."""

N_SETS_TOO_SMALL: Final = "n_sets_too_small"
"""``attrs``: number of sets left out with fewer than ``min_size`` tested genes."""

N_SETS_TOO_LARGE: Final = "n_sets_too_large"
"""``attrs``: number of sets left out with more than ``max_size`` tested genes."""

N_DRAWS: Final = "n_draws"
"""``attrs``: number of posterior draws; 0 where the table has no posterior."""

SOURCE: Final = "method"
"""``attrs``: method of the table of differential expression."""

CONTRAST: Final = "contrast"
"""``attrs``: description of the comparison; empty if unknown."""

LABELS: Final = "labels"
"""``attrs`` of a comparison: names of the two."""

CONCORDANCE: Final = "concordance"
"""``attrs`` of a comparison: numbers under the names of :mod:`bulkvi.comparison_names`."""
