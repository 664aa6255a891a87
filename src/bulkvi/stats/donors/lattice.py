"""Counts in the order of their donors, and their regressions at many nodes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors.kernels import fit_lattice
from bulkvi.stats.nb.regression import MAX_ITER, block_genes


class DonorData(NamedTuple):
    """Counts and features of samples in the order of their donors."""

    counts: np.ndarray
    """Samples x genes."""
    exposure: np.ndarray
    """exp(offset), samples x genes or samples x 1."""
    weights: np.ndarray
    """Weights of the observations, samples x genes; 0 x 0 when all are 1."""
    features: np.ndarray
    """Samples x p."""
    start: np.ndarray
    """First sample of each donor, and the number of samples at the end."""
    ridge: np.ndarray
    """Prior precision of the coefficients, p x p."""

    def start_coef(self) -> np.ndarray:
        """Least squares of log((counts + 1/2) / exposure): features x genes."""
        log_rate = np.log((self.counts + 0.5) / (self.exposure + 1e-8))
        return np.linalg.lstsq(self.features, log_rate, rcond=None)[0]


class LatticeFit(NamedTuple):
    """Regressions of each gene at several nodes; natural logs, genes last."""

    coef: np.ndarray
    """Modes of the coefficients, nodes x p x genes."""
    covariance: np.ndarray
    """Their covariances, packed lower triangles, nodes x p (p + 1) / 2 x genes."""
    log_likelihood: np.ndarray
    """With coefficients and donors' effects integrated out (Laplace), without terms of the counts alone, nodes x genes."""
    marginal: np.ndarray
    """With the donors' effects alone integrated out, at the mode, nodes x genes."""
    converged: np.ndarray
    """Whether all modes were reached, genes."""


def check_donors(donor: np.ndarray, n_samples: int) -> int:
    """Number of donors.

    Raises
    ------
    ValueError
        If there is not one donor a sample, or only one donor.

    Examples
    --------
    >>> check_donors(np.repeat([1, 2, 3], 2), 6)
    3
    """
    if np.shape(donor) != (n_samples,):
        raise ValueError(f"`donor` has shape {np.shape(donor)}: give one donor a sample ({n_samples}).")
    n_donors = np.unique(donor).size
    if n_donors < 2:
        raise ValueError("All samples are of one donor: there is no variance between donors to be learned.")
    return n_donors


def donor_blocks(
    counts: np.ndarray,
    features: np.ndarray,
    donor: np.ndarray,
    offset: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None,
    genes: int | None = None,
) -> Iterator[tuple[slice, DonorData]]:
    """Cut the genes into blocks, samples put into the order of their donors."""
    _, code = np.unique(donor, return_inverse=True)
    order = np.argsort(code, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(code))])
    precision = np.ascontiguousarray(ridge if np.ndim(ridge) == 2 else np.diag(ridge), dtype=float)
    sorted_features = np.ascontiguousarray(features[order], dtype=float)
    size = block_genes(counts.shape[0]) if genes is None else genes
    for begin in range(0, counts.shape[1], size):
        part = slice(begin, begin + size)
        exposure = np.exp(offset[order][:, None] if offset.ndim == 1 else offset[order, part])
        yield (
            part,
            DonorData(
                np.ascontiguousarray(counts[order, part], dtype=float),
                np.ascontiguousarray(exposure, dtype=float),
                np.empty((0, 0)) if weights is None else np.ascontiguousarray(weights[order, part], dtype=float),
                sorted_features,
                start,
                precision,
            ),
        )


def climb_lattice(
    data: DonorData,
    log_dispersion: np.ndarray,
    log_variance: np.ndarray,
    coef: np.ndarray,
    effect: np.ndarray,
    *,
    route: np.ndarray | None = None,
    index: np.ndarray | None = None,
    tol: float = 1e-3,
    max_iter: int = MAX_ITER,
    keep: bool = True,
) -> LatticeFit:
    """Regressions at nodes (nodes x genes), from ``coef`` and ``effect``, which get the mode at the first node visited.

    Parameters
    ----------
    route
        Nodes in the order of visits, and for each but the first three visited ones: it starts from the sum of the modes at
        two of them less that at the third; 4 x nodes. One after the other if not given.
    index
        Genes that are worked on; what is returned of others is undefined.
    keep
        Whether coefficients and covariances are wanted, and not the likelihoods alone.
    """
    n_nodes, n_genes = log_dispersion.shape
    p = data.features.shape[1]
    kept = n_nodes if keep else 0
    out = LatticeFit(
        np.zeros((kept, p, n_genes)),
        np.zeros((kept, p * (p + 1) // 2, n_genes)),
        np.zeros((n_nodes, n_genes)),
        np.zeros((n_nodes, n_genes)),
        np.ones(n_genes, dtype=bool),
    )
    if route is None:
        before = np.maximum(np.arange(-1, n_nodes - 1), 0)
        route = np.stack([np.arange(n_nodes), before, before, before])
    fit_lattice(
        np.arange(n_genes) if index is None else index,
        (data.counts, data.exposure, data.weights),
        (data.features, data.start),
        (data.ridge, data.ridge[np.tril_indices(p)], np.abs(data.features).max(0)),
        (np.ascontiguousarray(log_dispersion), np.ascontiguousarray(log_variance)),
        np.ascontiguousarray(route),
        tol,
        max_iter,
        coef,
        effect,
        tuple(out),
    )
    return out
