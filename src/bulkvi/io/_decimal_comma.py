"""Numbers with a comma in tables of counts."""

import re
from typing import Final

import pandas as pd

from bulkvi.io._tables import Table

WITH_COMMA: Final = r"-?\d+(,\d+)?"
DECIMAL: Final = re.compile(r"-?(0\d*,\d+|\d{4,},\d+|\d+,(\d{1,2}|\d{4,}))")
"""Numbers whose comma cannot separate thousands."""


def with_points(table: Table) -> Table:
    """The table with decimal commas read as such.

    A comma is a decimal one where semicolons separate the columns, and elsewhere if one number of the table has it where it
    cannot separate thousands, as in 260,0.
    """
    text = {}
    for k in table.cells.columns[1:]:
        column = table.cells[k]
        if not pd.api.types.is_numeric_dtype(column):
            known = column.dropna().astype(str).str.strip()
            if known.str.contains(",").any() and known.str.fullmatch(WITH_COMMA).all():
                text[k] = known
    if not text:
        return table
    if table.separator != ";" and not any(known.str.fullmatch(DECIMAL.pattern).any() for known in text.values()):
        return table
    cells = table.cells.copy()
    for k, known in text.items():
        cells[k] = pd.to_numeric(known.str.replace(",", ".")).reindex(cells.index)
    return table._replace(cells=cells)
