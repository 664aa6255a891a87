"""Does any of several effects differ from zero? Likelihood ratio with the dispersion integrated out."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.stats import chi2

from bulkvi.stats.donors.donors import Donors, regress_at_node
from bulkvi.stats.genes import FittedGenes
from bulkvi.stats.nb.regression import coef_log_likelihood


class OmnibusTest(NamedTuple):
    """One test of several contrasts for every gene."""

    stat: np.ndarray
    """Twice the log likelihood ratio, averaged over the dispersion and divided by the variance given; genes."""
    p_value: np.ndarray
    """p-value of no effect, genes."""
    df: int
    """Degrees of freedom: contrasts that are independent."""
    converged: np.ndarray
    """Whether the fit without the effects was found at every dispersion, genes."""


def omnibus_test(
    counts: np.ndarray,
    features: np.ndarray,
    contrasts: np.ndarray,
    fit: FittedGenes,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
    variance: float = 1.0,
    donors: Donors | None = None,
) -> OmnibusTest:
    r"""Test that all of several contrasts are zero.

    At each node k of a gene's dispersion the features are fitted with and without the effects, at the same dispersion:

    .. math:: p = \sum_k w_k \Pr\!\left(\chi^2_q > 2 (\ell_k - \ell_k^0)\right)

    with q the rank of the contrasts. Without the effects means features :math:`X N`, N an orthonormal basis of the
    coefficients on which all contrasts are zero.

    Parameters
    ----------
    counts, features, offset, ridge, weights
        As given to `fit_genes`.
    contrasts
        Weights of the coefficients, contrasts x p.
    fit
        What `fit_genes` made of them.
    variance
        Of the statistics of genes without effect (`null_variance`); the ratios are divided by it.
    donors
        Random intercepts of its nodes, if it has any: they are integrated out of both likelihoods.

    Returns
    -------
    The test of every gene.

    Raises
    ------
    ValueError
        If a contrast has not p weights, or all are zero.

    Examples
    --------
    Three groups, of which the last has the first gene doubled:

    >>> from bulkvi.stats.genes import effect_ridge, fit_genes
    >>> features = np.column_stack([np.ones(12), np.repeat(np.eye(3)[:, 1:], 4, axis=0)])
    >>> mean = np.full((12, 100), 200.0)
    >>> mean[8:, 0] *= 2
    >>> counts = np.random.default_rng(0).negative_binomial(50, 50 / (50 + mean)).astype(float)
    >>> given = {"offset": np.zeros(12), "ridge": effect_ridge(features)}
    >>> fit = fit_genes(counts, features, **given)
    >>> test = omnibus_test(counts, features, np.eye(3)[1:], fit, **given)
    >>> test.df, int(test.p_value.argmin()), bool(test.p_value[0] < 1e-6)
    (2, 0, True)
    """
    p = features.shape[1]
    if contrasts.ndim != 2 or contrasts.shape[1] != p or not np.any(contrasts):
        raise ValueError(f"`contrasts` has shape {contrasts.shape}: give contrasts x {p}, not all zero.")
    kept = null_space(contrasts)
    df = p - kept.shape[1]
    reduced, reduced_ridge = features @ kept, kept.T @ ridge @ kept
    stat, p_value = np.zeros(counts.shape[1]), np.zeros(counts.shape[1])
    converged = np.ones(counts.shape[1], dtype=bool)
    for k, (log_dispersion, weight) in enumerate(zip(fit.nodes.log_dispersion, fit.nodes.weight, strict=True)):
        given = {"offset": offset, "log_dispersion": log_dispersion, "weights": weights, "donors": donors, "node": k}
        null = regress_at_node(counts, reduced, ridge=reduced_ridge, **given)
        if donors is None:
            full = coef_log_likelihood(
                counts, features, fit.nodes.coef[k], offset=offset, dispersion=np.exp(log_dispersion), weights=weights
            )
        else:
            full = regress_at_node(counts, features, ridge=ridge, **given).log_likelihood
        ratio = np.clip(2 * (full - null.log_likelihood), 0.0, None) / variance
        known = np.isfinite(ratio)  # a likelihood that overflows says nothing
        ratio = np.where(known, ratio, 0.0)
        stat += weight * ratio
        p_value += weight * chi2.sf(ratio, df)
        converged &= null.converged & known
    return OmnibusTest(stat, np.minimum(p_value, 1.0), df, converged)
