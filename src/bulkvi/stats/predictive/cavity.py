"""The last layer without one of its samples: cavity posteriors of all genes, for each sample in turn."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, logsumexp

from bulkvi.stats.dispersion.posterior import DispersionPrior
from bulkvi.stats.dispersion.prior import dispersion_prior, prior_of_genes
from bulkvi.stats.dispersion.profile import dispersion_profile, join_profiles
from bulkvi.stats.genes import NodeFit, fit_nodes
from bulkvi.stats.nb.regression import Block, Layout, block_genes, blocks, make_layout
from bulkvi.stats.predictive.layer import GeneLayer, fill_absent, prior_precision, spread_of
from bulkvi.stats.predictive.noise import RATE_NODES, RATE_WEIGHTS

LONGEST_STEP = 0.5
"""Of a log mean, natural log: further out one Newton step is not exact, and the regression is fitted again."""
EDGE = 0.05
"""Weight of the outermost nodes of a dispersion without a sample, above which it is outside them and the gene is fitted again."""
MOST_LEVERAGE = 0.999
LARGEST_LOG = 30.0


class Cavities(NamedTuple):
    """All genes fitted to all samples, and what each sample's count adds to the fit of each gene; natural logs."""

    counts: np.ndarray
    features: np.ndarray
    """Samples x p: design, then state."""
    offset: np.ndarray
    """Samples, or samples x genes."""
    ridge: np.ndarray
    """Prior precision of the coefficients."""
    weights: np.ndarray
    """1, or 0 for counts that no gene is fitted to, samples x genes."""
    mean: np.ndarray
    """Modes of the coefficients at the genes' dispersions, p x genes."""
    covariance: np.ndarray
    """Inverse of the observed information there, rows of the lower triangles, p (p + 1) / 2 x genes."""
    dispersion: np.ndarray
    """Dispersions of the modes, genes."""
    log_dispersion: np.ndarray
    """Posterior mean of the log dispersion without each sample, samples x genes."""
    log_dispersion_sd: np.ndarray
    """Posterior standard deviation of the log dispersion without each sample, samples x genes."""
    outside: np.ndarray
    """Whether the log dispersion without a sample is beyond the nodes, samples x genes."""
    prior: DispersionPrior
    level_sd: float
    """Prior standard deviation of the levels."""
    relevance: np.ndarray

    def layer(self, sample: int, *, exact: bool = True) -> GeneLayer:
        r"""Return the posterior of all genes without a sample.

        With :math:`C` the covariance, :math:`h = x^\top C x`, and score and observed information :math:`s, w` of the sample's count in its log
        mean,

        .. math:: C_{-n} = C + \frac{w \, C x x^\top C}{1 - w h}, \qquad m_{-n} = m - \frac{s \, C x}{1 - w h},

        which is a step of Newton's rule towards the mode without the sample. Where the step is long, or the dispersion beyond the nodes, the gene is
        fitted again, if ``exact``.
        """
        x = self.features[sample]
        row, column = np.tril_indices(len(x))
        square = _unpacked(self.covariance, len(x))
        gain = np.einsum("pqg,q->pg", square, x)
        exposure = np.exp(self.offset[sample])
        score, information = _derivatives(self.counts[sample], exposure * np.exp(x @ self.mean), self.dispersion)
        score, information = self.weights[sample] * score, self.weights[sample] * information
        rest = 1 - np.minimum(information * (x @ gain), MOST_LEVERAGE)
        mean = self.mean - gain * (score / rest)
        covariance = self.covariance + gain[row] * gain[column] * (information / rest)
        log_dispersion, sd = self.log_dispersion[sample].copy(), self.log_dispersion_sd[sample].copy()
        far = np.flatnonzero((np.abs(x @ (mean - self.mean)) > LONGEST_STEP) | self.outside[sample])
        if far.size and exact:
            again = self._fitted_without(sample, far)
            good = again.converged & np.isfinite(again.covariance).all((0, 1)) & np.isfinite(again.coef).all((0, 1))
            middle = len(again.weight) // 2
            mean[:, far[good]] = again.coef[middle][:, good]
            covariance[:, far[good]] = again.covariance[middle][:, good]
            centre = (again.weight * again.log_dispersion).sum(0)
            spread = np.sqrt((again.weight * (again.log_dispersion - centre) ** 2).sum(0))
            log_dispersion[far[good]], sd[far[good]] = centre[good], spread[good]
        layer = GeneLayer(mean, covariance, log_dispersion, sd, self.relevance)
        # genes that the other samples have no count of
        others = np.arange(len(self.counts)) != sample
        design = self.features[others, : layer.n_design]
        constant = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
        counted = (self.weights * self.counts)[others]
        fill_absent(layer, counted, self.features[others], self.offset[others], self.ridge, constant, self.level_sd)
        return layer

    def _fitted_without(self, sample: int, genes: np.ndarray) -> NodeFit:
        """Fit some genes to all samples but one."""
        others = np.arange(len(self.counts)) != sample
        features = self.features[others]
        layout, order = make_layout(features, self.ridge)
        offset = self.offset[others] if self.offset.ndim == 1 else self.offset[others][:, genes]
        counts, weights = self.counts[others][:, genes], self.weights[others][:, genes]
        [(_, block)] = blocks(counts, offset, weights, layout, order, len(genes))
        profile = dispersion_profile(block, len(features) - features.shape[1])
        return fit_nodes(block, profile, prior_of_genes(profile, self.prior.genes(genes)))


def fit_cavities(
    counts: np.ndarray,
    design: np.ndarray,
    state: np.ndarray,
    relevance: np.ndarray,
    *,
    offset: np.ndarray,
    weights: np.ndarray | None = None,
) -> Cavities:
    r"""Fit every gene once, such that it can be had without any of the samples.

    The model is that of `bulkvi.stats.predictive.layer.fit_layer`. Of a gene's dispersion without sample n

    .. math:: p(\alpha \mid y_{-n}) \propto \frac{p(\alpha \mid y)}{p(y_n \mid y_{-n}, \alpha)}

    holds exactly; the denominator is a quadrature over the normal cavity posterior of the log mean, at each node of the dispersion.

    Parameters
    ----------
    counts
        Samples x genes.
    design
        Samples x columns, with an intercept in their span.
    state
        Samples x directions, with mean square 1.
    relevance
        Prior standard deviation of the loadings of each direction.
    offset
        Natural log of the exposure, samples or samples x genes.
    weights
        1, or 0 for counts to leave out, samples x genes.
    """
    weights = np.ones(counts.shape) if weights is None else weights
    level = np.log(
        ((weights * counts).sum(0) + 0.5) / (weights * np.exp(offset if offset.ndim == 2 else offset[:, None])).sum(0)
    )
    # the prior of the level is about the mean of all genes
    offset = offset + level.mean()
    features = np.hstack([design, state])
    level_sd = spread_of(level)
    ridge = prior_precision(design, level_sd, relevance)
    n, p = features.shape
    layout, order = make_layout(features, ridge)
    size = max(64, block_genes(n) // p)
    profiles = [dispersion_profile(block, n - p) for _, block in blocks(counts, offset, weights, layout, order, size)]
    profile = join_profiles(profiles)
    prior = dispersion_prior(profile, np.log(np.clip(np.exp(level), 1e-3, None)), shaped=True)
    parts = []
    for part, block in blocks(counts, offset, weights, layout, order, size):
        nodes = fit_nodes(block, profile.genes(part), prior.genes(part))
        middle = len(nodes.weight) // 2
        without = np.empty((3, *block.counts.shape))
        without[:, order] = _dispersions_without(block, layout, nodes)
        parts.append((nodes.coef[middle], nodes.covariance[middle], np.exp(nodes.log_dispersion[middle]), without))
    mean, covariance, dispersion, (centres, spreads, edges) = (
        np.concatenate(each, -1) for each in zip(*parts, strict=True)
    )
    of_genes = mean, covariance, dispersion, centres, spreads, edges > EDGE
    return Cavities(counts, features, offset, ridge, weights, *of_genes, prior, level_sd, relevance)


def _dispersions_without(block: Block, layout: Layout, nodes: NodeFit) -> np.ndarray:
    """Posterior mean and sd of the log dispersions without each sample, and the weight of the outermost nodes.

    Three arrays, samples x genes in the order of the layout.
    """
    times = np.diff(layout.start)
    row, column = np.tril_indices(layout.unique.shape[1])
    products = layout.outer * np.where(row == column, 1.0, 2.0)
    log_weight = np.empty((len(nodes.weight), *block.counts.shape))
    for k, log_dispersion in enumerate(nodes.log_dispersion):
        dispersion = np.exp(log_dispersion)
        log_mean = np.repeat(layout.unique @ nodes.coef[k], times, axis=0) + np.log(block.exposure)
        log_mean = np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)
        variance = np.maximum(np.repeat(products @ nodes.covariance[k], times, axis=0), 0.0)
        score, information = _derivatives(block.counts, np.exp(log_mean), dispersion)
        rest = 1 - np.minimum(information * variance, MOST_LEVERAGE)
        log_mean, sd = log_mean - variance * score / rest, np.sqrt(variance / rest)
        with np.errstate(divide="ignore"):
            prior = np.log(nodes.weight[k])
        log_weight[k] = prior - block.weights * _log_predictive(block.counts, log_mean, sd, dispersion)
    weight = np.exp(log_weight - log_weight.max(0))
    weight /= weight.sum(0)
    at = nodes.log_dispersion[:, None]
    centre = (weight * at).sum(0)
    return np.stack([centre, np.sqrt((weight * (at - centre) ** 2).sum(0)), weight[0] + weight[-1]])


def _derivatives(counts: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and observed information of a count in its log mean."""
    scale = 1 + dispersion * mean
    return (counts - mean) / scale, mean * (1 + dispersion * counts) / scale**2


def _log_predictive(counts: np.ndarray, log_mean: np.ndarray, sd: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """Log probability of counts whose log mean is normal, without terms of the counts alone."""
    r = 1 / dispersion
    terms = []
    for node, weight in zip(RATE_NODES, RATE_WEIGHTS, strict=True):
        at = np.clip(log_mean + node * sd, -LARGEST_LOG, LARGEST_LOG)
        terms.append(np.log(weight) + counts * at - (counts + r) * np.log1p(dispersion * np.exp(at)))
    return logsumexp(terms, axis=0) + gammaln(counts + r) - gammaln(r) + counts * np.log(dispersion)


def _unpacked(packed: np.ndarray, p: int) -> np.ndarray:
    """Symmetric matrices of lower triangles, p x p x genes."""
    row, column = np.tril_indices(p)
    square = np.empty((p, p, packed.shape[1]))
    square[row, column] = square[column, row] = packed
    return square
