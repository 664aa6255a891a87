"""Deep generative models for bulk RNA-seq on scvi-tools."""

from importlib.metadata import version

from bulkvi import datasets, pl, pp
from bulkvi.model import BulkVI

__all__ = ["BulkVI", "datasets", "pl", "pp"]
__version__ = version("bulkvi")
