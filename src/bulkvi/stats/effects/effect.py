"""The likelihood of an effect with the dispersion integrated out: a mixture of normals over dispersion nodes."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtri_exp
from scipy.stats import false_discovery_control

from bulkvi.stats.genes import NodeFit


class EffectLikelihood(NamedTuple):
    """Likelihood of one effect of each gene, ``sum_k weight_k N(estimate_k, se_k^2)``; natural logs, nodes x genes."""

    estimate: np.ndarray
    """Estimates of the effect."""
    se: np.ndarray
    """Their standard errors."""
    weight: np.ndarray
    """Posterior weights of the nodes."""

    def mean(self) -> np.ndarray:
        """Maximum-likelihood effect averaged over the dispersion."""
        return (self.weight * self.estimate).sum(0)

    def sd(self) -> np.ndarray:
        """Standard error of `mean`, the spread of the estimates over the nodes included."""
        mean = self.mean()
        return (self.weight * (self.se**2 + (self.estimate - mean) ** 2)).sum(0) ** 0.5

    def shifted(self, shift: float) -> "EffectLikelihood":
        """Measure the effects from ``shift``."""
        return self._replace(estimate=self.estimate - shift)

    def centred(self) -> "EffectLikelihood":
        """Put all nodes of a gene on one centre, their scatter about it into the variances."""
        mean = self.mean()
        return self._replace(estimate=0 * self.estimate + mean, se=(self.se**2 + (self.estimate - mean) ** 2) ** 0.5)

    def widened(self, factor: float) -> "EffectLikelihood":
        """Multiply all variances by a factor."""
        return self._replace(se=self.se * np.sqrt(factor))


def effect_likelihood(
    fit: NodeFit, contrast: np.ndarray, contrast_covariance: np.ndarray | None = None
) -> EffectLikelihood:
    r"""Compute the likelihood of the effect :math:`\psi^\top \theta` of every gene.

    At a node k with coefficients :math:`\theta_k` and covariance :math:`C_k` it is normal, with mean
    :math:`\psi^\top \theta_k` and variance :math:`\psi^\top C_k \psi + \theta_k^\top V \theta_k`. V, zero unless given,
    is the covariance of the contrast itself, as of latent columns whose alignment with a group is estimated.

    Parameters
    ----------
    fit
        Regressions at the nodes.
    contrast
        Weights of the coefficients, shape ``(n_features,)``.
    contrast_covariance
        V, shape ``(n_features, n_features)``, symmetric.

    Returns
    -------
    Named tuple with ``estimate``, ``se`` and ``weight`` (nodes x genes; natural log, per unit of the contrast) and the methods
    ``mean()`` and ``sd()``, which average over the nodes.

    Raises
    ------
    ValueError
        If a shape does not fit the number of features.

    Examples
    --------
    >>> from bulkvi.stats import effect_ridge, fit_genes
    >>> features = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    >>> counts = np.random.default_rng(0).poisson(np.where(features[:, [1]] > 0, 400, 100), (8, 50)).astype(float)
    >>> fit = fit_genes(counts, features, offset=np.zeros(8), ridge=effect_ridge(features))
    >>> effect = effect_likelihood(fit.nodes, np.array([0.0, 1.0]))
    >>> round(float(np.exp(effect.mean()).mean()))
    4
    """
    p = fit.coef.shape[1]
    psi = np.asarray(contrast, dtype=float)
    extra = np.zeros((p, p)) if contrast_covariance is None else np.asarray(contrast_covariance, dtype=float)
    if psi.shape != (p,):
        raise ValueError(f"`contrast` has shape {psi.shape}: give one weight for each of the {p} features.")
    if extra.shape != (p, p):
        raise ValueError(f"`contrast_covariance` has shape {extra.shape}: give {p} x {p}.")
    estimate = fit.coef[:, 0] * psi[0]
    variance = fit.covariance[:, 0] * psi[0] ** 2
    for j in range(p):
        if j and psi[j]:
            estimate = estimate + psi[j] * fit.coef[:, j]
        for k in range(j + 1):
            twice = 2.0 if k < j else 1.0
            if j and psi[j] * psi[k]:
                variance = variance + (twice * psi[j] * psi[k]) * fit.covariance[:, j * (j + 1) // 2 + k]
            if extra[j, k]:
                variance = variance + (twice * extra[j, k]) * fit.coef[:, j] * fit.coef[:, k]
    return EffectLikelihood(estimate, variance**0.5, fit.weight)


def log_p_value(effect: EffectLikelihood, delta: float = 0.0) -> np.ndarray:
    r"""Natural log of the two-sided p-value of an effect no larger than ``delta``, the dispersion integrated out; genes.

    .. math:: p = \sum_k w_k \left[ \Phi\!\left(\frac{\delta - |b_k|}{s_k}\right)
        + \Phi\!\left(\frac{-\delta - |b_k|}{s_k}\right) \right]

    At ``delta`` = 0 this is :math:`\sum_k w_k \, 2 \Phi(-|b_k| / s_k)`; above, the p-value at the edge of the null
    hypothesis :math:`|\theta| \le \delta` (McCarthy & Smyth 2009, *TREAT*), at most 1.
    """
    size, se = np.abs(effect.estimate), effect.se
    log_weight = np.log(np.clip(effect.weight, 1e-300, None))
    both = np.logaddexp(log_ndtr((delta - size) / se), log_ndtr((-delta - size) / se))
    return logsumexp(log_weight + both, 0).clip(None, 0.0)


def absolute_z(log_p: np.ndarray) -> np.ndarray:
    """Absolute normal quantile of a two-sided p-value, given its natural log."""
    return np.abs(ndtri_exp(np.minimum(log_p - np.log(2), np.log(0.5))))


def wald_p_value(effect: EffectLikelihood, delta: float = 0.0) -> np.ndarray:
    """Two-sided p-value, genes: the exponential of `log_p_value`."""
    return np.exp(log_p_value(effect, delta))


def benjamini_hochberg(p_value: np.ndarray) -> np.ndarray:
    """Adjust p-values: the smallest false discovery rate at which a gene is called.

    ``min over p_(j) >= p_(i) of p_(j) m / j`` over the m sorted p-values (Benjamini & Hochberg 1995). NaN (a gene
    that was not tested) stays NaN and does not count. Ties get the same value.

    Parameters
    ----------
    p_value
        p-values in [0, 1], or NaN; shape ``(n_genes,)``.

    Returns
    -------
    Adjusted p-values in [0, 1], shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        If a p-value lies outside [0, 1].

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, 0.5])).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    adjusted = np.array(p_value, dtype=float)
    tested = ~np.isnan(adjusted)
    p = adjusted[tested]
    if ((p < 0) | (p > 1)).any():
        raise ValueError("`p_value` must lie in [0, 1]; mark genes that were not tested with NaN.")
    adjusted[tested] = false_discovery_control(p)
    return adjusted


def s_value(lfsr: np.ndarray) -> np.ndarray:
    """Compute s-values: the expected share of wrong signs among a gene and all genes with an lfsr at most as large.

    The s-value of Stephens (2017), *False discovery rates: a new deal*, a function of the lfsr alone: tied genes get
    the same value, the mean over them and all smaller ones. NaN stays NaN and does not count.

    Parameters
    ----------
    lfsr
        Local false sign rates in [0, 1], or NaN; shape ``(n_genes,)``.

    Returns
    -------
    s-values, shape ``(n_genes,)``.

    Raises
    ------
    ValueError
        If a rate lies outside [0, 1].

    Examples
    --------
    >>> s_value(np.array([0.5, 0.01, 0.03, 0.03])).round(4).tolist()
    [0.1425, 0.01, 0.0233, 0.0233]
    """
    rate = np.asarray(lfsr, dtype=float)
    known = ~np.isnan(rate)
    given = rate[known]
    if ((given < 0) | (given > 1)).any():
        raise ValueError("`lfsr` must lie in [0, 1]; mark genes without a result with NaN.")
    ranked = np.sort(given)
    running = np.cumsum(ranked) / np.arange(1, ranked.size + 1)
    out = np.full(rate.shape, np.nan)
    out[known] = running[np.searchsorted(ranked, given, side="right") - 1]
    return out
