"""One page on one comparison, for people: reads a model and its table, computes nothing of its own."""

from bulkvi.reporting._report import report

__all__ = ["report"]
