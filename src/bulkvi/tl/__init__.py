"""Look at a study before and after the model: designs, samples, and how the answer compares with other tools'."""

from bulkvi.tl._check_design import DesignCheck, check_design
from bulkvi.tl._check_samples import check_samples
from bulkvi.tl._compare import compare
from bulkvi.tl._comparison import Comparison
from bulkvi.tl._to_deseq2 import to_deseq2
from bulkvi.tl._to_pertpy import to_pertpy

__all__ = ["Comparison", "DesignCheck", "check_design", "check_samples", "compare", "to_deseq2", "to_pertpy"]
