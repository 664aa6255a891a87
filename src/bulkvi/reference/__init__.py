"""Reference cohorts: what other people's samples teach a small study."""

from bulkvi.reference._reference import Reference

__all__ = ["Reference"]
