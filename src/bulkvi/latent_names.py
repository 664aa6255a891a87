"""Columns of the table of loadings on the axes of the latent representation, named once."""

from typing import Final

AXIS: Final = "axis"
"""Axis of the latent representation, ``axis_1`` with the largest variance."""

LOADING: Final = "loading"
"""Posterior mean of the change along the axis, log2 fold change per standard deviation of the training samples."""

LOADING_SD: Final = "loading_sd"
"""Its posterior standard deviation; log2."""

LOADING_LOW: Final = "loading_low"
"""Lower end of its credible interval; log2."""

LOADING_HIGH: Final = "loading_high"
"""Upper end of its credible interval; log2."""
