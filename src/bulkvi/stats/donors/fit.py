"""From counts and donors to the regressions that every contrast is read from."""

from typing import NamedTuple

import numpy as np

from bulkvi.stats.dispersion.nodes import NodeFit
from bulkvi.stats.dispersion.prior import DispersionPrior, dispersion_prior
from bulkvi.stats.dispersion.profile import dispersion_profile
from bulkvi.stats.donors.donors import Donors
from bulkvi.stats.donors.lattice import check_donors, donor_blocks
from bulkvi.stats.donors.posterior import DonorPrior, Place, locate, place_nodes
from bulkvi.stats.donors.prior import LEARN_GENES, learn_prior
from bulkvi.stats.genes import FittedGenes
from bulkvi.stats.nb.block import blocks, make_layout
from bulkvi.stats.nb.regression import block_genes, check_regression


class DonorFit(NamedTuple):
    """All genes of a data set, fitted with dispersions and donor variances integrated out."""

    genes: FittedGenes
    """What contrasts are read from; its dispersions are those within donors."""
    donors: Donors
    """Donors' effects and the variances of the nodes."""
    prior: DonorPrior
    """Prior of dispersions and donor variances."""
    mean: np.ndarray
    """Posterior mean of the log donor variance, genes."""
    sd: np.ndarray
    """Its posterior standard deviation, genes."""


def fit_donor_genes(
    counts: np.ndarray,
    features: np.ndarray,
    donor: np.ndarray,
    *,
    offset: np.ndarray,
    ridge: np.ndarray,
    weights: np.ndarray | None = None,
) -> DonorFit:
    r"""Fit all genes with a random intercept for each donor: what `fit_genes` does where samples are independent.

    The model is that of `bulkvi.stats.donors.donors.donor_regression`, with
    :math:`\log \alpha_g \sim N(f(x_g), v)` and :math:`\log \tau_g^2 \sim N(h(x_g), w)`, x the log mean; trends and
    variances are learned from up to `LEARN_GENES` genes (`learn_prior`). Each gene's posterior of both is then integrated over on
    a lattice laid where it is (`locate`, `place_nodes`), so that few donors leave the effect of a group that donors are nested in
    as uncertain as they should.

    Parameters
    ----------
    counts
        Counts, samples x genes, >= 0.
    features
        Design columns (with the intercept) and any others, samples x p; no columns of donors.
    donor
        Donor of each sample, anything that numpy can sort.
    offset
        Natural log of the size factors, one a sample, or samples x genes.
    ridge
        Prior precisions of the coefficients, p (or p x p), natural log scale.
    weights
        Weights of the observations' log likelihoods, samples x genes; 1 if not given.

    Returns
    -------
    The fit; its ``genes`` are read as those of `fit_genes`.

    Raises
    ------
    ValueError
        If shapes do not fit each other, a value is not allowed, there are as many features as samples, or one donor only.

    Examples
    --------
    Six donors, two samples each, who differ by 0.5 (standard deviation, natural log):

    >>> rng = np.random.default_rng(0)
    >>> donor = np.repeat(np.arange(6), 2)
    >>> mean = 200 * np.exp(rng.normal(0, 0.5, (6, 300)))[donor]
    >>> counts = rng.negative_binomial(20, 20 / (20 + mean)).astype(float)
    >>> features = np.column_stack([np.ones(12), np.tile([0.0, 1.0], 6)])
    >>> fit = fit_donor_genes(counts, features, donor, offset=np.zeros(12), ridge=np.array([1e-6, 1e-2]))
    >>> np.sqrt(np.exp(np.median(fit.mean))).round(1), np.exp(np.median(fit.genes.prior.mean)).round(2)
    (np.float64(0.5), np.float64(0.05))
    """
    check_regression(counts, features, offset, ridge, weights)
    n, p = features.shape
    n_donors = check_donors(donor, n)
    if n <= p:
        raise ValueError(
            f"{n} samples and {p} features leave no residual degrees of freedom to learn the dispersion from: "
            "add replicates or drop features."
        )
    n_genes = counts.shape[1]
    rate = counts / np.exp(offset[:, None] if offset.ndim == 1 else offset)
    base_mean = rate.mean(0) if weights is None else (rate * weights).sum(0) / weights.sum(0)
    log_mean = np.log(np.clip(base_mean, 1e-3, None))
    some = np.argsort(log_mean, kind="stable")[np.linspace(0, n_genes - 1, min(n_genes, LEARN_GENES)).astype(int)]
    few = (
        np.ascontiguousarray(counts[:, some]),
        offset if offset.ndim == 1 else offset[:, some],
        None if weights is None else weights[:, some],
    )
    _, data = next(donor_blocks(few[0], features, donor, few[1], ridge, few[2], genes=some.size))
    layout, order = make_layout(features, ridge)
    _, block = next(blocks(*few, layout, order, some.size))
    total = dispersion_prior(dispersion_profile(block, n - p), log_mean[some])
    learned = learn_prior(data, log_mean[some], total.log_trend)
    prior = learned.at(log_mean)
    start_root = np.zeros((2, 2, n_genes))
    free = np.array([n - n_donors, n_donors])
    start_root[[0, 1], [0, 1]] = np.sqrt(1 / (1 / prior.variance + free / 4))[:, None]
    start = Place(prior.log_trend.copy(), start_root)
    parts, effects = [], []
    for part, data in donor_blocks(counts, features, donor, offset, ridge, weights, block_genes(n) // 8):
        own = prior.genes(part)
        coef, effect = data.start_coef(), np.zeros((n_donors, own.log_trend.shape[1]))
        place = locate(data, own, start.genes(part), coef, effect)
        parts.append(place_nodes(data, own, place, coef, effect))
        effects.append(effect)
    at = np.concatenate([nodes.at for nodes in parts], -1)
    moments = [nodes.moments() for nodes in parts]
    mean = np.concatenate([m for m, _ in moments], -1)
    sd = np.sqrt(np.concatenate([np.einsum("iig->ig", c) for _, c in moments], -1))
    nodes = NodeFit(
        at[0],
        np.concatenate([part.weight for part in parts], -1),
        np.concatenate([part.fit.coef for part in parts], -1),
        np.concatenate([part.fit.covariance for part in parts], -1),
        np.concatenate([part.fit.converged for part in parts], -1),
    )
    dispersions = DispersionPrior(prior.log_trend[0], float(prior.variance[0]), mean[0], sd[0], learned.converged)
    own_dispersion = _without_prior(mean[0], sd[0], dispersions)
    fit = FittedGenes(base_mean, own_dispersion, dispersions, nodes)
    code = np.unique(donor, return_inverse=True)[1].reshape(-1)
    return DonorFit(fit, Donors(code, np.concatenate(effects, -1), at[1]), prior, mean[1], sd[1])


def _without_prior(mean: np.ndarray, sd: np.ndarray, prior: DispersionPrior) -> np.ndarray:
    """Dispersions of highest likelihood: the posterior's normal curve divided by the prior's; 0 where nothing is left."""
    own = 1 / sd**2 - 1 / prior.variance
    top = mean + (mean - prior.log_trend) / prior.variance / np.clip(own, 1e-6, None)
    return np.where(own > 0.05 / prior.variance, np.exp(np.clip(top, -16.0, 5.0)), 0.0)
