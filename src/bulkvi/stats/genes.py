"""From counts to the regressions that every contrast is read from: dispersion profile, prior, nodes."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.dispersion.nodes import N_NODES, NodeFit, fit_nodes
from bulkvi.stats.dispersion.prior import DispersionPrior, dispersion_prior
from bulkvi.stats.dispersion.profile import dispersion_profile, join_profiles, most_likely_dispersion
from bulkvi.stats.nb.block import Array, blocks, join, make_layout, namespace
from bulkvi.stats.nb.regression import block_genes, check_regression

EFFECT_PRECISION = 4e-2
LEVEL_PRECISION = 1e-6


class FittedGenes(NamedTuple):
    """All genes of a data set, fitted with their dispersions integrated out."""

    base_mean: Array
    """Mean over the samples of count / size factor, genes."""
    gene_dispersion: Array
    """Dispersion of highest adjusted profile likelihood, by the gene's own counts, genes."""
    prior: DispersionPrior
    """Prior and posterior of the dispersions."""
    nodes: NodeFit
    """Regressions at the nodes of the dispersions' posteriors."""


def effect_ridge(features: np.ndarray) -> np.ndarray:
    r"""Prior precision of the coefficients that depends on what the features can say and not on how they are coded.

    .. math:: D = 0.04 \, \mathrm{cov}(X) + 10^{-6} X^\top X / n

    so that :math:`\theta^\top D \theta` is 0.04 times the variance over the samples of the linear predictor, whatever the
    reference level, the unit of a covariate, or the contrasts in use; for two groups of one size it is a precision of 0.01 of
    their difference, natural log (a standard deviation of 14 on the log2 scale).

    Parameters
    ----------
    features
        Samples x p, the intercept among them or in their span.

    Returns
    -------
    Precisions, p x p.

    Examples
    --------
    >>> effect_ridge(np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])).round(3).tolist()
    [[0.0, 0.0], [0.0, 0.01]]
    """
    n = features.shape[0]
    centred = features - features.mean(0)
    return (EFFECT_PRECISION * centred.T @ centred + LEVEL_PRECISION * features.T @ features) / n


def fit_genes(
    counts: Array,
    features: Array,
    *,
    offset: Array,
    ridge: Array,
    weights: Array | None = None,
    n_nodes: int = N_NODES,
) -> FittedGenes:
    """Fit all genes: what `effect_likelihood` reads the effect of any contrast from.

    Genes are worked on in blocks, so the workspace is bounded; time and result are linear in samples x genes.

    Parameters
    ----------
    counts
        Counts, samples x genes, >= 0; they need not be whole numbers. A gene may be all zero: its effects come back
        as zero, as uncertain as the ridge lets them be.
    features
        Design columns (with the intercept) and any others, samples x p.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    ridge
        Prior precisions of the coefficients, p (or p x p), natural log scale.
    weights
        Weights of the observations' log likelihoods, samples x genes; 1 if not given.
    n_nodes
        Dispersion nodes a gene, odd.

    Returns
    -------
    Arrays of the kind given (numpy or torch, on its device).

    Raises
    ------
    ValueError
        If shapes do not fit each other, a value is not allowed, or there are as many features as samples.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> group = np.repeat([0.0, 1.0], 4)
    >>> counts = rng.negative_binomial(10, 0.1, size=(8, 50))
    >>> fit = fit_genes(counts, np.column_stack([np.ones(8), group]), offset=np.zeros(8), ridge=np.array([1e-6, 1e-2]))
    >>> fit.nodes.coef.shape
    (9, 2, 50)
    """
    check_regression(counts, features, offset, ridge, weights)
    n, p = features.shape
    if n <= p:
        raise ValueError(
            f"{n} samples and {p} features leave no residual degrees of freedom to learn the dispersion from: "
            "add replicates or drop features."
        )
    xp = namespace(counts)
    layout, order = make_layout(features, ridge)
    profiles, means = [], []
    for _, block in blocks(counts, offset, weights, layout, order, block_genes(n)):
        profiles.append(dispersion_profile(block, n - p))
        rate = block.counts / block.exposure
        means.append(rate.mean(0) if weights is None else (rate * block.weights).sum(0) / block.weights.sum(0))
    profile = join_profiles(profiles)
    base_mean = means[0] if len(means) == 1 else xp.concatenate(means)
    prior = dispersion_prior(profile, xp.log(xp.clip(base_mean, 1e-3, None)))
    nodes = []
    for part, block in blocks(counts, offset, weights, layout, order, block_genes(n)):
        nodes.append(fit_nodes(block, profile.genes(part), prior.genes(part), n_nodes=n_nodes))
    return FittedGenes(base_mean, most_likely_dispersion(profile), prior, join(nodes))
