"""Negative binomial regression of every gene on a few features, at given dispersions.

Genes are worked on in blocks. Genes are always the last axis; samples with equal features are consecutive in a block.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from bulkvi.stats.nb.kernels import evaluate, newton_step

T = TypeVar("T", bound=tuple)
BLOCK_ENTRIES = 2**22
MAX_ITER = 200


class Layout(NamedTuple):
    """Features of the samples, equal rows together, and the ridge on their coefficients."""

    unique: np.ndarray
    """Different rows of the features, rows x p."""
    outer: np.ndarray
    """Products of the columns of ``unique``, rows x p (p + 1) / 2, packed lower triangles."""
    start: np.ndarray
    """First sample of each different row, and the number of samples at the end; integers."""
    ridge: np.ndarray
    """Prior precision of the coefficients, p x p."""
    ridge_packed: np.ndarray
    """Lower triangle of ``ridge``."""
    reach: np.ndarray
    """Largest absolute value of each feature, p."""


class Block(NamedTuple):
    """Some genes of a data set, samples in the order of the layout."""

    counts: np.ndarray
    """Samples x genes."""
    exposure: np.ndarray
    """exp(offset), samples x genes or samples x 1."""
    weights: np.ndarray
    """Weight of each observation's log likelihood, samples x genes; 0 x 0 when all are 1."""
    layout: Layout


class NBRegression(NamedTuple):
    """Ridge regression of counts under the negative binomial; natural logs, genes last."""

    coef: np.ndarray
    """Mode of the coefficients, features x genes."""
    covariance: np.ndarray
    """Inverse of the observed information plus ridge at the mode, features x features x genes."""
    log_likelihood: np.ndarray
    """Adjusted profile log likelihood of the dispersion without terms of the counts alone, genes (see `nb_regression`)."""
    converged: np.ndarray
    """Whether the mode was reached, genes."""


def make_layout(features: np.ndarray, ridge: np.ndarray) -> tuple[Layout, np.ndarray]:
    """Group the samples by their features (samples x p); returns the layout and the order of samples in it."""
    rows = np.asarray(features, dtype=float)
    precision = np.asarray(ridge, dtype=float)
    p = rows.shape[1]
    if precision.ndim < 2:
        precision = np.diag(np.broadcast_to(precision, p))
    unique, which = np.unique(rows, axis=0, return_inverse=True)
    which = which.reshape(-1)
    lower = np.tril_indices(p)
    layout = Layout(
        unique,
        np.ascontiguousarray(unique[:, lower[0]] * unique[:, lower[1]]),
        np.concatenate([[0], np.cumsum(np.bincount(which))]),
        np.ascontiguousarray(precision, dtype=float),
        np.ascontiguousarray(precision[lower], dtype=float),
        np.abs(unique).max(axis=0),
    )
    return layout, np.argsort(which, kind="stable")


def blocks(
    counts: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray | None,
    layout: Layout,
    order: np.ndarray,
    genes: int,
) -> Iterator[tuple[slice, Block]]:
    """Cut the genes into blocks, samples put into the order of the layout, counts into contiguous float64."""

    def rows(array: np.ndarray, part: slice) -> np.ndarray:
        return np.ascontiguousarray(array[:, part][order], dtype=float)

    shared = np.exp(offset[order][:, None]) if offset.ndim == 1 else None
    for begin in range(0, counts.shape[1], genes):
        part = slice(begin, begin + genes)
        exposure = np.exp(rows(offset, part)) if shared is None else shared
        weight = np.zeros((0, 0)) if weights is None else rows(weights, part)
        yield part, Block(rows(counts, part), exposure, weight, layout)


def block_genes(n_samples: int) -> int:
    """Genes of a block of at most `BLOCK_ENTRIES` counts (some hundred megabytes of workspace), at least 64."""
    return max(64, BLOCK_ENTRIES // n_samples)


def join(parts: list[T]) -> T:
    """Concatenate named tuples of arrays of blocks of genes along the last axis."""
    if len(parts) == 1:
        return parts[0]
    return type(parts[0])(*(np.concatenate(arrays, -1) for arrays in zip(*parts, strict=True)))


def nb_regression(
    counts: np.ndarray,
    features: np.ndarray,
    *,
    offset: np.ndarray,
    dispersion: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
    tol: float = 1e-5,
    max_iter: int = MAX_ITER,
) -> NBRegression:
    r"""Fit every gene's counts on the features, each gene at its own dispersion.

    .. math:: y_{ng} \sim \mathrm{NB}(m_{ng}, \alpha_g), \quad \mathrm{var} = m + \alpha m^2, \quad
        \log m_{ng} = o_n + x_n^\top \theta_g, \quad \theta_g \sim N(0, D^{-1})

    The mode of :math:`\sum_n w_{ng} \log \mathrm{NB}(y_{ng}) - \theta^\top D \theta / 2` is found by Newton's rule with the
    observed information :math:`H = X^\top \mathrm{diag}(w m (1 + \alpha y) / (1 + \alpha m)^2) X + D`, guarded as
    in `bulkvi.stats.nb.kernels.newton_step`. The adjusted profile log likelihood is the penalised log likelihood at the
    mode minus :math:`\log |H| / 2` (Cox & Reid 1987), Laplace's approximation to the marginal likelihood.
    """
    check_regression(counts, features, offset, ridge, weights)
    if dispersion.shape != counts.shape[1:] or not bool((dispersion > 0).all()):
        raise ValueError(f"`dispersion` has shape {tuple(dispersion.shape)}: give one positive number per gene.")
    layout, order = make_layout(features, ridge)
    n, p = features.shape
    row, column = np.tril_indices(p)
    parts = []
    for part, block in blocks(counts, offset, weights, layout, order, block_genes(n)):
        coef = start_coef(block)
        n_genes = coef.shape[1]
        converged = np.ones(n_genes, dtype=bool)
        converged[maximise(block, dispersion[part], coef, tol=tol, max_iter=max_iter)] = False
        value, packed = np.zeros(n_genes), np.zeros((row.size, n_genes))
        evaluate(np.arange(n_genes), *block, dispersion[part], coef, value, packed)
        covariance = np.zeros((p, p, n_genes))
        covariance[row, column] = covariance[column, row] = packed
        parts.append(NBRegression(coef, covariance, value, converged))
    return join(parts)


def check_regression(
    counts: np.ndarray, features: np.ndarray, offset: np.ndarray, ridge: np.ndarray, weights: np.ndarray | None
) -> None:
    """Raise ValueError with what was given and what is allowed, unless shapes and values fit each other."""
    if counts.ndim != 2 or features.ndim != 2 or counts.shape[0] != features.shape[0] or not counts.shape[1]:
        raise ValueError(
            f"`counts` has shape {tuple(counts.shape)} and `features` {tuple(features.shape)}: give samples x genes "
            "(at least one) and samples x features, with the same samples."
        )
    n, p = features.shape
    if tuple(offset.shape) not in {(n,), tuple(counts.shape)}:
        raise ValueError(
            f"`offset` has shape {tuple(offset.shape)}: give one value per sample ({n}), or samples x genes."
        )
    if tuple(ridge.shape) not in {(p,), (p, p)}:
        raise ValueError(f"`ridge` has shape {tuple(ridge.shape)}: give one precision per feature ({p}), or {p} x {p}.")
    if weights is not None and weights.shape != counts.shape:
        raise ValueError(f"`weights` has shape {tuple(weights.shape)}: give samples x genes, {tuple(counts.shape)}.")
    for name, values in {"features": features, "offset": offset, "ridge": ridge}.items():
        if not bool(np.isfinite(values).all()):
            raise ValueError(f"`{name}` holds NaN or infinite values.")
    for name, array in {"counts": counts, "weights": weights}.items():
        if array is not None and not bool((np.isfinite(array) & (array >= 0)).all()):
            raise ValueError(f"`{name}` must be finite and not negative.")


def start_coef(block: Block) -> np.ndarray:
    """Least squares of log((counts + 1/2) / exposure), pooled over samples with equal features: features x genes."""
    layout = block.layout
    counts, exposure = block.counts, block.exposure
    if block.weights.shape[0]:
        counts, exposure = counts * block.weights, exposure * block.weights
    first = layout.start[:-1]
    log_rate = np.log(
        (np.add.reduceat(counts, first, axis=0) + 0.5) / (np.add.reduceat(exposure, first, axis=0) + 1e-8)
    )
    p = layout.unique.shape[1]
    sized = layout.unique.T * np.diff(layout.start)
    gram = sized @ layout.unique + 1e-8 * np.eye(p)
    return np.linalg.solve(gram, sized @ log_rate)


def maximise(
    block: Block,
    dispersion: np.ndarray,
    coef: np.ndarray,
    *,
    index: np.ndarray | None = None,
    tol: float = 1e-5,
    max_iter: int = MAX_ITER,
) -> np.ndarray:
    """Move ``coef`` to its mode by Newton steps; returns the genes that did not converge.

    A gene is done with the step taken less than ``tol`` posterior standard deviations from its mode, which leaves an error of
    the order ``tol ** 2``. Only the genes in ``index`` move.
    """
    n_genes = coef.shape[1]
    active = np.arange(n_genes) if index is None else index
    move, gain, distance = np.zeros(coef.shape), np.zeros(n_genes), np.zeros(n_genes)
    for _ in range(max_iter):
        newton_step(active, *block, dispersion, coef, move, gain, distance)
        active = active[~(distance[active] <= tol)]
        if active.size == 0:
            break
    return active


def coef_log_likelihood(
    counts: np.ndarray,
    features: np.ndarray,
    coef: np.ndarray,
    *,
    offset: np.ndarray,
    dispersion: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    r"""Negative binomial log likelihood of coefficients, without the terms that do not depend on them; genes.

    :math:`\sum_n w_{ng} \left[ y_{ng} \log m_{ng} - (y_{ng} + 1 / \alpha_g) \log(1 + \alpha_g m_{ng}) \right]`, for ratios
    of likelihoods at one dispersion.
    """
    n, n_genes = counts.shape
    total = np.empty(n_genes)
    size = block_genes(n)
    for begin in range(0, n_genes, size):
        part = slice(begin, begin + size)
        log_mean = features @ coef[:, part] + (offset[:, None] if offset.ndim == 1 else offset[:, part])
        y, a = counts[:, part], dispersion[part]
        value = y * log_mean - (y + 1 / a) * np.log1p(a * np.exp(log_mean))
        total[part] = (value if weights is None else weights[:, part] * value).sum(0)
    return total
