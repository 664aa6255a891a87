"""Counts, and the profiles of their dispersions."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.dispersion.profile import dispersion_profile
from bulkvi.stats.nb.regression import blocks, make_layout


class Given(NamedTuple):
    counts: np.ndarray
    features: np.ndarray
    offset: np.ndarray


def profile_of(cohort):
    """Dispersion profile and log mean rate of a cohort."""
    layout, order = make_layout(cohort.features, np.full(cohort.features.shape[1], 1e-2))
    block = next(blocks(cohort.counts, cohort.offset, None, layout, order, cohort.counts.shape[1]))[1]
    n, p = cohort.features.shape
    rate = (block.counts / block.exposure).mean(0)
    return dispersion_profile(block, n - p), np.log(rate + 1e-9)
