"""Control genes: the genes that a user takes for unchanged, such as spike-ins or housekeeping genes."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.names import SYMBOL

FEWEST = 3
"""Least number of control genes: the median of fewer is no more robust than their mean."""


def control_mask(adata: AnnData, control_genes: Any, usable: np.ndarray | None = None) -> np.ndarray:
    """Find the control genes among the genes of ``adata``.

    Parameters
    ----------
    adata
        Samples x genes.
    control_genes
        Names of genes, a boolean for each gene, or a boolean column of ``var``.
    usable
        Genes that could be measured on, boolean; all by default.

    Returns
    -------
    Control genes, boolean, shape ``(n_vars,)``.

    Raises
    ------
    TypeError
        If it is none of the three.
    KeyError
        If there is no such column, or no such gene.
    ValueError
        If a mask has another length or missing values, or fewer than `FEWEST` genes are left.
    """
    if isinstance(control_genes, str):
        mask = _column(adata, control_genes)
    elif _is_mask(control_genes):
        mask = _mask(adata, control_genes)
    else:
        mask = _named(adata, control_genes)
    n_usable = int(mask.sum() if usable is None else (mask & usable).sum())
    if n_usable < FEWEST:
        found = "are among the genes" if usable is None else f"of {int(mask.sum())} among the genes have a reference"
        raise ValueError(
            f"control_genes: {n_usable} {found}, and at least {FEWEST} are needed, because size factors are medians over them. Give "
            "more genes; bulkvi.pp.filter_genes may have removed those with few counts."
        )
    return mask


def _column(adata: AnnData, name: str) -> np.ndarray:
    if name not in adata.var:
        raise KeyError(
            f"control_genes={name!r} is not a column of adata.var; it has {list(adata.var.columns)}. Give a boolean column, a "
            f"list of gene names, such as [{name!r}, ...], or a mask, such as adata.var_names.str.startswith('ERCC-')."
        )
    return _truth(adata.var[name], f"adata.var[{name!r}]")


def _is_mask(control_genes: Any) -> bool:
    if isinstance(control_genes, pd.DataFrame) or np.ndim(control_genes) != 1 or len(control_genes) == 0:
        return False
    if hasattr(control_genes, "dtype"):
        return bool(pd.api.types.is_bool_dtype(control_genes.dtype))
    return all(isinstance(value, bool | np.bool_) for value in control_genes)


def _mask(adata: AnnData, given: Any) -> np.ndarray:
    if len(given) != adata.n_vars:
        raise ValueError(
            f"control_genes is a mask of {len(given)} values; adata has {adata.n_vars} genes. Make it again from this adata: "
            "bulkvi.pp.filter_genes may have removed genes since. A column of adata.var stays in step."
        )
    named = isinstance(given, pd.Series) and not isinstance(given.index, pd.RangeIndex)
    if named and not given.index.equals(adata.var_names):
        if not given.index.is_unique or set(given.index) != set(adata.var_names):
            raise ValueError(
                f"control_genes is a Series by names such as {list(given.index[:3])}; the genes of adata are "
                f"{list(adata.var_names[:3])}, ... Index it by adata.var_names, or give an array."
            )
        given = given.reindex(adata.var_names)
    return _truth(pd.Series(given), "control_genes")


def _truth(values: pd.Series, what: str) -> np.ndarray:
    if values.isna().any():
        raise ValueError(f"{what} is missing for {int(values.isna().sum())} genes: give True or False for each.")
    if not (pd.api.types.is_bool_dtype(values.dtype) or values.isin([0, 1]).all()):
        raise ValueError(
            f"{what} must hold True or False for each gene; it holds {values.unique().tolist()[:4]}. For genes of one kind give "
            "a mask, such as adata.var['kind'] == 'spike_in'."
        )
    return values.to_numpy(dtype=bool)


def _named(adata: AnnData, given: Any) -> np.ndarray:
    flat = not isinstance(given, dict | bytes | AnnData | pd.DataFrame) and np.ndim(given) <= 1
    if not (flat and isinstance(given, Iterable)):
        raise TypeError(
            f"control_genes must be a list of gene names, a boolean for each gene, or the name of a column of adata.var; it is of "
            f"type {type(given).__name__}."
        )
    names = list(dict.fromkeys(given))
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
        warnings.warn(
            f"{len(missing)} of {len(names)} control genes are not among the genes of adata, for example {missing[:3]}: size factors "
            "were estimated without them. bulkvi.pp.filter_genes may have removed them for too few counts.",
            UserWarning,
            stacklevel=4,
        )
    return index.isin(names)
