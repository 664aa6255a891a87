"""Rank of a design matrix, and which columns are to blame."""

import numpy as np


def aliased_columns(matrix: np.ndarray, tolerance: float = 1e-8) -> dict[int, list[int]]:
    """Columns that are linear combinations of earlier columns.

    Parameters
    ----------
    matrix
        Shape ``(n_samples, n_columns)``.
    tolerance
        A column is aliased if what earlier columns leave of it is shorter than this times its own length.

    Returns
    -------
    For each aliased column the earlier columns it follows from, both by index; an all-zero column follows from none.

    Examples
    --------
    >>> aliased_columns(np.array([[1.0, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]]))
    {2: [0, 1]}
    """
    scale = np.linalg.norm(matrix, axis=0)
    unit = matrix / np.where(scale > 0, scale, 1)
    kept: list[int] = []
    aliased: dict[int, list[int]] = {}
    for column in range(matrix.shape[1]):
        basis = unit[:, kept]
        weights = np.linalg.lstsq(basis, unit[:, column], rcond=None)[0] if kept else np.zeros(0)
        left = unit[:, column] - basis @ weights
        if np.linalg.norm(left) > tolerance:
            kept.append(column)
        else:
            aliased[column] = [kept[k] for k in np.flatnonzero(np.abs(weights) > 1e-6)]
    return aliased
