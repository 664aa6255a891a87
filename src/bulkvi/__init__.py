"""Deep generative models for bulk RNA-seq on scvi-tools."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bulkvi import baselines, datasets, io, pl, pp, tl
    from bulkvi.model import BulkVI
    from bulkvi.reference import Reference
    from bulkvi.reporting import report

__all__ = ["BulkVI", "Reference", "baselines", "datasets", "io", "pl", "pp", "report", "tl"]
__version__ = version("bulkvi")


def __getattr__(name: str) -> Any:
    # PyTorch and scvi-tools take seconds to load: `bulkvi --help` need not wait for them
    if name == "BulkVI":
        return import_module("bulkvi.model").BulkVI
    if name == "Reference":
        return import_module("bulkvi.reference").Reference
    if name == "report":
        return import_module("bulkvi.reporting").report
    if name in __all__:
        return import_module(f"bulkvi.{name}")
    raise AttributeError(f"module 'bulkvi' has no attribute {name!r}; it has {__all__}.")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
