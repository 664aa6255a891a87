"""A design matrix of one's own in the place of a formula: columns of obs, each a slope."""

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.study.design import INTERCEPT
from bulkvi.study.formula_calls import COLUMN
from bulkvi.study.formula_names import backticked


def add_design_matrix(adata: AnnData, matrix: pd.DataFrame) -> str:
    """Write the columns of a design matrix into ``adata.obs``, and return the formula that reads them.

    A constant column is the intercept and gets the name of one; without it the formula has none.

    Parameters
    ----------
    adata
        Samples x genes.
    matrix
        Samples x columns, indexed by ``obs_names`` in any order.

    Raises
    ------
    ValueError
        If samples are missing or others are there, names repeat, a column does not hold finite numbers, or obs has another
        column of the same name.
    """
    names = [str(name) for name in matrix.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise ValueError(f"The design matrix needs columns with names of their own; {repeated or 'it has none'}.")
    if not matrix.index.is_unique or set(matrix.index) != set(adata.obs_names):
        absent = [name for name in adata.obs_names if name not in set(matrix.index)]
        raise ValueError(
            f"The design matrix must have a row for each of the {adata.n_obs} samples, indexed by adata.obs_names; it has "
            f"{len(matrix)} rows, {len(absent)} samples are missing (first: {absent[:3]}). Set matrix.index = adata.obs_names if the "
            "order is the same."
        )
    columns = {}
    for name, label in zip(names, matrix.columns, strict=True):
        column = matrix[label].reindex(adata.obs_names)
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if not np.isfinite(numbers).all():
            raise ValueError(
                f"The design matrix: column {name!r} does not hold finite numbers in all samples. A matrix is numbers only; text "
                "and categories go into a formula."
            )
        columns[name] = numbers
    constant = [name for name, values in columns.items() if np.ptp(values) == 0 and values[0] != 0]
    if len(constant) > 1:
        raise ValueError(
            f"The design matrix has {len(constant)} constant columns, {constant}. Leave one: the intercept."
        )
    if INTERCEPT in columns and INTERCEPT not in constant:
        raise ValueError(f"The design matrix: column {INTERCEPT!r} is not constant. Rename it.")
    varying = {name: values for name, values in columns.items() if name not in constant}
    for name, values in varying.items():
        if name in adata.obs and not _same(adata.obs[name], values):
            raise ValueError(
                f"adata.obs has a column {name!r} with other values than the design matrix, whose columns are written there. Rename "
                "one of them."
            )
    for name, values in varying.items():
        if name not in adata.obs:
            adata.obs[name] = values
    return " + ".join([f"~ {int(bool(constant))}", *(f"{COLUMN}({backticked(name)})" for name in varying)])


def is_matrix_formula(formula: str) -> bool:
    """Whether a formula is one of :func:`add_design_matrix`."""
    return formula.startswith((f"~ 0 + {COLUMN}(", f"~ 1 + {COLUMN}("))


def _same(column: pd.Series, values: np.ndarray) -> bool:
    if not pd.api.types.is_numeric_dtype(column):
        return False
    return bool(np.array_equal(column.to_numpy(dtype=float, na_value=np.nan), values))
