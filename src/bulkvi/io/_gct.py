"""Tables of counts in GenePattern's ``.gct``: two lines above the header, the second of which holds the size of the table."""

import warnings

from bulkvi.io._gene_names import plain
from bulkvi.io._tables import Table


def without_annotation_rows(table: Table, source: str) -> Table:
    """The table without rows that annotate samples (version 1.3), its size compared with what the file says.

    Raises
    ------
    ValueError
        If the table has not the size that the file says.
    """
    said = table.dimensions
    n_rows, n_samples, n_columns, n_annotation = said if len(said) == 4 else (*said[:2], 1, 0)
    labels = list(map(plain, table.labels))
    leading = 1 + n_columns + (len(said) == 2 and labels[:3] == ["id", "name", "description"])  # as GTEx writes it
    found = len(table.cells) - n_annotation, len(table.labels) - leading
    if len(said) not in (2, 4) or found != (n_rows, n_samples):
        raise ValueError(
            f"{source}: its second line says {' x '.join(map(str, said[:2]))} (genes x samples), and the table holds "
            f"{found[0]} x {found[1]}. The file may be cut off, or was changed after it was written: get it again, or correct that line."
        )
    if n_annotation:
        names = table.cells[0].iloc[:n_annotation].tolist()
        warnings.warn(
            f"{source}: {n_annotation} rows annotate samples and were left out: {names[:5]}.", UserWarning, stacklevel=2
        )
    cells = table.cells.iloc[n_annotation:].reset_index(drop=True)
    return table._replace(cells=cells, lines=table.lines[n_annotation:])


def gct_columns(table: Table, ids: int | None) -> tuple[int, int | None]:
    """Positions of gene ids and of symbols: the column Name, and Description where it holds single words."""
    labels = list(map(plain, table.labels))
    if ids is None:
        ids = labels.index("name") if "name" in labels[:3] else 0
    described = labels.index("description") if "description" in labels[:4] else None
    if described is not None:
        words = table.cells[described].dropna().astype(str)
        if not len(words) or words.str.contains(r"\s").any():
            described = None
    return ids, described
