"""Likelihood ratio tests with the dispersion integrated out: of several effects, and of genes without counts on one side."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.special import log_ndtr, logsumexp
from scipy.stats import chi2

from bulkvi.stats.donors.donors import Donors, regress_at_node
from bulkvi.stats.effects.effect import EffectLikelihood, log_p_value
from bulkvi.stats.effects.noise_inflation import NoiseInflation, widen_log_p
from bulkvi.stats.effects.readings import ReadEffects
from bulkvi.stats.genes import FittedGenes
from bulkvi.stats.nb.regression import coef_log_likelihood

PSEUDO_COUNT = 0.5
NEAR_ZERO = 1e-8


class OmnibusTest(NamedTuple):
    """One test of several contrasts for every gene."""

    stat: np.ndarray
    """Twice the log likelihood ratio, averaged over the dispersion and divided by ``variance``; genes."""
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
    r"""Test that several contrasts are all zero, by the likelihood ratio with the dispersion integrated out.

    At each node k of a gene's dispersion the features are fitted with and without the effects, at the same dispersion:

    .. math:: p = \sum_k w_k \Pr\!\left(\chi^2_q > 2 (\ell_k - \ell_k^0)\right)

    with q the rank of the contrasts. Without the effects the features are :math:`X N`, N an orthonormal basis of the
    coefficients on which all contrasts are zero.

    Parameters
    ----------
    counts, features, offset, ridge, weights
        As given to `fit_genes`.
    contrasts
        Weights of the coefficients, contrasts x p.
    fit
        Result of `fit_genes`.
    variance
        Variance of the statistics of genes without effect; the ratios are divided by it.
    donors
        Random intercepts of the nodes; they are integrated out of both likelihoods.

    Returns
    -------
    Named tuple with ``stat``, ``p_value`` and ``converged`` (one value per gene) and ``df``, the degrees of freedom.

    Raises
    ------
    ValueError
        If the contrasts are not contrasts x p, or all zero.

    Examples
    --------
    Three groups, of which the last has the first gene doubled:

    >>> from bulkvi.stats import effect_ridge, fit_genes
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
        known = np.isfinite(ratio)  # a likelihood that overflows has no information
        ratio = np.where(known, ratio, 0.0)
        stat += weight * ratio
        p_value += weight * chi2.sf(ratio, df)
        converged &= null.converged & known
    return OmnibusTest(stat, np.minimum(p_value, 1.0), df, converged)


class ContrastedEffect(NamedTuple):
    """The likelihood of a contrast and its p-value, separated genes handled."""

    effect: EffectLikelihood
    log_p: np.ndarray
    """Natural log of the two-sided p-value, genes."""
    separated: np.ndarray
    """Genes without a count on one side, and with one on the other."""
    readings: ReadEffects | None = None
    """The same of genes with several readings, for each of these."""

    def widened(self, factor: float) -> "ContrastedEffect":
        """Multiply all variances by a factor."""
        widths, readings = NoiseInflation(np.array([factor]), np.ones(1)), self.readings
        if readings is not None:
            readings = readings._replace(
                effect=readings.effect.widened(factor), log_p=widen_log_p(readings.log_p, widths)
            )
        return self._replace(
            effect=self.effect.widened(factor), log_p=widen_log_p(self.log_p, widths), readings=readings
        )

    def averaged(self, other: "ContrastedEffect", probability: float) -> "ContrastedEffect":
        """Average over two models of the counts: the other is right with this probability."""
        first, second = self._joined(), other._joined()
        weights = ((1 - probability) * first.effect.weight, probability * second.effect.weight)
        effect = EffectLikelihood(
            np.vstack([first.effect.estimate, second.effect.estimate]),
            np.vstack([first.effect.se, second.effect.se]),
            np.vstack(weights),
        )
        log_p = logsumexp([first.log_p, second.log_p], axis=0, b=np.array([[1 - probability], [probability]]))
        return ContrastedEffect(effect, log_p, first.separated | second.separated)

    def _joined(self) -> "ContrastedEffect":
        """Join the readings of a gene to one normal likelihood of their mean and variance."""
        if self.readings is None:
            return self
        genes, joined = self.readings.genes, self.readings.estimate()
        estimate, se, log_p = self.effect.estimate.copy(), self.effect.se.copy(), self.log_p.copy()
        estimate[:, genes], se[:, genes], log_p[genes] = joined.mle, np.sqrt(joined.variance), joined.log_p
        return self._replace(effect=self.effect._replace(estimate=estimate, se=se), log_p=log_p, readings=None)


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
    r"""Give separated genes half a count on their empty side, and test them by the likelihood ratio.

    Without a count on one side only the ridge bounds the effect, and its standard error is larger still: 4,700 counts
    against none had a Wald statistic of 3.7. Half a count, spread over the empty side by exposure, gives a finite estimate
    and standard error. The p-value is that of the likelihood ratio of these counts,

    .. math:: p = \sum_k w_k \, 2 \Phi\!\left(-\sqrt{2 (\ell_k - \ell_k^0)}\right)

    with :math:`\ell_k^0` the fit without the effect at the dispersion of node k: half a count is
    the continuity correction of the discrete outcome (two Poisson samples, 3, 10 and 30 counts against none: p = 0.16, 0.0012 and 1e-9, where
    the exact test has 0.25, 0.002 and 2e-9, Wald's 0.24, 0.04 and 0.004).
    """
    log_p = log_p_value(effect.shifted(null))
    above, below = compared_sides(features, contrast) if sides is None else sides
    empty_above, empty_below = (counts[side].max(0, initial=0) == 0 for side in (above, below))
    separated = empty_above ^ empty_below
    genes = np.flatnonzero(separated)
    if not genes.size:
        return ContrastedEffect(effect, log_p, separated)
    gene_offset = offset if offset.ndim == 1 else offset[:, genes]
    exposure = np.exp(gene_offset if gene_offset.ndim == 2 else gene_offset[:, None])
    added = np.zeros((counts.shape[0], genes.size))
    for side, empty in ((above, empty_above[genes]), (below, empty_below[genes])):
        share = np.broadcast_to(exposure[side] / exposure[side].sum(0), (side.sum(), genes.size))
        added[side] += PSEUDO_COUNT * share * empty
    y = counts[:, genes] + added
    w = None if weights is None else weights[:, genes]
    gene_donors = None if donors is None else donors.genes(genes)
    kept = null_space(contrast[None])
    reduced = features @ kept
    at_null = features @ contrast * (null / (contrast @ contrast))
    null_offset = gene_offset + (at_null if gene_offset.ndim == 1 else at_null[:, None])
    estimate, se = effect.estimate.copy(), effect.se.copy()
    log_tail = np.empty((effect.weight.shape[0], genes.size))
    for k, log_dispersion in enumerate(fit.nodes.log_dispersion[:, genes]):
        given = {"log_dispersion": log_dispersion, "weights": w, "donors": gene_donors, "node": k}
        full = regress_at_node(y, features, ridge=ridge, offset=gene_offset, **given)
        none = regress_at_node(y, reduced, ridge=kept.T @ ridge @ kept, offset=null_offset, **given)
        estimate[k, genes] = contrast @ full.coef
        se[k, genes] = np.sqrt(np.einsum("i,ijg,j->g", contrast, full.covariance, contrast))
        ratio = full.log_likelihood - none.log_likelihood
        log_tail[k] = log_ndtr(-np.sqrt(2 * np.clip(ratio, 0, None))) + np.log(2)
    log_p = log_p.copy()
    log_p[genes] = np.minimum(logsumexp(log_tail, axis=0, b=effect.weight[:, genes]), 0.0)
    return ContrastedEffect(EffectLikelihood(estimate, se, effect.weight), log_p, separated)


def compared_sides(features: np.ndarray, contrast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the samples that an effect rises with, and of those it falls with.

    By their weights in least squares, ``X (X'X)^-1 psi``; samples without weight are on neither side.
    """
    influence = features @ np.linalg.solve(features.T @ features, contrast)
    tolerance = NEAR_ZERO * np.abs(influence).max()
    return influence > tolerance, influence < -tolerance
