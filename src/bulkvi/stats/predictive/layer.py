"""The last layer: posterior of each gene's level, effects, loadings and dispersion given the state of the samples."""

from typing import NamedTuple

import numpy as np
from scipy.special import lambertw

from bulkvi.stats.dispersion.prior import dispersion_prior
from bulkvi.stats.dispersion.profile import dispersion_profile, join_profiles
from bulkvi.stats.genes import effect_ridge, fit_genes, fit_nodes
from bulkvi.stats.nb.regression import block_genes, blocks, make_layout

MIN_FREE = 2
"""Residual degrees of freedom that the directions leave at least, to learn dispersions from."""
NEGLIGIBLE = 1e-3
"""Directions whose singular value is a smaller share of the largest are rounding errors of the network."""
RELEVANCE_GENES = 2_000
"""Genes that the relevance of the directions is learned from; its standard error is then 2 % of it."""
RELEVANCE_ROUNDS = 6
"""Each round closes most of the distance to the fixed point where the data determine the loadings."""
MIN_RELEVANCE = 1e-3
"""Prior standard deviation of the loadings, natural log, below which a direction changes no gene by more than .1 %."""
MAX_RELEVANCE = 5.0
MIN_LEVEL_SD = 0.5
"""Of a panel of genes of one abundance; natural log."""


class GeneLayer(NamedTuple):
    """Posterior of each gene given the samples' features (design, then state); natural logs, genes last."""

    mean: np.ndarray
    """Posterior means of the coefficients, features x genes."""
    covariance: np.ndarray
    """Their covariances: rows of the lower triangles, p (p + 1) / 2 x genes."""
    log_dispersion: np.ndarray
    """Posterior mean of the log dispersion, genes."""
    log_dispersion_sd: np.ndarray
    """Posterior standard deviation of the log dispersion, genes."""
    relevance: np.ndarray
    """Prior standard deviation of the loadings of each direction."""
    log_trend: np.ndarray | None = None
    """Prior mean of the log dispersion, genes; None in layers that versions before it have saved."""

    @property
    def n_design(self) -> int:
        """Number of design columns, which come before the directions."""
        return self.mean.shape[0] - len(self.relevance)

    def genes(self, which: np.ndarray) -> "GeneLayer":
        """Select genes."""
        mean, covariance, log_dispersion, sd = (part[..., which] for part in self[:4])
        log_trend = None if self.log_trend is None else self.log_trend[which]
        return GeneLayer(mean, covariance, log_dispersion, sd, self.relevance, log_trend)

    def log_rate(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and variance of the log rate of samples with these features, samples x genes."""
        row, column = np.tril_indices(self.mean.shape[0])
        twice = np.where(row == column, 1.0, 2.0)
        variance = (features[:, row] * features[:, column] * twice) @ self.covariance
        return features @ self.mean, np.maximum(variance, 0.0)


def state_of(difference: np.ndarray, n_design: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal coordinates of the decoded variation (samples x genes, natural log), by falling variance.

    Returns the state, samples x directions with mean 0 and mean square 1, and the root mean square over the genes of each
    direction's loadings. The entry of largest absolute value of each direction is positive. At most as many directions are
    returned as leave `MIN_FREE` residual degrees of freedom beside the design.
    """
    n = len(difference)
    left, value, _ = np.linalg.svd(difference - difference.mean(0), full_matrices=False)
    found = int((value > NEGLIGIBLE * value[0]).sum()) if value[0] > 0 else 0
    number = max(0, min(found, n - n_design - MIN_FREE))
    state = left[:, :number] * np.sqrt(n)
    state = state * np.sign(state[np.abs(state).argmax(0), np.arange(number)])
    return state, value[:number] / np.sqrt(n * difference.shape[1])


def fit_layer(
    counts: np.ndarray, design: np.ndarray, state: np.ndarray, start: np.ndarray, *, offset: np.ndarray
) -> GeneLayer:
    r"""Fit the last layer of all genes.

    .. math:: \log \rho_{ng} = c_n^\top \beta_g + u_n^\top w_g, \qquad w_{kg} \sim N(0, \tau_k^2)

    The relevance :math:`\tau_k` maximises the marginal likelihood: with :math:`m_{kg}, v_{kg}` the posterior mean and variance
    of the loadings it is the fixed point :math:`\tau_k^2 = \sum_g m_{kg}^2 / \sum_g (1 - v_{kg} / \tau_k^2)` (MacKay 1992), so
    that a direction without support gets a prior, and loadings, of nearly zero. The level of a gene has a normal prior with the
    mean and variance of all genes' log mean rates, effects of the design the weak one of `effect_ridge`. Unlike
    `bulkvi.stats.hidden.loadings.shrink_loadings`, which shrinks the loadings of a network for users to read, the counts are
    regressed again, with dispersions and effects, and one normal prior per direction keeps the posterior of rates in closed form.

    Parameters
    ----------
    counts
        Samples x genes.
    design
        Samples x columns, with an intercept in their span.
    state
        Samples x directions, with mean square 1.
    start
        Relevance to begin with, e.g. the root mean square of the network's loadings.
    offset
        Natural log of the exposure, samples or samples x genes.
    """
    exposure = np.exp(offset)
    total = exposure.sum(0)
    level = np.log((counts.sum(0) + 0.5) / total)
    offset, level_sd = offset + level.mean(), spread_of(level)
    features = np.hstack([design, state])
    relevance = np.clip(start, MIN_RELEVANCE, MAX_RELEVANCE)
    if len(relevance):
        chosen = spread_over(level, RELEVANCE_GENES)
        part = offset if offset.ndim == 1 else offset[:, chosen]
        for _ in range(RELEVANCE_ROUNDS):
            ridge = prior_precision(design, level_sd, relevance)
            nodes = fit_genes(counts[:, chosen], features, offset=part, ridge=ridge).nodes
            mean, packed = _moments(nodes.weight, nodes.coef, nodes.covariance)
            relevance = _improved(relevance, mean[design.shape[1] :], _diagonal(packed)[design.shape[1] :])
    ridge = prior_precision(design, level_sd, relevance)
    layer = _posterior(counts, features, offset, ridge, relevance)
    # the intercept's coefficients: what makes the mean level one
    constant = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)[0]
    fill_absent(layer, counts, features, offset, ridge, constant, level_sd)
    layer.mean[: design.shape[1]] += constant[:, None] * level.mean()
    return layer


def spread_over(level: np.ndarray, number: int) -> np.ndarray:
    """Genes at even ranks of their level, at most ``number``: the same ones in whatever order the genes are."""
    order = np.argsort(level, kind="stable")
    if len(order) <= number:
        return np.arange(len(order))
    return order[np.linspace(0, len(order) - 1, number).astype(int)]


def _improved(relevance: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    supported = np.clip(1 - variance / relevance[:, None] ** 2, 0.0, 1.0).sum(1)
    return np.clip(np.sqrt((mean**2).sum(1) / np.maximum(supported, 1.0)), MIN_RELEVANCE, MAX_RELEVANCE)


def spread_of(level: np.ndarray) -> float:
    """Prior standard deviation of the levels."""
    return max(float(level.std()), MIN_LEVEL_SD)


def prior_precision(design: np.ndarray, level_sd: float, relevance: np.ndarray) -> np.ndarray:
    """Prior precision of the coefficients of the design, whose mean row is the level, and of the loadings."""
    q, centre = design.shape[1], design.mean(0)
    fixed = effect_ridge(design) + np.outer(centre, centre) / level_sd**2
    ridge = np.zeros((q + len(relevance), q + len(relevance)))
    ridge[:q, :q] = fixed
    ridge[range(q, len(ridge)), range(q, len(ridge))] = 1 / relevance**2
    return ridge


def _diagonal(packed: np.ndarray) -> np.ndarray:
    p = int(np.sqrt(2 * len(packed)))
    return packed[np.arange(1, p + 1) * np.arange(2, p + 2) // 2 - 1]


def _moments(weight: np.ndarray, coef: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and packed covariance over the nodes: that within nodes, and that of their modes."""
    mean = np.einsum("kg,kpg->pg", weight, coef)
    row, column = np.tril_indices(len(mean))
    packed = np.einsum("kg,kpg->pg", weight, covariance)
    for node_weight, node_coef in zip(weight, coef, strict=True):
        deviation = node_coef - mean
        packed += node_weight * deviation[row] * deviation[column]
    return mean, packed


def fill_absent(
    layer: GeneLayer,
    counts: np.ndarray,
    features: np.ndarray,
    offset: np.ndarray,
    ridge: np.ndarray,
    constant: np.ndarray,
    level_sd: float,
) -> None:
    """Give genes without counts the level at the mode of prior and zeros, and the dispersion of the rarest genes, in place.

    Zeros alone are as likely under any level if the dispersion is large enough, so that no regression can tell.
    """
    total = counts.sum(0)
    absent = np.flatnonzero(total == 0)
    if not absent.size or absent.size == len(total):
        return
    present = np.flatnonzero(total > 0)
    rarest = present[np.argsort(total[present], kind="stable")[: max(1, len(present) // 20)]]
    for gene in absent:
        exposure = np.exp(offset if offset.ndim == 1 else offset[:, gene])
        # the mode of -exposure exp(level) - level^2 / 2 sd^2 (Corless et al. 1996)
        level = -float(lambertw(exposure.sum() * level_sd**2).real)
        information = (features.T * (exposure * np.exp(level))) @ features + ridge
        layer.mean[:, gene] = 0.0
        layer.mean[: len(constant), gene] = constant * level
        layer.covariance[:, gene] = np.linalg.inv(information)[np.tril_indices(len(ridge))]
    layer.log_dispersion[absent] = layer.log_dispersion[rarest].mean()
    layer.log_dispersion_sd[absent] = np.hypot(
        layer.log_dispersion[rarest].std(), layer.log_dispersion_sd[rarest].mean()
    )


def _posterior(
    counts: np.ndarray, features: np.ndarray, offset: np.ndarray, ridge: np.ndarray, relevance: np.ndarray
) -> GeneLayer:
    """Fit all genes as `fit_genes` does, block by block: covariances of all nodes of all genes would not fit into memory."""
    n, p = features.shape
    layout, order = make_layout(features, ridge)
    size = block_genes(n)
    profiles, means = [], []
    for _, block in blocks(counts, offset, None, layout, order, size):
        profiles.append(dispersion_profile(block, n - p))
        means.append((block.counts / block.exposure).mean(0))
    profile = join_profiles(profiles)
    prior = dispersion_prior(profile, np.log(np.clip(np.concatenate(means), 1e-3, None)), shaped=True)
    parts = []
    for part, block in blocks(counts, offset, None, layout, order, size):
        nodes = fit_nodes(block, profile.genes(part), prior.genes(part))
        mean, packed = _moments(nodes.weight, nodes.coef, nodes.covariance)
        centre = (nodes.weight * nodes.log_dispersion).sum(0)
        spread = np.sqrt((nodes.weight * (nodes.log_dispersion - centre) ** 2).sum(0))
        parts.append((mean, packed, centre, spread))
    mean, packed, centre, spread = (np.concatenate(each, -1) for each in zip(*parts, strict=True))
    return GeneLayer(mean, packed, centre, spread, relevance, prior.log_trend)
