"""What the regressions say of the donors: handed on to what works at the nodes or on residuals."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.donor_regression import donor_regression
from bulkvi.stats.nb_regression import coef_log_likelihood, nb_regression


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
        As for `bulkvi.stats.nb_regression.nb_regression`.
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
