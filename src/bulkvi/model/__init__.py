"""The model, on scvi-tools."""

from bulkvi.model._model import BulkVI

__all__ = ["BulkVI"]
