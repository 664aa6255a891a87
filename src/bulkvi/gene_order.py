"""Order of genes by significance, the same in tables, pages and plots."""

from typing import Any, Final, Protocol

import numpy as np
from scipy.special import log_ndtr

from bulkvi.names import BASE_MEAN, LOG_FC, P_VALUE, STAT

UNDERFLOW: Final = 1e-300
"""p-values below it have lost digits or are 0; ``stat`` has not."""


class Columns(Protocol):
    """A table, or any mapping of names to arrays."""

    def get(self, name: str, /) -> Any:
        """Column, or None."""


def order_by_significance(table: Columns) -> np.ndarray:
    r"""Rank the genes of a table of differential expression, the most significant first.

    Genes are ordered by ``p_value``. Those below 1e-300, where floating-point numbers lose their digits, are ordered
    by ``abs(stat)``, the normal quantile of the p-value; in a table of bulkvi the whole order is that of ``abs(stat)``. Ties are
    broken by ``abs(log_fc)``, then by ``base_mean``, largest first, then by the position in the table. Genes without a
    p-value come last.

    Parameters
    ----------
    table
        Columns ``p_value`` and, where known, ``stat``, ``log_fc`` and ``base_mean``, one value per gene.

    Returns
    -------
    Positions, one per gene.

    Raises
    ------
    KeyError
        If there is no column ``p_value``.

    Examples
    --------
    >>> table = {"p_value": [0.5, 0.0, 0.0, 1e-9], "stat": [0.7, -45.0, 60.0, 6.1]}
    >>> order_by_significance(table).tolist()
    [2, 1, 3, 0]
    """
    p_value = _numbers(table.get(P_VALUE))
    if p_value is None:
        raise KeyError(f"the table has no column {P_VALUE!r} to order genes by.")
    keys = [np.where(p_value < UNDERFLOW, 0.0, p_value)]
    for name in (STAT, LOG_FC, BASE_MEAN):
        values = _numbers(table.get(name))
        if values is not None:
            keys.append(-np.abs(values))
    # lexsort takes the first key last, is stable, and puts NaN at the end
    return np.lexsort(keys[::-1])


def minus_log10(p_value: np.ndarray, stat: np.ndarray | None = None) -> np.ndarray:
    r"""Return -log10 of p-values, from the normal tail :math:`2 \Phi(-|stat|)` where they underflow.

    Parameters
    ----------
    p_value
        0 to 1.
    stat
        Normal quantile of the p-value with any sign, same shape; NaN where unknown.

    Returns
    -------
    Same shape; infinite where the p-value is 0 and ``stat`` is unknown.

    Examples
    --------
    >>> minus_log10(np.array([0.01, 0.0, 0.0]), np.array([2.576, 40.0, np.nan])).round(1).tolist()
    [2.0, 349.1, inf]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        height = -np.log10(p_value)
    if stat is not None:
        rescued = (p_value < UNDERFLOW) & np.isfinite(stat)
        height[rescued] = -(log_ndtr(-np.abs(stat[rescued])) + np.log(2)) / np.log(10)
    return height


def _numbers(column: Any) -> np.ndarray | None:
    if column is None:
        return None
    # columns of pandas may hold its own missing value
    convert = getattr(column, "to_numpy", None)
    return np.asarray(column, dtype=float) if convert is None else convert(dtype=float, na_value=np.nan)
