"""The likelihood of an effect with the dispersion integrated out: a mixture of normals over dispersion nodes."""

from typing import NamedTuple

import numpy as np
from scipy.special import erfc

from bulkvi.stats._nb_block import Array, is_torch, namespace
from bulkvi.stats.dispersion_nodes import NodeFit


class EffectLikelihood(NamedTuple):
    """Likelihood of one effect of each gene, ``sum_k weight_k N(estimate_k, se_k^2)``; natural logs, nodes x genes."""

    estimate: Array
    """Estimates of the effect."""
    se: Array
    """Their standard errors."""
    weight: Array
    """Posterior weights of the nodes."""

    def mean(self) -> Array:
        """Maximum-likelihood effect averaged over the dispersion, genes."""
        return (self.weight * self.estimate).sum(0)

    def sd(self) -> Array:
        """Standard error of `mean`, the spread of the estimates over the nodes included, genes."""
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


def wald_p_value(effect: EffectLikelihood) -> Array:
    r"""Two-sided p-value of no effect, :math:`\sum_k w_k \, 2 \Phi(-|b_k| / s_k)`; genes."""
    z = abs(effect.estimate) / effect.se / np.sqrt(2)
    tail = namespace(z).special.erfc(z) if is_torch(z) else erfc(z)
    return (effect.weight * tail).sum(0)
