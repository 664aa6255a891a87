"""Keys and columns of what a reference cohort does in a study."""

from typing import Final

REFERENCE: Final = "reference"
"""``attrs`` of the table of differential expression: what a reference did, as plain values; the keys below."""
REFERENCE_NAME: Final = "name"
"""What the cohort is called."""
N_GENES: Final = "n_genes"
"""Genes of the study that the cohort has."""
N_DIRECTIONS: Final = "n_directions"
"""Directions of the cohort."""
DISPERSION_TRUST: Final = "dispersion_trust"
"""Share of the genes' deviations from the cohort's trend of dispersions that is found again in the study."""
CARRIED_P_VALUE: Final = "carried_p_value"
"""p-value that the groups stand no further apart along the directions than their replicates do."""
SCALE: Final = "scale"
"""Standard deviation of the study's samples along a direction relative to the cohort's."""
