"""Prediction of a count from the other genes of its sample."""

import numpy as np

from bulkvi.stats.predictive.layer import GeneLayer
from bulkvi.stats.predictive.state import LARGEST_LOG, SampleStates, gene_weights

MOST_LEVERAGE = 0.9
"""Of a gene on the state of its sample; a sample of a few genes alone has more."""


def without_own_count(
    counts: np.ndarray, layer: GeneLayer, states: SampleStates, design: np.ndarray, *, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of the log means of counts, samples x genes, each with its own count left out of the state.

    The state of a sample is a weighted regression on the genes, in which gene g has the leverage
    :math:`h_g = v_g \, w_g^\top S w_g` (:math:`v` its weight, :math:`w` its loadings, :math:`S` the covariance of the state). Without
    it the log mean moves by :math:`-h_g / (1 - h_g) \, (x_g - m_g) / m_g` and the variance from the state is that with it over
    :math:`1 - h_g`: the usual formulas of leave-one-out, exact for a regression with these weights.
    """
    features = np.hstack([design, states.mean])
    log_rate, variance = layer.log_rate(features)
    log_mean = log_rate + (offset[:, None] if offset.ndim == 1 else offset)
    if not len(layer.relevance):
        return log_mean, variance
    loadings = layer.mean[layer.n_design :]
    spread = np.einsum("kg,nkl,lg->ng", loadings, states.covariance, loadings, optimize=True)
    mean = np.exp(np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG))
    leverage = np.minimum(gene_weights(counts, mean, layer, variance, states.noise) * spread, MOST_LEVERAGE)
    shift = -leverage / (1 - leverage) * (counts - mean) / mean
    return log_mean + shift, variance + spread / (1 - leverage)
