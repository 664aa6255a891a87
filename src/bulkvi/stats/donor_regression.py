"""Negative binomial regression of every gene with a random intercept for each donor, at given variances."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats._donor_lattice import LatticeFit, check_donors, climb_lattice, donor_blocks
from bulkvi.stats.nb_regression import MAX_ITER, check_regression


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
