"""Hidden factors in addition to a design: their number, and their alignment with a contrast."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from bulkvi.stats.donors.donors import Donors
from bulkvi.stats.effects.noise_inflation import standardise, standardised_residuals
from bulkvi.stats.effects.shrinkage import mixture_weights, smallest_scale
from bulkvi.stats.genes import FittedGenes
from bulkvi.stats.samples.sample_order import sample_order

LARGEST_RATE = 1e15
NEGLIGIBLE = 1e-8
MARGIN = 1.05
MAX_FACTORS = 10
MIN_RESIDUAL_DF = 4
N_SIMULATIONS = 3
WORTHWHILE = 0.97
N_DIRECTIONS = 60
N_DIRECTIONS_LARGE = 24
LARGE = 200
MIN_NEAR_NULL = 0.5
NEAR_NULL = 1.5
SCALE_RATIO = np.sqrt(2)
MAX_ROUNDS = 60
TOLERANCE = 1e-4
FLAT = 1e-6
"""Prior precision of an effect common to all genes."""


class LatentNumber(NamedTuple):
    """Number of hidden factors and its criteria."""

    number: int
    """Factors to adjust for; 0 if none is significant."""
    singular_values: np.ndarray
    """Singular values of the standardised residuals, descending."""
    threshold: np.ndarray
    """Largest singular values of independent genes, times `MARGIN`."""
    information: np.ndarray
    """Expected information about a contrast given 0, 1, 2, ... factors, relative to none; empty if none is significant."""
    inflation: np.ndarray
    """Mean and standard deviation of the log ratio of a contrast's variance to that of the regression given 0, 1, 2, ...
    factors, 2 x numbers; empty if no factor is significant."""
    limit: int
    """Most factors that the residual degrees of freedom allow."""


def latent_number(
    counts: np.ndarray,
    features: np.ndarray,
    offset: np.ndarray,
    fit: FittedGenes,
    rng: np.random.Generator,
    donors: Donors | None = None,
) -> LatentNumber:
    r"""Estimate the number of hidden factors: any, by parallel analysis; how many, by the information about a contrast.

    Any: the largest singular value of the residuals is compared with that of negative
    binomial draws at the means and dispersions of the fit, with independent genes (Horn 1965; the largest of three
    draws).

    How many: strong factors mask weaker ones in parallel analysis, and weak ones may cost more than they gain. A contrast with
    noise :math:`e_k` given k factors (of held-out contrasts) and a variance estimated with :math:`\nu = n - p - k` degrees of
    freedom has the information of Student's t, :math:`(\nu + 1) / (\nu + 3) / e_k`. The smallest number with at least 97 % of
    the largest information is returned. At least 4 residual degrees of freedom are left: with fewer a factor makes null
    comparisons look significant.

    Parameters
    ----------
    counts
        Counts, samples x genes.
    features
        Samples x p.
    offset
        Natural log of the size factors, one per sample, or samples x genes.
    fit
        Result of `fit_genes`.
    rng
        Source of the simulated counts and of the directions held out.
    donors
        Random intercepts of the fit; they are redrawn in simulated counts.

    Returns
    -------
    Named tuple with ``number``, ``singular_values`` and their ``threshold``, ``information`` and ``inflation`` given 0, 1, 2, ...
    factors, and ``limit``, the most factors that the degrees of freedom allow.

    Examples
    --------
    >>> from bulkvi.stats import effect_ridge, fit_genes
    >>> rng = np.random.default_rng(0)
    >>> features = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)])
    >>> hidden = np.outer(np.tile([-1, 1], 6), rng.normal(0, 0.3, 300))
    >>> counts = rng.poisson(100 * np.exp(hidden)).astype(float)
    >>> fit = fit_genes(counts, features, offset=np.zeros(12), ridge=effect_ridge(features))
    >>> latent_number(counts, features, np.zeros(12), fit, rng).number
    1
    """
    n = len(features)
    residuals, mean, dispersion, gene_donors, rank = standardised_residuals(counts, features, offset, fit, donors)
    observed = np.linalg.svd(residuals, compute_uv=False)[: n - rank] if residuals.size else np.zeros(0)
    limit = int(np.clip(n - rank - MIN_RESIDUAL_DF, 0, MAX_FACTORS))
    # a few genes, or copies of one, span fewer directions than there are samples
    limit = min(limit, max(int((observed > NEGLIGIBLE * observed.max(initial=0.0)).sum()) - 1, 0))
    largest = np.zeros_like(observed)
    # each sample has its own draws, wherever it stands
    order = sample_order(counts, features)
    for _ in range(N_SIMULATIONS if observed.size else 0):
        rate = np.empty_like(mean)
        rate[order] = rng.gamma(1 / dispersion, (dispersion * mean)[order])
        # above the range of a Poisson draw its noise is negligible
        drawn = np.rint(rate)
        drawn[order] = np.where(
            rate[order] > LARGEST_RATE, drawn[order], rng.poisson(np.minimum(rate[order], LARGEST_RATE))
        )
        if gene_donors is not None:
            shape = gene_donors.effect.shape
            gene_donors = gene_donors._replace(effect=rng.normal(0.0, np.sqrt(gene_donors.variance), shape))
        independent = standardise(drawn, mean, dispersion, features, gene_donors)
        largest = np.maximum(largest, np.linalg.svd(independent, compute_uv=False)[: n - rank])
    threshold = MARGIN * largest
    if not limit or not observed.size or observed[0] <= threshold[0]:
        return LatentNumber(0, observed, threshold, np.zeros(0), np.zeros((2, 0)), limit)
    held_out = held_out_noise(residuals, rank, limit, rng)
    df = n - rank - np.arange(limit + 1)
    information = (df + 1) / (df + 3) / np.exp(np.log(held_out.noise).mean(0))
    number = int(np.argmax(information >= WORTHWHILE * information.max()))
    log_inflation = np.log(held_out.inflation)
    inflation = np.stack([log_inflation.mean(0), log_inflation.std(0)])
    return LatentNumber(number, observed, threshold, information / information[0], inflation, limit)


class HeldOut(NamedTuple):
    """Held-out contrasts given 0, 1, 2, ... factors estimated without them; directions x numbers of factors."""

    noise: np.ndarray
    """Their variance over genes after adjustment for the factors."""
    inflation: np.ndarray
    """Ratio of that to the variance predicted from the other directions."""


def held_out_noise(residuals: np.ndarray, n_features: int, max_factors: int, rng: np.random.Generator) -> HeldOut:
    r"""Noise of random contrasts of the samples given 0, 1, 2, ... leading factors of all other directions.

    A contrast of the design is one direction in the space of the samples, without residuals. So a random direction v of the
    residuals is held out, :math:`y_g = v^\top r_g`; the leading k factors are estimated from all other directions, as singular
    vectors with loadings :math:`W`; their positions :math:`\delta` along v are the least squares of y on W over all genes; and

    .. math:: e_k(v) = \frac{1}{G} \sum_g (y_g - W_g^\top \delta)^2

    is the remaining noise: a true factor reduces it, a spurious one adds the noise of its loadings. A regression given k
    factors predicts it from the remainder in the other directions and the noise of the loadings,

    .. math:: s_k^2(v) \, (1 + \lvert \delta \rvert^2), \quad
        s_k^2 = \frac{1}{G (n - p - 1 - k)} \sum_g \lVert r_g \rVert^2_{\text{others}} - \lVert W_g \rVert^2 ,

    too little, since the factors are chosen to leave little; and noise that genes share makes it vary between contrasts. See
    Owen & Wang 2016, *Bi-cross-validation for factor analysis*. The result does not depend on the order of the samples.
    """
    n, n_genes = residuals.shape
    m = n - n_features
    gram = residuals @ residuals.T / n_genes
    spectrum, vectors = np.linalg.eigh(gram)
    spectrum, vectors = spectrum[n_features:], vectors[:, n_features:]
    # an eigenvector's sign is arbitrary: fixed by the skewness of its projections
    sign = np.sign(((vectors.T @ residuals) ** 3).sum(1))
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    while len(rows) < (N_DIRECTIONS if m <= LARGE else N_DIRECTIONS_LARGE):
        rotation = np.linalg.qr(rng.normal(size=(m, m)))[0] * sign[:, None]
        rotated = (rotation.T * spectrum) @ rotation
        rows += [_remaining(rotated, v, max_factors) for v in range(min(m, N_DIRECTIONS_LARGE))]
    noise, predicted = np.stack([np.stack(row) for row in rows], axis=1)
    return HeldOut(noise, noise / predicted)


def _remaining(gram: np.ndarray, held_out: int, max_factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise of one direction, the Schur complement of the leading eigenspace of the others, and the noise predicted by these."""
    others = np.delete(np.arange(len(gram)), held_out)
    first = others.size - max_factors
    values, vectors = eigh(gram[np.ix_(others, others)], subset_by_index=[first, others.size - 1])
    values, along = values[::-1], (vectors.T @ gram[others, held_out])[::-1]
    noise = gram[held_out, held_out] - np.append(0.0, (along**2 / values).cumsum())
    remainder = gram[others, others].sum() - np.append(0.0, values.cumsum())
    loading_noise = 1 + np.append(0.0, ((along / values) ** 2).cumsum())
    return noise, remainder / (others.size - np.arange(max_factors + 1)) * loading_noise


class Alignment(NamedTuple):
    """Position of hidden factors relative to a contrast."""

    delta: np.ndarray
    """Shift of each factor along the contrast, in units of the factor per unit of the contrast."""
    covariance: np.ndarray
    """Its posterior covariance, factors x factors."""
    gain: float
    """Log likelihood (nats) per gene above that of no shift."""
    near_null: float
    """Share of genes in the prior whose effect, less the shift, is below `NEAR_NULL` median standard errors."""
    accepted: bool
    """Whether enough genes are near null (`MIN_NEAR_NULL`) to identify the shift."""


def align(
    estimate: np.ndarray, se: np.ndarray, loadings: np.ndarray, prior_variance: float, *, common: bool = False
) -> Alignment:
    r"""Estimate how far hidden factors differ between the sides of a contrast.

    Factors of the residuals of a design are orthogonal to it, which true hidden factors are not: of a batch that is more
    frequent in one group, the part along the groups is in the effects,

    .. math:: b_g = \beta_g + \sum_k W_{kg} \delta_k,

    with :math:`W` the factors' loadings (factors x genes), :math:`\delta_k \sim N(0, v)` and :math:`\beta` the true effects,
    under an adaptive shrinkage prior. EM: the components' responsibilities given :math:`\delta`, then weighted ridge
    regression of b on W. v is ``prior_variance``: 1 / n + 1 / m for a factor of unit variance independent of two groups of
    n and m samples.

    Only genes that do not change distinguish a shift from real effects in the same pathways. Where nearly all genes change
    (yeast without Snf2, 70 %), :math:`\delta` would remove biology; such an alignment is not accepted. Near null is more than
    one standard error, because noise that genes still share makes null effects about that large. With ``common``, all genes
    may share an effect of any size, which is estimated with :math:`\delta` and left in the effects (where size factors define
    zero, a factor with loadings of one sign must not remove it); near null is then near the shared effect.
    """
    n_factors = loadings.shape[0]
    known = np.full(n_factors, 1 / prior_variance)
    start_estimate = estimate
    if common:
        loadings, known = np.vstack([loadings, np.ones(estimate.size)]), np.append(known, FLAT)
        start_estimate = estimate - np.average(estimate, weights=1 / se**2)
    delta, precision = np.zeros(known.size), np.diag(known)
    scale = _scales(start_estimate, se)
    start = _fit(start_estimate, se, scale)
    fit = start
    for _ in range(MAX_ROUNDS):
        weight = fit.precision
        information = (loadings * weight) @ loadings.T + precision
        update = np.linalg.solve(information, (loadings * weight) @ estimate)
        done = np.abs(update - delta).max() < TOLERANCE
        delta = update
        fit = _fit(estimate - delta @ loadings, se, scale)
        if done:
            break
    near_null = float(fit.weight[scale <= NEAR_NULL * np.median(se)].sum())
    covariance = np.linalg.inv((loadings * fit.precision) @ loadings.T + precision)
    return Alignment(
        delta[:n_factors],
        covariance[:n_factors, :n_factors],
        (fit.log_likelihood - start.log_likelihood) / estimate.size,
        near_null,
        near_null >= MIN_NEAR_NULL,
    )


class _Fit(NamedTuple):
    weight: np.ndarray
    log_likelihood: float
    precision: np.ndarray
    """Expected ``1 / (se^2 + scale^2)`` of each gene."""


def _fit(estimate: np.ndarray, se: np.ndarray, scale: np.ndarray) -> _Fit:
    variance = se**2 + scale[:, None] ** 2
    log_density = -0.5 * (np.log(variance) + estimate**2 / variance)
    largest = log_density.max(0)
    density = np.exp(log_density - largest)
    weight, _ = mixture_weights(density, 1.0, tol=1e-4)
    share = density * weight[:, None]
    total = share.sum(0)
    return _Fit(weight, float((np.log(total) + largest).sum()), (share / variance).sum(0) / total)


def _scales(estimate: np.ndarray, se: np.ndarray) -> np.ndarray:
    smallest = smallest_scale(se)
    steps = int(np.ceil(np.log(2 * np.abs(estimate).max() / smallest + 2) / np.log(SCALE_RATIO)))
    return np.concatenate([[0.0], smallest * SCALE_RATIO ** np.arange(steps + 1)])
