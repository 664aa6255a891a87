"""Rank of a design matrix, its linearly dependent columns, and a basis of full rank."""

import numpy as np


def aliased_columns(matrix: np.ndarray, tolerance: float = 1e-8) -> dict[int, list[int]]:
    """Find columns of a matrix that are linear combinations of earlier ones; returns the columns of each combination.

    A column is aliased if its remainder after the earlier columns is shorter than ``tolerance`` times its length. An all-zero
    column depends on none.
    """
    scale = np.linalg.norm(matrix, axis=0)
    unit = matrix / np.where(scale > 0, scale, 1)
    kept: list[int] = []
    aliased: dict[int, list[int]] = {}
    for column in range(matrix.shape[1]):
        basis = unit[:, kept]
        weights = np.linalg.lstsq(basis, unit[:, column], rcond=None)[0] if kept else np.zeros(0)
        rest = unit[:, column] - basis @ weights
        if np.linalg.norm(rest) > tolerance:
            kept.append(column)
        else:
            aliased[column] = [kept[k] for k in np.flatnonzero(np.abs(weights) > 1e-6)]
    return aliased


def well_conditioned(rows: np.ndarray) -> np.ndarray:
    """Span the columns of the design (labels x samples x columns) by uncorrelated ones of variance about one.

    The result, labels x samples x rank, does not depend on units: dates such as 20240131, or ages in days, lose their large
    mean before any product is computed.
    """
    flat = rows.reshape(-1, rows.shape[-1])
    mean = flat.mean(0)
    centred = flat - mean
    scale = np.abs(centred).max(0)
    varies = scale > 1e-12 * np.abs(mean)
    centred = centred[:, varies] / scale[varies]
    # a constant is used where the columns span one
    ones = np.ones((len(flat), 1))
    unit = flat / np.where(np.abs(flat).max(0) > 0, np.abs(flat).max(0), 1)
    rest = ones - unit @ np.linalg.lstsq(unit, ones, rcond=None)[0]
    whole = np.hstack([ones, centred]) if np.abs(rest).max() < 1e-6 else unit
    directions, sizes, _ = np.linalg.svd(whole, full_matrices=False)
    directions = directions[:, sizes > 1e-9 * sizes[0]]
    return (directions * np.sqrt(len(flat))).reshape(*rows.shape[:2], -1)
