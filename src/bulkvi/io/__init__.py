"""Read counts and sample sheets from the files that other tools write."""

from bulkvi.io._read_counts import read_counts
from bulkvi.io._read_samples import read_samples

__all__ = ["read_counts", "read_samples"]
