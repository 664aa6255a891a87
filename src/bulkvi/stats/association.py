"""How closely two columns of a table of samples go together: 0 for not at all, 1 where one says all of the other."""

import numpy as np
from scipy.stats.contingency import association, crosstab


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Cramer's V of two categorical columns: how far they are from independent.

    1 where the column with more levels decides the other. With few samples and many levels it is large by chance alone.

    Parameters
    ----------
    a, b
        Codes of the levels, shape ``(n_samples,)``.

    Returns
    -------
    The square root of chi squared over its largest possible value, in [0, 1]; NaN if a column has one level.

    Examples
    --------
    >>> cramers_v(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    1.0
    >>> cramers_v(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    0.0
    """
    table = crosstab(a, b).count
    if min(table.shape) < 2:
        return float("nan")
    return float(association(table, method="cramer"))


def correlation_ratio(groups: np.ndarray, values: np.ndarray) -> float:
    r"""Eta squared: share of the variance of a numeric column that lies between the levels of a categorical one.

    .. math:: \eta^2 = \sum_k n_k (\bar x_k - \bar x)^2 \Big/ \sum_n (x_n - \bar x)^2

    Parameters
    ----------
    groups
        Codes of the levels, shape ``(n_samples,)``.
    values
        Numbers, shape ``(n_samples,)``.

    Returns
    -------
    A number in [0, 1]; NaN if there is one level or the numbers are all the same.

    Examples
    --------
    >>> correlation_ratio(np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 5.0, 7.0]))
    0.8
    """
    _, codes = np.unique(groups, return_inverse=True)
    centred = values - values.mean()
    total = float(centred @ centred)
    if total == 0 or not codes.any():
        return float("nan")
    sums = np.bincount(codes, centred)
    return float((sums**2 / np.bincount(codes)).sum() / total)


def squared_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Square of Pearson's correlation of two numeric columns.

    Parameters
    ----------
    a, b
        Numbers, shape ``(n_samples,)``.

    Returns
    -------
    A number in [0, 1]; NaN if a column is constant.

    Examples
    --------
    >>> squared_correlation(np.array([1.0, 2.0, 3.0]), np.array([6.0, 4.0, 2.0]))
    1.0
    """
    x, y = a - a.mean(), b - b.mean()
    scale = float((x @ x) * (y @ y))
    return float(x @ y) ** 2 / scale if scale else float("nan")
