"""Which way round a table of counts is: decided by the names of the samples, never by its shape."""

from collections.abc import Sequence
from typing import Literal

from bulkvi.io._sample_names import RULES, Match, pair_names

SamplesIn = Literal["columns", "rows"]


def samples_in(
    columns: Sequence[str], rows: Sequence[str], wanted: Sequence[str], match: Match, source: str
) -> SamplesIn:
    """Whether the samples of a sheet are the columns or the rows of a table.

    Parameters
    ----------
    columns, rows
        Names in the table.
    wanted
        Names in the sample sheet.
    match
        How names are compared.
    source
        What to call the table in messages.

    Raises
    ------
    ValueError
        If names match both ways and neither way is complete, or both are.
    """
    n_columns, n_rows = (len(pair_names(names, wanted, match)) for names in (columns, rows))
    complete = {"columns": n_columns == len(wanted), "rows": n_rows == len(wanted)}
    if complete["columns"] != complete["rows"]:
        return "columns" if complete["columns"] else "rows"
    if n_columns and n_rows:
        raise ValueError(
            f"{source}: {n_columns} of the {len(wanted)} sample names are names of columns and {n_rows} are names of rows, so "
            "samples cannot be told from genes. Say which they are with samples_in='columns' or samples_in='rows', or give "
            "the samples names that no gene has."
        )
    if n_columns or n_rows:
        return "columns" if n_columns else "rows"
    loosely = [max(len(rule(names, wanted)) for rule in RULES.values()) for names in (columns, rows)]
    if loosely[0] == loosely[1]:
        return "columns" if len(columns) <= len(rows) else "rows"
    return "columns" if loosely[0] > loosely[1] else "rows"
