"""Other methods on the same AnnData, each as it comes, with answers in the columns of our table."""

from bulkvi.baselines._pydeseq2 import pydeseq2
from bulkvi.baselines._scvi import scvi
from bulkvi.baselines._zinb import zinb

__all__ = ["pydeseq2", "scvi", "zinb"]
