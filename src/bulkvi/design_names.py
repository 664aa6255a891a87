"""Columns of the tables of :func:`bulkvi.tl.check_design`; see :mod:`bulkvi.names` for those of genes."""

from typing import Final

COLUMN: Final = "column"
"""A column of ``obs``."""

OTHER_COLUMN: Final = "other_column"
"""A second column of ``obs``."""

ASSOCIATION: Final = "association"
"""Strength of association of two columns, from 0 to 1, on the scale that ``measure`` names."""

MEASURE: Final = "measure"
"""``Cramer's V``, ``eta squared`` or ``squared correlation``."""

SEVERITY: Final = "severity"
"""``serious``: a result would be wrong or missing; ``note``: worth a check."""

FINDING: Final = "finding"
"""Description of the finding."""

REMEDY: Final = "remedy"
"""Remedy of the finding."""
