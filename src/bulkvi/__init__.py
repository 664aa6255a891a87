"""Deep generative models for bulk RNA-seq on scvi-tools."""

from importlib.metadata import version

from bulkvi import datasets, pp
from bulkvi.model import BulkVI

__all__ = ["BulkVI", "datasets", "pp"]
__version__ = version("bulkvi")
