"""Draw tables and AnnData on an Axes; nothing is computed here."""

from bulkvi.pl._latent import latent
from bulkvi.pl._log_fc_scatter import log_fc_scatter
from bulkvi.pl._size_factors import size_factors
from bulkvi.pl._training import training

__all__ = ["latent", "log_fc_scatter", "size_factors", "training"]
