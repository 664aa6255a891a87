"""Names of what references write: fields of the file of a reference."""

from typing import Final

FORMAT: Final = "bulkvi reference"
"""Name of the file format, in its header."""

FORMAT_VERSION: Final = 1
"""Version of the file format."""
