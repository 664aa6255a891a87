"""Negative binomial regression of every gene on a few features, at given dispersions."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.nb.block import Array, Block, blocks, convert, full, join, kernels, make_layout, namespace, row_sums

BLOCK_ENTRIES = 2**22
MAX_ITER = 200


class NBRegression(NamedTuple):
    """Ridge regression of counts under the negative binomial; natural logs, genes last."""

    coef: Array
    """Mode of the coefficients, features x genes."""
    covariance: Array
    """Inverse of the observed information plus ridge at the mode, features x features x genes."""
    log_likelihood: Array
    """Adjusted profile log likelihood of the dispersion without terms of the counts alone, genes (see `nb_regression`)."""
    converged: Array
    """Whether the mode was reached, genes."""


def nb_regression(
    counts: Array,
    features: Array,
    *,
    offset: Array,
    dispersion: Array,
    ridge: Array,
    weights: Array | None = None,
    tol: float = 1e-5,
    max_iter: int = MAX_ITER,
) -> NBRegression:
    r"""Fit every gene's counts on the features, each gene at its own dispersion and until it has converged itself.

    .. math:: y_{ng} \sim \mathrm{NB}(m_{ng}, \alpha_g), \quad \mathrm{var} = m + \alpha m^2, \quad
        \log m_{ng} = o_n + x_n^\top \theta_g, \quad \theta_g \sim N(0, D^{-1})

    The mode of :math:`\sum_n w_{ng} \log \mathrm{NB}(y_{ng}) - \theta^\top D \theta / 2` is found by Newton's rule with the
    observed information :math:`H = X^\top \mathrm{diag}(w m (1 + \alpha y) / (1 + \alpha m)^2) X + D`, guarded as
    in `bulkvi.stats.nb.kernels.newton_step`. The adjusted profile log likelihood is the penalised log likelihood at the
    mode minus :math:`\log |H| / 2` (Cox & Reid 1987), Laplace's approximation to the marginal likelihood.

    Parameters
    ----------
    counts
        Counts, samples x genes, >= 0; they need not be whole numbers.
    features
        Design columns (with the intercept) and any others, samples x p.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    dispersion
        Dispersions :math:`\alpha` > 0, genes.
    ridge
        Prior precisions D of the coefficients, p (or p x p), on the natural log scale.
    weights
        Weights of the observations, samples x genes; 1 if not given.
    tol
        A gene is done when a Newton step from less than ``tol`` posterior standard deviations away has been taken.
    max_iter
        Most Newton steps; genes that need more are not marked as converged.

    Returns
    -------
    Arrays of the kind given (numpy or torch, on its device).

    Raises
    ------
    ValueError
        If shapes do not fit each other or a value is not allowed.

    Examples
    --------
    >>> counts = np.array([[10.0], [12.0], [40.0], [44.0]])
    >>> fit = nb_regression(
    ...     counts,
    ...     np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]]),
    ...     offset=np.zeros(4),
    ...     dispersion=np.array([0.1]),
    ...     ridge=np.zeros(2),
    ... )
    >>> np.exp(fit.coef[:, 0]).round(3).tolist()
    [11.0, 3.818]
    """
    check_regression(counts, features, offset, ridge, weights)
    if dispersion.shape != counts.shape[1:] or not bool((dispersion > 0).all()):
        raise ValueError(f"`dispersion` has shape {tuple(dispersion.shape)}: give one positive number a gene.")
    layout, order = make_layout(features, ridge)
    n, p = features.shape
    lower = convert(np.stack(np.tril_indices(p)), like=features)
    parts = []
    for part, block in blocks(counts, offset, weights, layout, order, block_genes(n)):
        coef = start_coef(block)
        n_genes = coef.shape[1]
        converged = full((n_genes,), 1.0, like=coef) > 0
        converged[maximise(block, dispersion[part], coef, tol=tol, max_iter=max_iter)] = False
        value, packed = full((n_genes,), 0.0, like=coef), full((lower.shape[1], n_genes), 0.0, like=coef)
        everyone = convert(np.arange(n_genes), like=coef)
        kernels(coef).evaluate(everyone, *block, dispersion[part], coef, value, packed)
        covariance = full((p, p, n_genes), 0.0, like=coef)
        covariance[lower[0], lower[1]] = packed
        covariance[lower[1], lower[0]] = packed
        parts.append(NBRegression(coef, covariance, value, converged))
    return join(parts)


def check_regression(counts: Array, features: Array, offset: Array, ridge: Array, weights: Array | None) -> None:
    """Raise ValueError, saying what was given and what is allowed, unless shapes and values fit each other.

    Parameters
    ----------
    counts, features, offset, ridge, weights
        As for `nb_regression`.

    Raises
    ------
    ValueError
        If a shape or a value does not fit.

    Examples
    --------
    >>> check_regression(np.ones((4, 2)), np.ones((4, 1)), np.zeros(3), np.ones(1), None)
    Traceback (most recent call last):
    ValueError: `offset` has shape (3,): give one value a sample (4), or samples x genes.
    """
    if counts.ndim != 2 or features.ndim != 2 or counts.shape[0] != features.shape[0] or not counts.shape[1]:
        raise ValueError(
            f"`counts` has shape {tuple(counts.shape)} and `features` {tuple(features.shape)}: give samples x genes "
            "(at least one) and samples x features, with the same samples."
        )
    n, p = features.shape
    if tuple(offset.shape) not in {(n,), tuple(counts.shape)}:
        raise ValueError(
            f"`offset` has shape {tuple(offset.shape)}: give one value a sample ({n}), or samples x genes."
        )
    if tuple(ridge.shape) not in {(p,), (p, p)}:
        raise ValueError(f"`ridge` has shape {tuple(ridge.shape)}: give one precision a feature ({p}), or {p} x {p}.")
    if weights is not None and weights.shape != counts.shape:
        raise ValueError(f"`weights` has shape {tuple(weights.shape)}: give samples x genes, {tuple(counts.shape)}.")
    xp = namespace(counts)
    for name, values in {"features": features, "offset": offset, "ridge": ridge}.items():
        if not bool(xp.isfinite(values).all()):
            raise ValueError(f"`{name}` holds NaN or infinite values.")
    for name, values in {"counts": counts, "weights": weights}.items():
        if values is not None and not bool((xp.isfinite(values) & (values >= 0)).all()):
            raise ValueError(f"`{name}` must be finite and not negative.")


def block_genes(n_samples: int) -> int:
    """Genes of a block of at most `BLOCK_ENTRIES` counts, which bounds the workspace to some hundred megabytes.

    Parameters
    ----------
    n_samples
        Number of samples.

    Returns
    -------
    Number of genes, at least 64.

    Examples
    --------
    >>> block_genes(100), block_genes(1_000_000)
    (41943, 64)
    """
    return max(64, BLOCK_ENTRIES // n_samples)


def start_coef(block: Block) -> Array:
    """Least squares of log((counts + 1/2) / exposure), pooled over samples with equal features: features x genes."""
    xp = namespace(block.counts)
    layout = block.layout
    counts, exposure = block.counts, block.exposure
    if block.weights.shape[0]:
        counts, exposure = counts * block.weights, exposure * block.weights
    log_rate = xp.log((row_sums(counts, layout) + 0.5) / (row_sums(exposure, layout) + 1e-8))
    p = layout.unique.shape[1]
    sized = layout.unique.T * xp.diff(layout.start)
    gram = sized @ layout.unique + 1e-8 * convert(np.eye(p), like=counts)
    return xp.linalg.solve(gram, sized @ log_rate)


def maximise(
    block: Block,
    dispersion: Array,
    coef: Array,
    *,
    index: Array | None = None,
    tol: float = 1e-5,
    max_iter: int = MAX_ITER,
) -> Array:
    """Newton steps until each gene has been within ``tol`` posterior standard deviations of its mode; moves ``coef``.

    The step that finds a gene closer than ``tol`` is still taken, so what remains is of the order ``tol ** 2``.
    Only the genes in ``index`` move. Returns the genes that did not converge.
    """
    n_genes = coef.shape[1]
    left = convert(np.arange(n_genes), like=coef) if index is None else index
    move = full(tuple(coef.shape), 0.0, like=coef)
    gain, distance = full((n_genes,), 0.0, like=coef), full((n_genes,), 0.0, like=coef)
    newton_step = kernels(coef).newton_step
    for _ in range(max_iter):
        newton_step(left, *block, dispersion, coef, move, gain, distance)
        left = left[~(distance[left] <= tol)]
        if left.shape[0] == 0:
            break
    return left


def coef_log_likelihood(
    counts: np.ndarray,
    features: np.ndarray,
    coef: np.ndarray,
    *,
    offset: np.ndarray,
    dispersion: np.ndarray,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    r"""Negative binomial log likelihood of coefficients, without the terms that no coefficient enters.

    :math:`\sum_n w_{ng} \left[ y_{ng} \log m_{ng} - (y_{ng} + 1 / \alpha_g) \log(1 + \alpha_g m_{ng}) \right]`, for ratios
    of likelihoods at one dispersion.

    Parameters
    ----------
    counts, features, offset, dispersion, weights
        As for `nb_regression`, numpy arrays.
    coef
        Coefficients, features x genes.

    Returns
    -------
    One value a gene.

    Examples
    --------
    >>> counts, features = np.array([[10.0], [12.0], [40.0], [44.0]]), np.array([[1.0, 0], [1, 0], [1, 1], [1, 1]])
    >>> given = {"offset": np.zeros(4), "dispersion": np.array([0.1])}
    >>> full = nb_regression(counts, features, ridge=np.zeros(2), **given)
    >>> none = nb_regression(counts, features[:, :1], ridge=np.zeros(1), **given)
    >>> ratio = coef_log_likelihood(counts, features, full.coef, **given)
    >>> ratio -= coef_log_likelihood(counts, features[:, :1], none.coef, **given)
    >>> ratio.round(2).tolist()
    [5.75]
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
