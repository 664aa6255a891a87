"""Regressions with random intercepts of donors: at given dispersions and donor variances, and at many nodes."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors.kernels import fit_lattice
from bulkvi.stats.nb.regression import MAX_ITER, block_genes, check_regression, coef_log_likelihood, nb_regression


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
    """Number of donors; ValueError unless there is one donor per sample, and more than one donor."""
    if np.shape(donor) != (n_samples,):
        raise ValueError(f"`donor` has shape {np.shape(donor)}: give one donor per sample ({n_samples}).")
    n_donors = np.unique(donor).size
    if n_donors < 2:
        raise ValueError("All samples are of one donor: the variance between donors cannot be estimated.")
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


def regress_at_nodes(
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
    """Fit the regressions at nodes (nodes x genes), from ``coef`` and ``effect``, which are set to the first node's mode.

    ``route`` as for `fit_lattice`, one node after the other if not given. Results of genes outside ``index`` are undefined.
    Without ``keep`` only the likelihoods are returned.
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


class Donors(NamedTuple):
    """Random intercepts of donors in the regressions of all genes; natural logs."""

    code: np.ndarray
    """Donor of each sample, 0 to the number of donors less one."""
    effect: np.ndarray
    """Mode of the donors' effects at the middle node, donors x genes."""
    log_variance: np.ndarray
    """Log variance of the donors' effects at the nodes, nodes x genes."""

    @property
    def variance(self) -> np.ndarray:
        """Variance of the donors' effects at the middle node, genes."""
        return np.exp(self.log_variance[self.log_variance.shape[0] // 2])

    def genes(self, part: slice | np.ndarray) -> "Donors":
        """Select genes."""
        return self._replace(effect=self.effect[:, part], log_variance=self.log_variance[:, part])

    def sample_effect(self) -> np.ndarray:
        """Effect of each sample's donor, samples x genes."""
        return self.effect[self.code]

    def whiten(self, residuals: np.ndarray, variance: np.ndarray) -> np.ndarray:
        r"""Whiten residuals (samples x genes, donors' effects included) to independent unit variance.

        With :math:`V = \mathrm{diag}(v) + \tau^2 1 1^\top` of the samples of a donor, :math:`V^{-1/2} r` is
        :math:`e + (1 / \sqrt{1 + c} - 1) b\, (b^\top e)`, :math:`e = r / \sqrt v`, :math:`c = \tau^2 \sum 1 / v` and b the
        direction of :math:`1 / \sqrt v` (the symmetric root, up to the scaling by v).
        """
        scaled = residuals / np.sqrt(variance)
        direction = 1 / np.sqrt(variance)
        n_donors = self.effect.shape[0]
        total, along = np.zeros((n_donors, scaled.shape[1])), np.zeros((n_donors, scaled.shape[1]))
        np.add.at(total, self.code, direction**2)
        np.add.at(along, self.code, direction * scaled)
        shrink = (1 / np.sqrt(1 + self.variance * total) - 1) * along / total
        return scaled + direction * shrink[self.code]

    def directions(self, features: np.ndarray) -> np.ndarray:
        """The features and their means by donor, samples x 2 p: whitened residuals are projected off their span."""
        sums = np.zeros((self.effect.shape[0], features.shape[1]))
        np.add.at(sums, self.code, features)
        means = sums / np.bincount(self.code, minlength=len(sums))[:, None]
        return np.hstack([features, means[self.code]])


class NodeRegression(NamedTuple):
    """A regression at one node; natural logs, genes last."""

    coef: np.ndarray
    """Features x genes."""
    covariance: np.ndarray
    """Features x features x genes."""
    log_likelihood: np.ndarray
    """Donors' effects integrated out, up to terms of the counts and the node alone, genes."""
    converged: np.ndarray
    """Whether the mode was reached, genes."""


def regress_at_node(
    counts: np.ndarray,
    features: np.ndarray,
    *,
    offset: np.ndarray,
    log_dispersion: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
    donors: Donors | None = None,
    node: int = 0,
) -> NodeRegression:
    """Fit the regression at given dispersions, and at the donor variances of a node where there are donors.

    Log likelihoods of one node can be compared between features of the same counts.
    """
    options = {"offset": offset, "dispersion": np.exp(log_dispersion), "weights": weights}
    if donors is None:
        plain = nb_regression(counts, features, ridge=ridge, tol=1e-3, **options)
        value = coef_log_likelihood(counts, features, plain.coef, **options)
        return NodeRegression(plain.coef, plain.covariance, value, plain.converged)
    variance = np.exp(donors.log_variance[node])
    mixed = donor_regression(counts, features, donors.code, donor_variance=variance, ridge=ridge, tol=1e-3, **options)
    precision = ridge if ridge.ndim == 2 else np.diag(ridge)
    value = mixed.marginal + 0.5 * np.einsum("ig,ij,jg->g", mixed.coef, precision, mixed.coef)
    return NodeRegression(mixed.coef, mixed.covariance, value, mixed.converged)


class DonorRegression(NamedTuple):
    """Ridge regression of counts with random donor intercepts; natural logs, genes last."""

    coef: np.ndarray
    """Mode of the coefficients, features x genes."""
    covariance: np.ndarray
    """Their covariance, the donors' effects integrated out, features x features x genes."""
    effect: np.ndarray
    """Mode of the donors' effects, donors x genes."""
    log_likelihood: np.ndarray
    """Restricted: coefficients and donors' effects integrated out, genes."""
    marginal: np.ndarray
    """With the donors' effects alone integrated out, at the mode, genes."""
    converged: np.ndarray
    """Whether the mode was reached, genes."""


def donor_regression(
    counts: np.ndarray,
    features: np.ndarray,
    donor: np.ndarray,
    *,
    offset: np.ndarray,
    dispersion: np.ndarray,
    donor_variance: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
    tol: float = 1e-5,
    max_iter: int = MAX_ITER,
) -> DonorRegression:
    r"""Fit every gene's counts on the features, with a random intercept for each donor.

    .. math:: y_{ng} \sim \mathrm{NB}(m_{ng}, \alpha_g), \quad \log m_{ng} = o_n + x_n^\top \theta_g + u_{d(n) g}, \quad
        u_{dg} \sim N(0, \tau_g^2), \quad \theta_g \sim N(0, D^{-1})

    The mode of :math:`(\theta, u)` is found by Newton's rule with the observed information. The donors' part is a
    diagonal h, so with :math:`w_n` the information of a sample and :math:`c_d = \sum_{n \in d} w_n x_n` the information
    on the coefficients is :math:`S = X^\top W X + D - \sum_d c_d c_d^\top / h_d`, :math:`h_d = \sum_{n \in d} w_n +
    \tau^{-2}`; :math:`S^{-1}` is their covariance. Laplace's approximation integrates the donors' effects out,

    .. math:: \ell_m = \ell(\hat\theta, \hat u) - \tfrac12 \hat\theta^\top D \hat\theta - \tfrac12 \sum_d \left[\hat u_d^2
        / \tau^2 + \log(\tau^2 h_d)\right],

    and :math:`\ell_m - \log |S| / 2` the coefficients too: restricted likelihood (Cox & Reid 1987; for mixed models
    McGilchrist 1994, *Estimation in generalized mixed models*).
    """
    check_regression(counts, features, offset, ridge, weights)
    for name, values in {"dispersion": dispersion, "donor_variance": donor_variance}.items():
        if values.shape != counts.shape[1:] or not bool((values > 0).all()):
            raise ValueError(f"`{name}` has shape {values.shape}: give one positive number per gene.")
    n_donors = check_donors(donor, counts.shape[0])
    p, n_genes = features.shape[1], counts.shape[1]
    effect = np.zeros((n_donors, n_genes))
    parts = []
    for part, data in donor_blocks(counts, features, donor, offset, ridge, weights):
        coef, mode = data.start_coef(), np.zeros((n_donors, data.counts.shape[1]))
        at = (np.log(dispersion[None, part]), np.log(donor_variance[None, part]))
        parts.append(regress_at_nodes(data, *at, coef, mode, tol=tol, max_iter=max_iter))
        effect[:, part] = mode
    fit = LatticeFit(*(np.concatenate(arrays, -1) for arrays in zip(*parts, strict=True)))
    covariance = np.empty((p, p, n_genes))
    row, column = np.tril_indices(p)
    covariance[row, column] = covariance[column, row] = fit.covariance[0]
    return DonorRegression(fit.coef[0], covariance, effect, fit.log_likelihood[0], fit.marginal[0], fit.converged)
