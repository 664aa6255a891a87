"""What the regressions say of the donors: handed on to what works at the nodes or on residuals."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donors.lattice import LatticeFit, check_donors, climb_lattice, donor_blocks
from bulkvi.stats.nb.regression import MAX_ITER, check_regression, coef_log_likelihood, nb_regression


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
        """The donors' effects of some of the genes.

        Parameters
        ----------
        part
            Positions of the genes.

        Returns
        -------
        The same for those genes.
        """
        return self._replace(effect=self.effect[:, part], log_variance=self.log_variance[:, part])

    def sample_effect(self) -> np.ndarray:
        """Effect of each sample's donor, samples x genes.

        Returns
        -------
        Natural log.
        """
        return self.effect[self.code]

    def whiten(self, residuals: np.ndarray, variance: np.ndarray) -> np.ndarray:
        r"""Residuals of independent unit variance, where those of a donor share the donor's effect.

        With :math:`V = \mathrm{diag}(v) + \tau^2 1 1^\top` of the samples of a donor, :math:`V^{-1/2} r` is
        :math:`e + (1 / \sqrt{1 + c} - 1) b\, (b^\top e)`, :math:`e = r / \sqrt v`, :math:`c = \tau^2 \sum 1 / v` and b the
        direction of :math:`1 / \sqrt v` (the symmetric root, up to the scaling by v).

        Parameters
        ----------
        residuals
            Of log rates, the donor's effect included, samples x genes.
        variance
            v, samples x genes.

        Returns
        -------
        Samples x genes.

        Examples
        --------
        Two samples of one donor whose effect is far larger than the noise tell one thing between them:

        >>> donors = Donors(np.array([0, 0]), np.zeros((1, 1)), np.full((1, 1), np.log(1e6)))
        >>> donors.whiten(np.array([[2.0], [4.0]]), np.ones((2, 1))).round(2).ravel().tolist()
        [-1.0, 1.0]
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
        """The features and their means by donor: what whitened residuals are projected off, samples x 2 p.

        Parameters
        ----------
        features
            Samples x p.

        Returns
        -------
        Columns that need not be independent.
        """
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
    """Regression at given dispersions, and at the donor variances of a node where there are donors.

    Log likelihoods of one node can be compared: of the same counts, with other features.

    Parameters
    ----------
    counts, features, offset, ridge, weights
        As for `bulkvi.stats.nb.regression.nb_regression`.
    log_dispersion
        Natural log, genes.
    donors
        Random intercepts; none if not given.
    node
        Which of their variances.

    Returns
    -------
    The regression.

    Examples
    --------
    >>> given = {"offset": np.zeros(4), "log_dispersion": np.full(1, -2.0), "ridge": np.zeros(1)}
    >>> regress_at_node(np.array([[9.0], [11], [5], [7]]), np.ones((4, 1)), **given).coef.round(2).item()
    2.08
    """
    given = {"offset": offset, "dispersion": np.exp(log_dispersion), "weights": weights}
    if donors is None:
        plain = nb_regression(counts, features, ridge=ridge, tol=1e-3, **given)
        value = coef_log_likelihood(counts, features, plain.coef, **given)
        return NodeRegression(plain.coef, plain.covariance, value, plain.converged)
    variance = np.exp(donors.log_variance[node])
    mixed = donor_regression(counts, features, donors.code, donor_variance=variance, ridge=ridge, tol=1e-3, **given)
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
    r"""Fit every gene's counts on the features, the samples of a donor sharing a random intercept.

    .. math:: y_{ng} \sim \mathrm{NB}(m_{ng}, \alpha_g), \quad \log m_{ng} = o_n + x_n^\top \theta_g + u_{d(n) g}, \quad
        u_{dg} \sim N(0, \tau_g^2), \quad \theta_g \sim N(0, D^{-1})

    The mode of :math:`(\theta, u)` is found by Newton's rule with the observed information. Its part of the donors is a
    diagonal h, so with :math:`w_n` the information of a sample and :math:`c_d = \sum_{n \in d} w_n x_n` the information
    on the coefficients is :math:`S = X^\top W X + D - \sum_d c_d c_d^\top / h_d`, :math:`h_d = \sum_{n \in d} w_n +
    \tau^{-2}`; :math:`S^{-1}` is their covariance. Laplace's approximation integrates the donors' effects out,

    .. math:: \ell_m = \ell(\hat\theta, \hat u) - \tfrac12 \hat\theta^\top D \hat\theta - \tfrac12 \sum_d \left[\hat u_d^2
        / \tau^2 + \log(\tau^2 h_d)\right],

    and :math:`\ell_m - \log |S| / 2` the coefficients besides: restricted likelihood (Cox & Reid 1987; for mixed models
    McGilchrist 1994, *Estimation in generalized mixed models*).

    Parameters
    ----------
    counts
        Counts, samples x genes, >= 0.
    features
        Design columns (with the intercept) and any others, samples x p.
    donor
        Donor of each sample, anything that numpy can sort.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    dispersion, donor_variance
        :math:`\alpha` and :math:`\tau^2` > 0 (natural log scale), genes.
    ridge
        Prior precisions D of the coefficients, p (or p x p).
    weights
        Weights of the observations, samples x genes; 1 if not given.
    tol
        Distance to the mode, in posterior standard deviations, at which the last Newton step is taken.
    max_iter
        Most Newton steps; genes that need more are not marked as converged.

    Returns
    -------
    The regression of every gene.

    Raises
    ------
    ValueError
        If shapes do not fit each other or a value is not allowed.

    Examples
    --------
    Five pairs that differ by a factor of two within each donor, who differ more:

    >>> level = np.array([100, 400, 50, 200, 800])
    >>> counts = np.column_stack([level, 2 * level]).reshape(10, 1).astype(float)
    >>> features = np.column_stack([np.ones(10), np.tile([0.0, 1.0], 5)])
    >>> fit = donor_regression(
    ...     counts,
    ...     features,
    ...     np.repeat(list("abcde"), 2),
    ...     offset=np.zeros(10),
    ...     dispersion=np.array([0.01]),
    ...     donor_variance=np.array([1.0]),
    ...     ridge=np.zeros(2),
    ... )
    >>> float(np.exp(fit.coef[1, 0]).round(2)), float(np.sqrt(fit.covariance[1, 1, 0]).round(2))
    (2.0, 0.08)
    """
    check_regression(counts, features, offset, ridge, weights)
    for name, values in {"dispersion": dispersion, "donor_variance": donor_variance}.items():
        if values.shape != counts.shape[1:] or not bool((values > 0).all()):
            raise ValueError(f"`{name}` has shape {values.shape}: give one positive number a gene.")
    n_donors = check_donors(donor, counts.shape[0])
    p, n_genes = features.shape[1], counts.shape[1]
    effect = np.zeros((n_donors, n_genes))
    parts = []
    for part, data in donor_blocks(counts, features, donor, offset, ridge, weights):
        coef, own = data.start_coef(), np.zeros((n_donors, data.counts.shape[1]))
        at = (np.log(dispersion[None, part]), np.log(donor_variance[None, part]))
        parts.append(climb_lattice(data, *at, coef, own, tol=tol, max_iter=max_iter))
        effect[:, part] = own
    fit = LatticeFit(*(np.concatenate(arrays, -1) for arrays in zip(*parts, strict=True)))
    covariance = np.empty((p, p, n_genes))
    row, column = np.tril_indices(p)
    covariance[row, column] = covariance[column, row] = fit.covariance[0]
    return DonorRegression(fit.coef[0], covariance, effect, fit.log_likelihood[0], fit.marginal[0], fit.converged)
