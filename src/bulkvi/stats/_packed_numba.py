"""Small symmetric positive definite systems, many side by side, compiled.

A tile holds ``p (p + 1) / 2 x width`` numbers: the rows of the lower triangle, entry ``(j, k)`` at
``j (j + 1) / 2 + k``, of ``width`` matrices. Loops run over the matrices innermost, so they become vector code.
"""

import math

from numba import njit

from bulkvi.stats._vector_math import INNER, fast_log


@njit(**INNER)
def fill(out, value):
    for v in range(out.size):
        out[v] = value


@njit(**INNER)
def factor(matrix, log_det, p):
    """Packed matrices -> packed Cholesky factors, diagonals inverted, and the log determinants."""
    width = matrix.shape[1]
    fill(log_det, 0.0)
    for j in range(p):
        row_j = j * (j + 1) // 2
        for k in range(j + 1):
            row_k = k * (k + 1) // 2
            for m in range(k):
                for v in range(width):
                    matrix[row_j + k, v] -= matrix[row_j + m, v] * matrix[row_k + m, v]
            if k < j:
                for v in range(width):
                    matrix[row_j + k, v] *= matrix[row_k + k, v]
            else:
                for v in range(width):
                    pivot = max(matrix[row_j + j, v], 1e-300)
                    log_det[v] += fast_log(pivot)
                    matrix[row_j + j, v] = 1.0 / math.sqrt(pivot)


@njit(**INNER)
def solve(factor, rhs, out):
    """Solve ``L L' out = rhs`` with factors of `factor`."""
    p, width = rhs.shape
    for j in range(p):
        row = j * (j + 1) // 2
        for v in range(width):
            out[j, v] = rhs[j, v]
        for k in range(j):
            for v in range(width):
                out[j, v] -= factor[row + k, v] * out[k, v]
        for v in range(width):
            out[j, v] *= factor[row + j, v]
    for j in range(p - 1, -1, -1):
        for k in range(j + 1, p):
            row = k * (k + 1) // 2
            for v in range(width):
                out[j, v] -= factor[row + j, v] * out[k, v]
        row = j * (j + 1) // 2
        for v in range(width):
            out[j, v] *= factor[row + j, v]


@njit(**INNER)
def invert(factor, out, p):
    """Packed inverses of ``L L'``; the factors of `factor` become the inverses of L."""
    width = factor.shape[1]
    for j in range(p):
        row = j * (j + 1) // 2
        for k in range(j):
            for v in range(width):
                factor[row + k, v] *= factor[k * (k + 1) // 2 + k, v]
            for m in range(k + 1, j):
                for v in range(width):
                    factor[row + k, v] += factor[row + m, v] * factor[m * (m + 1) // 2 + k, v]
            for v in range(width):
                factor[row + k, v] *= -factor[row + j, v]
    for j in range(p):
        for k in range(j + 1):
            q = j * (j + 1) // 2 + k
            for v in range(width):
                out[q, v] = 0.0
            for m in range(j, p):
                row = m * (m + 1) // 2
                for v in range(width):
                    out[q, v] += factor[row + j, v] * factor[row + k, v]
