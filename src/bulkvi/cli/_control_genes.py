"""``--control-genes``: a file, names, or the beginning of names."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData


def find_control_genes(adata: "AnnData", given: str) -> "list[str] | np.ndarray":
    """Control genes as `bulkvi.pp.size_factors` takes them.

    Parameters
    ----------
    adata
        Samples x genes, those with few counts left out.
    given
        A file with names separated by line breaks, commas or tabs (lines that begin with # are left out); or names
        separated by commas, of which one that is no gene is the beginning of names.

    Raises
    ------
    KeyError
        If no gene has such a name.
    ValueError
        If the file is empty or no text.
    """
    import numpy as np

    from bulkvi.names import SYMBOL

    if Path(given).is_file():
        return _names_in(Path(given))
    chosen = np.zeros(adata.n_vars, dtype=bool)
    columns = [adata.var_names, *([adata.var[SYMBOL].astype(str)] if SYMBOL in adata.var else [])]
    for name in filter(None, (part.strip() for part in given.split(","))):
        exact = [np.asarray(column == name) for column in columns]
        found = exact if np.any(exact) else [np.asarray(column.str.startswith(name)) for column in columns]
        if not np.any(found):
            raise KeyError(
                f"--control-genes {given}: there is no such file, and no gene has a name that is or begins with {name!r}; genes are "
                f"named like {list(adata.var_names[:3])}. Genes with few counts are left out (--min-counts)."
            )
        chosen |= np.any(found, axis=0)
    return chosen


def _names_in(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--control-genes {path}: the file is no text. Give a file with a gene name on each line."
        ) from error
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    names = [name.strip().strip('"') for line in lines for name in re.split(r"[,;\t]", line)]
    names = [name for name in names if name]
    if not names:
        raise ValueError(f"--control-genes {path}: the file is empty. Give a file with a gene name on each line.")
    return names
