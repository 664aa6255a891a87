"""Genes without a count on one side of a comparison, where the likelihood has no peak to put a normal curve on."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.special import log_ndtr, logsumexp

from bulkvi.stats.donors.donors import Donors, regress_at_node
from bulkvi.stats.effects.effect import EffectLikelihood, log_p_value
from bulkvi.stats.genes import FittedGenes

PSEUDO_COUNT = 0.5
NEAR_ZERO = 1e-8


class ContrastedEffect(NamedTuple):
    """The likelihood of a contrast and its p-value, separated genes settled."""

    effect: EffectLikelihood
    log_p: np.ndarray
    """Natural log of the two-sided p-value, genes."""
    separated: np.ndarray
    """Genes without a count on one side, and with one on the other."""


def handle_separation(
    effect: EffectLikelihood,
    counts: np.ndarray,
    features: np.ndarray,
    contrast: np.ndarray,
    fit: FittedGenes,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
    donors: Donors | None = None,
    sides: tuple[np.ndarray, np.ndarray] | None = None,
    null: float = 0.0,
) -> ContrastedEffect:
    r"""Give separated genes half a count on their silent side, and test them by the likelihood ratio.

    Without a count on one side the effect is as large as the ridge lets it be and its standard error larger still: 4,700
    counts against none had a Wald statistic of 3.7. Half a count, spread over the silent side by exposure, gives estimate
    and standard error a finite place. The p-value is that of the likelihood ratio of these counts,

    .. math:: p = \sum_k w_k \, 2 \Phi\!\left(-\sqrt{2 (\ell_k - \ell_k^0)}\right)

    with :math:`\ell_k^0` the fit without the effect at the dispersion of node k: half a count is to the discrete outcome
    what a continuity correction is (two Poisson samples, 3, 10 and 30 counts against none: p = 0.16, 0.0012 and 1e-9, where
    the exact test has 0.25, 0.002 and 2e-9, Wald's 0.24, 0.04 and 0.004).

    Parameters
    ----------
    effect
        Likelihood of the contrast.
    counts, features, offset, ridge, weights
        As given to `fit_genes`.
    contrast
        Weights of the coefficients, shape ``(n_features,)``.
    fit
        What `fit_genes` made of them.
    donors
        Random intercepts of its nodes, if it has any: they are integrated out of both likelihoods.
    sides
        Samples that the effect rises and falls with, as masks; by default `compared_sides`.
    null
        Effect that p-values are against, natural log: where `composition_shift` puts unchanged genes.

    Returns
    -------
    The effect with those genes' estimates replaced, the p-values of all genes, and which genes are separated.

    Examples
    --------
    >>> from bulkvi.stats.effects.effect import effect_likelihood
    >>> from bulkvi.stats.genes import effect_ridge, fit_genes
    >>> features = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    >>> counts = np.random.default_rng(0).poisson(100, (8, 100)).astype(float)
    >>> counts[:4, 0] = 0
    >>> given = {"offset": np.zeros(8), "ridge": effect_ridge(features)}
    >>> fit, contrast = fit_genes(counts, features, **given), np.array([0.0, 1.0])
    >>> effect = effect_likelihood(fit.nodes, contrast)
    >>> settled = handle_separation(effect, counts, features, contrast, fit, **given)
    >>> np.flatnonzero(settled.separated).tolist(), bool(settled.log_p[0] < np.log(1e-6))
    ([0], True)
    """
    log_p = log_p_value(effect._replace(estimate=effect.estimate - null))
    above, below = compared_sides(features, contrast) if sides is None else sides
    silent_above, silent_below = (counts[side].max(0, initial=0) == 0 for side in (above, below))
    separated = silent_above ^ silent_below
    genes = np.flatnonzero(separated)
    if not genes.size:
        return ContrastedEffect(effect, log_p, separated)
    own_offset = offset if offset.ndim == 1 else offset[:, genes]
    exposure = np.exp(own_offset if own_offset.ndim == 2 else own_offset[:, None])
    added = np.zeros((counts.shape[0], genes.size))
    for side, silent in ((above, silent_above[genes]), (below, silent_below[genes])):
        share = np.broadcast_to(exposure[side] / exposure[side].sum(0), (side.sum(), genes.size))
        added[side] += PSEUDO_COUNT * share * silent
    y = counts[:, genes] + added
    w = None if weights is None else weights[:, genes]
    of_genes = None if donors is None else donors.genes(genes)
    kept = null_space(contrast[None])
    reduced = features @ kept
    at_null = features @ contrast * (null / (contrast @ contrast))
    null_offset = own_offset + (at_null if own_offset.ndim == 1 else at_null[:, None])
    estimate, se = effect.estimate.copy(), effect.se.copy()
    log_tail = np.empty((effect.weight.shape[0], genes.size))
    for k, log_dispersion in enumerate(fit.nodes.log_dispersion[:, genes]):
        given = {"log_dispersion": log_dispersion, "weights": w, "donors": of_genes, "node": k}
        full = regress_at_node(y, features, ridge=ridge, offset=own_offset, **given)
        none = regress_at_node(y, reduced, ridge=kept.T @ ridge @ kept, offset=null_offset, **given)
        estimate[k, genes] = contrast @ full.coef
        se[k, genes] = np.sqrt(np.einsum("i,ijg,j->g", contrast, full.covariance, contrast))
        ratio = full.log_likelihood - none.log_likelihood
        log_tail[k] = log_ndtr(-np.sqrt(2 * np.clip(ratio, 0, None))) + np.log(2)
    log_p = log_p.copy()
    log_p[genes] = np.minimum(logsumexp(log_tail, axis=0, b=effect.weight[:, genes]), 0.0)
    return ContrastedEffect(EffectLikelihood(estimate, se, effect.weight), log_p, separated)


def compared_sides(features: np.ndarray, contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples that an effect rises with and those that it falls with, as masks.

    By the weights that least squares would give them, ``X (X'X)^-1 psi``; samples with none are on neither side.

    Parameters
    ----------
    features
        Samples x p, of full rank.
    contrast
        Weights of the coefficients, shape ``(p,)``.

    Returns
    -------
    Two masks of the samples.

    Examples
    --------
    >>> features = np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]])
    >>> [np.flatnonzero(side).tolist() for side in compared_sides(features, np.array([0.0, 0.0, 1.0]))]
    [[2, 3], [0]]
    """
    influence = features @ np.linalg.solve(features.T @ features, contrast)
    tolerance = NEAR_ZERO * np.abs(influence).max()
    return influence > tolerance, influence < -tolerance
