"""Where genes that a user names stand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def gene_positions(argument: str, genes: Sequence[str], var_names: pd.Index) -> np.ndarray:
    """Positions of genes in ``var_names``, in the order given.

    Raises
    ------
    TypeError
        If ``genes`` is one name: it would be read letter by letter.
    KeyError
        If a gene is not there.
    """
    if isinstance(genes, str):
        raise TypeError(f"{argument} must be a list of genes; it is the text {genes!r}. Write [{genes!r}].")
    genes = list(genes)
    positions = var_names.get_indexer(genes)
    if (positions < 0).any():
        unknown = [gene for gene, position in zip(genes, positions, strict=True) if position < 0]
        raise KeyError(
            f"{len(unknown)} genes are not in the model, for example {unknown[:5]}; it knows {list(var_names[:3])}, ..."
        )
    return positions
