"""Names of the latent representation: its record in ``uns``, and the columns of the table of loadings."""

from typing import Final

DESIGN_VARIABLES: Final = "_bulkvi_design_variables"
"""``uns``: columns of ``obs`` in the design, batch and covariates of the last ``setup_anndata``; absent without any."""

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
