"""Fingerprint of registered samples: it shows whether labels, counts or genes have changed since."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.arguments import warn_user
from bulkvi.stats.counts.blocks import by_rows, read_rows

COLUMNS: Final = "columns"
GENES: Final = "genes"
MATRICES: Final = "matrices"
BLOCK: Final = 50
N_BLOCKS: Final = 4
"""Blocks of samples whose counts are compared, spread over all of them; all counts, if there are no more."""
AGAIN: Final = "Call setup_anndata again and train a new model, or undo the change."


def fingerprint(adata: AnnData, columns: Sequence[str], layers: Sequence[str | None]) -> dict[str, Any]:
    """Hash columns of obs and some rows of layers (None is X), and list the genes."""
    return {
        COLUMNS: {name: _hash_of_column(adata.obs[name]) for name in dict.fromkeys(columns)},
        MATRICES: {str(layer): _hash_of_matrix(adata, layer) for layer in layers},
        GENES: adata.var_names.astype(str).tolist(),
    }


def check_unchanged(record: dict[str, Any], adata: AnnData) -> None:
    """Raise ValueError with the first column, layer or gene list that differs from the record."""
    if not record:
        return
    if adata.var_names.astype(str).tolist() != record[GENES]:
        raise ValueError(
            f"The genes of adata are not those that were registered ({adata.n_vars:,} and {len(record[GENES]):,} genes, or another "
            f"order). {AGAIN}"
        )
    absent = [name for name in record[COLUMNS] if name not in adata.obs]
    changed = absent or [name for name, value in record[COLUMNS].items() if _hash_of_column(adata.obs[name]) != value]
    if changed:
        raise ValueError(
            f"adata.obs[{changed[0]!r}] {'is gone' if absent else 'has other values'} since setup_anndata: the model learned from "
            f"the old ones. {AGAIN}"
        )
    for layer, value in record[MATRICES].items():
        if _hash_of_matrix(adata, None if layer == "None" else layer) != value:
            place = "adata.X" if layer == "None" else f"adata.layers[{layer!r}]"
            raise ValueError(
                f"{place} has other values since setup_anndata, as after normalisation in place. {AGAIN} Raw counts that other "
                "tools must not touch can be a layer: layer='counts'."
            )


def _hash_of_column(column: pd.Series) -> str:
    """Hash the values, whatever their dtype: writing a file makes categories of text."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column):
        return _hash(column.to_numpy(dtype=float, na_value=np.nan))
    codes, levels = pd.factorize(column.astype(object))
    return _hash(codes.astype(np.int64), "\0".join(f"{type(level).__name__}{level}" for level in levels).encode())


def _hash_of_matrix(adata: AnnData, layer: str | None) -> str:
    matrix = adata.X if layer is None else adata.layers.get(layer)
    if matrix is None:
        return ""
    stored = by_rows(matrix)
    n, size = adata.n_obs, BLOCK if adata.n_obs > N_BLOCKS * BLOCK else adata.n_obs
    starts = np.unique(np.linspace(0, n - size, N_BLOCKS).astype(int))
    weights = 1 + np.arange(adata.n_vars) % 97  # so that genes that were exchanged are noticed
    sums = [read_rows(stored, slice(start, start + size)) @ weights for start in starts]
    return _hash(np.array(matrix.shape), np.concatenate(sums))


def _hash(*parts: np.ndarray | bytes) -> str:
    digest = hashlib.blake2b()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def check_genes(adata: AnnData, genes: list[str]) -> None:
    """Raise ValueError unless new samples have the genes of a model in its order."""
    if genes and adata.var_names.astype(str).tolist() != genes:
        raise ValueError(
            f"The genes of these samples are not the {len(genes):,} genes of the model in its order. Bring them there: "
            "BulkVI.prepare_query_anndata(adata, model)."
        )


def with_genes(adata: AnnData, genes: list[str]) -> AnnData:
    """Return the samples with the genes of a model in its order: themselves, or a copy with a warning.

    Raise ValueError if they lack genes of the model, or names repeat.
    """
    found = adata.var_names.astype(str)
    if not genes or found.tolist() == genes:
        return adata
    if not found.is_unique:
        raise ValueError("The names of the genes of adata repeat; the model's genes cannot be found by name.")
    absent = [gene for gene in genes if gene not in set(found)]
    if absent:
        raise ValueError(
            f"adata lacks {len(absent):,} of the {len(genes):,} genes of the model (first: {absent[:5]}). Give the samples that it "
            "was trained on; for new samples see BulkVI.prepare_query_anndata and BulkVI.load_query_data."
        )
    more = len(found) - len(genes)
    warn_user(
        f"The genes of adata are {f'{more:,} more than those of the model' if more else 'in another order than in the model'}: the "
        "model has a copy with its own genes in its own order, model.adata."
    )
    return adata[:, found.get_indexer(genes)].copy()
