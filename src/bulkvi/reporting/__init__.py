"""Page and figures of a comparison, made from a model and its table; nothing is estimated here."""

from bulkvi.reporting._report import report, write_figures

__all__ = ["report", "write_figures"]
