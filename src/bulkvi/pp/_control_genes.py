"""Control genes: genes that are assumed not to change, such as spike-ins or housekeeping genes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.arguments import warn_user
from bulkvi.names import SYMBOL

MIN_CONTROL_GENES = 3
"""The median of fewer genes is no more robust than their mean."""


def control_mask(adata: AnnData, control_genes: Any, usable: np.ndarray | None = None) -> np.ndarray:
    """Find the control genes among the genes of ``adata``, boolean, shape ``(n_vars,)``.

    ``control_genes`` is a list of names, a boolean for each gene, or a boolean column of ``var``. At least
    `MIN_CONTROL_GENES` must be among the genes, or among the ``usable`` ones (boolean, shape ``(n_vars,)``).
    """
    if isinstance(control_genes, str):
        mask = _column_mask(adata, control_genes)
    elif _is_mask(control_genes):
        mask = _aligned_mask(adata, control_genes)
    else:
        mask = _name_mask(adata, control_genes)
    n_usable = int(mask.sum() if usable is None else (mask & usable).sum())
    if n_usable < MIN_CONTROL_GENES:
        found = "are among the genes" if usable is None else f"of {int(mask.sum())} among the genes have a reference"
        raise ValueError(
            f"control_genes: {n_usable} {found}, and at least {MIN_CONTROL_GENES} are needed, because size factors are medians over them. Give "
            "more genes; bulkvi.pp.filter_genes may have removed those with few counts."
        )
    return mask


def _column_mask(adata: AnnData, name: str) -> np.ndarray:
    if name not in adata.var:
        raise KeyError(
            f"control_genes={name!r} is not a column of adata.var; it has {list(adata.var.columns)}. Give a boolean column, a "
            f"list of gene names, such as [{name!r}, ...], or a mask, such as adata.var_names.str.startswith('ERCC-')."
        )
    return _boolean(adata.var[name], f"adata.var[{name!r}]")


def _is_mask(control_genes: Any) -> bool:
    if isinstance(control_genes, pd.DataFrame) or np.ndim(control_genes) != 1 or len(control_genes) == 0:
        return False
    if hasattr(control_genes, "dtype"):
        return bool(pd.api.types.is_bool_dtype(control_genes.dtype))
    return all(isinstance(value, bool | np.bool_) for value in control_genes)


def _aligned_mask(adata: AnnData, values: Any) -> np.ndarray:
    if len(values) != adata.n_vars:
        raise ValueError(
            f"control_genes is a mask of {len(values)} values; adata has {adata.n_vars} genes. Make it again from this adata: "
            "bulkvi.pp.filter_genes may have removed genes since. A column of adata.var stays in step."
        )
    labelled = isinstance(values, pd.Series) and not isinstance(values.index, pd.RangeIndex)
    if labelled and not values.index.equals(adata.var_names):
        if not values.index.is_unique or set(values.index) != set(adata.var_names):
            raise ValueError(
                f"control_genes is a Series by names such as {list(values.index[:3])}; the genes of adata are "
                f"{list(adata.var_names[:3])}, ... Index it by adata.var_names, or give an array."
            )
        values = values.reindex(adata.var_names)
    return _boolean(pd.Series(values), "control_genes")


def _boolean(values: pd.Series, label: str) -> np.ndarray:
    if values.isna().any():
        raise ValueError(f"{label} is missing for {int(values.isna().sum())} genes: give True or False for each.")
    if not (pd.api.types.is_bool_dtype(values.dtype) or values.isin([0, 1]).all()):
        raise ValueError(
            f"{label} must hold True or False for each gene; it holds {values.unique().tolist()[:4]}. For genes of one kind give "
            "a mask, such as adata.var['kind'] == 'spike_in'."
        )
    return values.to_numpy(dtype=bool)


def _name_mask(adata: AnnData, names: Any) -> np.ndarray:
    flat = not isinstance(names, dict | bytes | AnnData | pd.DataFrame) and np.ndim(names) <= 1
    if not (flat and isinstance(names, Iterable)):
        raise TypeError(
            f"control_genes must be a list of gene names, a boolean for each gene, or the name of a column of adata.var; it is of "
            f"type {type(names).__name__}."
        )
    names = list(dict.fromkeys(names))
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise TypeError(f"control_genes must hold names of genes (text) or True and False; it holds {wrong[0]!r}.")
    index = adata.var_names
    if SYMBOL in adata.var and not index.isin(names).any():
        index = pd.Index(adata.var[SYMBOL].astype(str))
    missing = [name for name in names if name not in set(index)]
    if names and len(missing) == len(names):
        raise KeyError(
            f"control_genes: none of the {len(names)} names, such as {names[:3]}, is a gene of adata, whose genes are named like "
            f"{list(adata.var_names[:3])}. bulkvi.pp.filter_genes may have removed them: they need counts."
        )
    if missing:
        warn_user(
            f"{len(missing)} of {len(names)} control genes are not among the genes of adata, for example {missing[:3]}: size factors "
            "were estimated without them. bulkvi.pp.filter_genes may have removed them for too few counts."
        )
    return index.isin(names)
