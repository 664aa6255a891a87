"""Columns of the tables of :func:`bulkvi.tl.check_design`; see :mod:`bulkvi.names` for those of genes."""

from typing import Final

COLUMN: Final = "column"
"""A column of ``obs``."""

OTHER_COLUMN: Final = "other_column"
"""A second column of ``obs``."""

ASSOCIATION: Final = "association"
"""How closely two columns go together, from 0 to 1, on the scale that ``measure`` names."""

MEASURE: Final = "measure"
"""``Cramer's V``, ``eta squared`` or ``squared correlation``."""

SEVERITY: Final = "severity"
"""``serious``: an answer would be wrong or is not there; ``note``: worth a thought."""

FINDING: Final = "finding"
"""What was found, in words."""

REMEDY: Final = "remedy"
"""What can be done about it."""
