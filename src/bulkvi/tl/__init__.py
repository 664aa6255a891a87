"""Look at a study before and after the model: is the design honest, are the samples who they are said to be."""

from bulkvi.tl._check_design import DesignCheck, check_design
from bulkvi.tl._check_samples import check_samples

__all__ = ["DesignCheck", "check_design", "check_samples"]
