"""The likelihood of an effect with the dispersion integrated out: a mixture of normals over dispersion nodes."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr, logsumexp

from bulkvi.stats.dispersion.nodes import NodeFit
from bulkvi.stats.nb.block import Array, is_torch, namespace


class EffectLikelihood(NamedTuple):
    """Likelihood of one effect of each gene, ``sum_k weight_k N(estimate_k, se_k^2)``; natural logs, nodes x genes."""

    estimate: Array
    """Estimates of the effect."""
    se: Array
    """Their standard errors."""
    weight: Array
    """Posterior weights of the nodes."""

    def mean(self) -> Array:
        """Maximum-likelihood effect averaged over the dispersion.

        Returns
        -------
        Natural log, genes.
        """
        return (self.weight * self.estimate).sum(0)

    def sd(self) -> Array:
        """Standard error of `mean`, the spread of the estimates over the nodes included.

        Returns
        -------
        Natural log, genes.
        """
        mean = self.mean()
        return (self.weight * (self.se**2 + (self.estimate - mean) ** 2)).sum(0) ** 0.5


def effect_likelihood(
    fit: NodeFit, contrast: np.ndarray, contrast_covariance: np.ndarray | None = None
) -> EffectLikelihood:
    r"""Likelihood of the effect :math:`\psi^\top \theta` of every gene.

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
    The likelihood; natural log, per unit of the contrast.

    Raises
    ------
    ValueError
        If a shape does not fit the number of features.

    Examples
    --------
    >>> from bulkvi.stats.genes import effect_ridge, fit_genes
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


def log_p_value(effect: EffectLikelihood, delta: float = 0.0) -> Array:
    r"""Natural log of the two-sided p-value of an effect no larger than ``delta``, the dispersion integrated out; genes.

    .. math:: p = \sum_k w_k \left[ \Phi\!\left(\frac{\delta - |b_k|}{s_k}\right)
        + \Phi\!\left(\frac{-\delta - |b_k|}{s_k}\right) \right]

    At ``delta`` = 0 this is :math:`\sum_k w_k \, 2 \Phi(-|b_k| / s_k)`; above, the p-value at the edge of the null
    hypothesis :math:`|\theta| \le \delta` (McCarthy & Smyth 2009, *TREAT*), at most 1.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    delta
        Largest absolute effect that does not count, natural log, >= 0.

    Returns
    -------
    Natural logs, at most 0; far beyond where the p-value itself would be 0.

    Examples
    --------
    >>> effect = EffectLikelihood(np.array([[0.0, 1.96, 60.0]]), np.ones((1, 3)), np.ones((1, 3)))
    >>> log_p_value(effect).round(2).tolist()
    [0.0, -3.0, -1804.32]
    """
    size, se = abs(effect.estimate), effect.se
    if is_torch(size):
        torch = namespace(size)
        log_tail, logaddexp, log_sum = torch.special.log_ndtr, torch.logaddexp, torch.logsumexp
        log_weight = torch.log(effect.weight.clip(1e-300))
    else:
        log_tail, logaddexp, log_sum = log_ndtr, np.logaddexp, logsumexp
        log_weight = np.log(np.clip(effect.weight, 1e-300, None))
    both = logaddexp(log_tail((delta - size) / se), log_tail((-delta - size) / se))
    return log_sum(log_weight + both, 0).clip(None, 0.0)


def wald_p_value(effect: EffectLikelihood, delta: float = 0.0) -> Array:
    """Exponential of `log_p_value`.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    delta
        Largest absolute effect that does not count, natural log, >= 0.

    Returns
    -------
    p-values, genes.

    Examples
    --------
    >>> effect = EffectLikelihood(np.array([[0.0, 1.96]]), np.ones((1, 2)), np.ones((1, 2)))
    >>> wald_p_value(effect).round(3).tolist()
    [1.0, 0.05]
    """
    return namespace(effect.estimate).exp(log_p_value(effect, delta))
