"""Other methods on the same AnnData, with their defaults and with results in the columns of the same table."""

from bulkvi.baselines._pydeseq2 import pydeseq2
from bulkvi.baselines._scvi import scvi
from bulkvi.baselines._zinb import zinb

__all__ = ["pydeseq2", "scvi", "zinb"]
