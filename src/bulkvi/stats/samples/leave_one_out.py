"""Leave-one-out prediction of the labels of samples, with the noise that genes share, and the noise of each sample."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, polygamma
from scipy.stats import t as student

from bulkvi.stats.rank import well_conditioned

SHIFT = 3 / 8
EFFECT_VARIANCES = np.concatenate([[0.0], np.geomspace(0.02, 200, 12)])[:, None]
EM_GENES = 2000
EM_ROUNDS = 40
LARGEST_Z = 40.0
MAX_PRIOR_DF = 1000.0
SMALL = 1e-6
MIN_PAIR_FREE = 3.0
MAX_DF = 10.0
WIDENING_DF = 8.0
MOST_COMPARED = 8
SIGMA_PER_MAD = 1.4826
PRIOR_SPREAD = 0.4
PRIOR_DF = 12.0
EFFICIENCY = 0.37
FAMILY_LEVEL = 0.05
SAMPLE_LEVEL = 0.0025
LEAST_NOISE = 0.2


class LabelFit(NamedTuple):
    """Prediction of each sample from all others; NaN where it cannot be estimated without the sample."""

    log_posterior: np.ndarray
    """Log posterior probability of each label under a flat prior, samples x labels; finite."""
    log_density: np.ndarray
    """Predictive log density of the sample under each label, mean over the genes, samples x labels."""


def stabilise(counts: np.ndarray, exposure: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    r"""Transform negative binomial counts to a variance of about 1, whatever their mean.

    .. math:: \frac{2}{\sqrt{\alpha_g}} \operatorname{arsinh} \sqrt{\alpha_g (y_{ng} + 3/8) / s_n}

    (Anscombe 1948; ``exposure``: size factors, or size factor x relative offset, samples x genes); logarithmic for large counts, a square root for small ones.
    """
    per_unit = exposure if exposure.ndim == 2 else exposure[:, None]
    return 2 / np.sqrt(dispersion) * np.arcsinh(np.sqrt(dispersion * (counts + SHIFT) / per_unit))


class _Comparison(NamedTuple):
    """Labels of one sample, each compared with the best one along the direction in which the two differ."""

    best: int
    place: np.ndarray
    """Position of the sample between the best label (0) and each other one (`distance`); NaN where not compared."""
    distance: np.ndarray
    noise: np.ndarray
    """Variance of samples along that direction."""
    spread: np.ndarray
    """Variance of a prediction for each label, in units of `noise`."""
    log_density: np.ndarray


def label_fit(values: np.ndarray, rows: np.ndarray, labels: np.ndarray) -> LabelFit:
    r"""Predict each sample from all others, under each label.

    ``rows`` holds the row of the design for each sample under each label, labels x samples x columns. Genes follow a linear
    model on the design; leaving a sample out is exact and needs no new fit. Variances of genes are moderated
    (`moderated_variance`). With :math:`\mu_k, \mu_r` the predictions of the labels k and r (the better fitting one) and
    :math:`w` their difference, shrunken (`shrink_z`) and weighted by gene, the sample is at :math:`w^\top (y - \mu_r)`.
    Genes are not independent, so the spread of this one number is estimated from the residuals :math:`R` of the other samples
    along the same direction, :math:`\sum_m (R_m w)^2 / \nu`, of all samples or of those with label k or r, whichever is
    larger: noise that genes share in a sample counts once. The distances of all samples from their predictions, in units of
    that spread, have a robust variance (from their median absolute value); where it is above one, the spread is multiplied by
    its power :math:`\nu / (\nu + 8)`, as it is uncertain with few residual degrees of freedom. The two labels are compared by
    Student's density with :math:`\nu` degrees of freedom, at most 10: a sample of low quality lies further out than a normal
    distribution allows. Labels that cannot be estimated without the sample are NaN.
    """
    n, all_samples = len(values), np.arange(len(values))
    rows = well_conditioned(rows)
    design = rows[labels, all_samples]
    n_free = n - 1 - int(np.linalg.matrix_rank(design))
    if n_free < 1:
        raise ValueError(
            f"{n} samples and a design of rank {n - 1 - n_free}: leaving a sample out leaves no residual degree of freedom. "
            "Add replicates or drop variables of the design."
        )
    inverse = np.linalg.pinv(design.T @ design)
    leverage = np.einsum("ni,ij,nj->n", design, inverse, design)
    coef = inverse @ (design.T @ values)
    residual = values - design @ coef
    squares = (residual**2).sum(0)
    compared: dict[int, _Comparison] = {}
    for sample in np.flatnonzero(leverage < 1 - SMALL):
        error = residual[sample] / (1 - leverage[sample])
        variance, df = moderated_variance(np.clip(squares - residual[sample] * error, 0, None) / n_free, n_free)
        other = all_samples != sample
        compared[int(sample)] = _compare_labels(
            values[sample],
            rows[:, sample],
            (values[other], design[other], labels[other]),
            coef - np.outer(inverse @ design[sample], error),
            (variance, df),
            n_free,
        )
    variance_ratio = _variance_ratio(compared, labels, n_free)
    log_posterior = np.full((n, len(rows)), np.nan)
    log_density = np.full((n, len(rows)), np.nan)
    for place, comparison in compared.items():
        log_posterior[place] = _posterior(comparison, variance_ratio, min(float(n_free), MAX_DF))
        log_density[place] = comparison.log_density
    return LabelFit(log_posterior, log_density)


def _variance_ratio(compared: dict[int, _Comparison], labels: np.ndarray, n_free: int) -> float:
    """Variance of the distances between samples and their predictions, in units of `noise`: robust, moderated, at least 1."""
    distances = []
    for sample, one in compared.items():
        given = labels[sample]
        # the nearest other label, where the given one is the best
        against = given if given != one.best else int(np.where(np.isnan(one.place), -np.inf, one.log_density).argmax())
        if np.isnan(one.place[against]):
            continue
        error = one.place[against] - (one.distance[against] if given != one.best else 0.0)
        distances.append(abs(error) / np.sqrt(one.noise[against] * one.spread[given]))
    if not distances:
        return 1.0
    expected = float(student.ppf(0.75, n_free))
    return max(1.0, float(np.median(distances)) / expected) ** (2 * n_free / (n_free + WIDENING_DF))


def _posterior(one: _Comparison, variance_ratio: float, df: float) -> np.ndarray:
    score = np.full(len(one.place), np.nan)
    score[one.best] = 0.0
    for label in np.flatnonzero(~np.isnan(one.place)):
        scales = np.sqrt(variance_ratio * one.noise[label] * one.spread[np.array([label, one.best])])
        places = np.array([one.place[label] - one.distance[label], one.place[label]])
        at_label, at_best = student.logpdf(places / scales, df) - np.log(scales)
        score[label] = at_label - at_best
    # of many labels those that fit worst get the smallest score of the others
    score[~np.isnan(one.log_density) & np.isnan(score)] = np.nanmin(score)
    top = np.nanmax(score)
    return score - top - np.log(np.nansum(np.exp(score - top)))


def _compare_labels(
    y: np.ndarray,
    rows: np.ndarray,
    others: tuple[np.ndarray, np.ndarray, np.ndarray],
    coef: np.ndarray,
    variance_df: tuple[np.ndarray, float],
    n_free: int,
) -> _Comparison:
    """Compare the labels of a sample that is left out of ``coef``; ``others``: values, design and labels of the rest."""
    values, design, labels = others
    variance, df = variance_df
    inverse = np.linalg.pinv(design.T @ design)
    free = 1 - np.einsum("ni,ij,nj->n", design, inverse, design)
    outside = rows - rows @ inverse @ (design.T @ design)
    known = np.flatnonzero(np.abs(outside).max(1) < SMALL * (1 + np.abs(rows).max()))
    place, distance, shared, density = np.full((4, len(rows)), np.nan)
    mean = rows @ coef
    spread = 1 + np.einsum("ki,ij,kj->k", rows, inverse, rows)
    for label in known:
        scale = np.sqrt(variance * spread[label])
        density[label] = np.mean(student.logpdf((y - mean[label]) / scale, df) - np.log(scale))
    best = int(known[density[known].argmax()])
    nearest = known[np.argsort(-density[known], kind="stable")][: MOST_COMPARED + 1]
    for label in nearest[nearest != best]:
        step = rows[label] - rows[best]
        in_pair = np.isin(labels, [label, best])
        # samples of other labels may vary less, as of another tissue
        noise = variance
        if not in_pair.all() and free[in_pair].sum() >= MIN_PAIR_FREE:
            rest = ((values - design @ coef)[in_pair] ** 2).sum(0) / free[in_pair].sum()
            noise = np.maximum(variance, moderated_variance(rest, float(free[in_pair].sum()))[0])
        difference = mean[label] - mean[best]
        # genes weighted by the shrunken difference; both sides in units of the gene's variance
        unit = np.sqrt(noise * (step @ inverse @ step))
        weight = shrink_z(difference / unit) * unit / noise
        place[label], distance[label] = weight @ (y - mean[best]), weight @ difference
        along = (values @ weight - design @ (coef @ weight)) ** 2
        shared[label] = max(along.sum() / n_free, along[in_pair].sum() / max(free[in_pair].sum(), 1.0), SMALL**2)
    return _Comparison(best, place, distance, shared, spread, density)


def moderated_variance(variance: np.ndarray, df: float) -> tuple[np.ndarray, float]:
    r"""Moderate the variances of genes towards their common value; returns them and their degrees of freedom.

    :math:`(d_0 s_0^2 + \nu s_g^2) / (d_0 + \nu)`, with :math:`d_0, s_0^2` from the mean and variance of
    :math:`\log s_g^2` over the genes (Smyth 2004).
    """
    floor = 1e-4 * float(np.median(variance)) or np.finfo(float).tiny
    log_variance = np.log(np.clip(variance, floor, None))
    excess = float(np.var(log_variance) - polygamma(1, df / 2))
    if excess <= polygamma(1, MAX_PRIOR_DF / 2):
        prior_df = MAX_PRIOR_DF
    else:
        prior_df = 2 * brentq(lambda half: float(polygamma(1, half)) - excess, 1e-3, MAX_PRIOR_DF)
    centre = log_variance.mean() - digamma(df / 2) + np.log(df / 2) + digamma(prior_df / 2) - np.log(prior_df / 2)
    return (prior_df * np.exp(centre) + df * variance) / (prior_df + df), prior_df + df


def shrink_z(z: np.ndarray) -> np.ndarray:
    """Posterior mean of effects with standard error 1, under a scale mixture of normals estimated from all of them."""
    sample = z[:: max(1, z.size // EM_GENES)]
    share = np.full((len(EFFECT_VARIANCES), 1), 1 / len(EFFECT_VARIANCES))
    likelihood = _likelihood(sample)
    for _ in range(EM_ROUNDS):
        part = share * likelihood
        share = (part / part.sum(0)).mean(1, keepdims=True)
    # a function of |z| alone: tabulated once, interpolated for all genes
    grid = np.linspace(0, min(float(np.abs(z).max()), LARGEST_Z) + SMALL, 400)
    part = share * _likelihood(grid)
    kept = (part * EFFECT_VARIANCES / (1 + EFFECT_VARIANCES)).sum(0) / part.sum(0)
    return z * np.interp(np.abs(z), grid, kept)


def _likelihood(z: np.ndarray) -> np.ndarray:
    variance = 1 + EFFECT_VARIANCES
    log_likelihood = -0.5 * (np.log(variance) + z**2 / variance)
    return np.exp(log_likelihood - log_likelihood.max(0))


class NoiseDeviation(NamedTuple):
    """Noise of each sample, and the limit of what is usual among so many samples."""

    deviation: np.ndarray
    """Log noise less that of the others, in robust standard deviations, with the sign turned: below 0 is noisier."""
    limit: float
    """A deviation below it is unusual."""


def noise_deviation(fit: np.ndarray, groups: Sequence[np.ndarray] = ()) -> NoiseDeviation:
    r"""Compare the noise of samples, on the log scale, by their predictive log densities (``fit``, mean over the genes).

    A sample whose values scatter by v times the usual variance has a mean log density of about :math:`(v - 1) / 2` less, so
    :math:`\log v = \log(1 + 2 (\mathrm{median} - \mathrm{fit}))`. Samples differ in quality even in good studies: the
    spread of :math:`\log v` is estimated from its median absolute value and moderated towards 0.4, with 12 prior degrees
    of freedom. The deviation of a sample is the smaller of those from all samples and from the samples of its level in
    each grouping (``groups``: codes): the libraries of a noisy platform are compared with each other. The limit is the quantile of
    Student's t at 0.05 divided by the number of samples, or at 0.0025 if that is less.
    """
    known = ~np.isnan(fit)
    n = int(known.sum())
    if not n:
        return NoiseDeviation(fit, -np.inf)
    log_noise = np.log(np.clip(1 + 2 * (np.median(fit[known]) - fit), LEAST_NOISE, None))
    excess = [_scaled(log_noise, np.zeros(len(fit), int), known)]
    excess += [_scaled(log_noise, codes, known) for codes in groups]
    # NaN where a sample is the only one of its level
    least = np.nanmin(np.stack(excess), axis=0, where=known, initial=np.inf)
    level = min(FAMILY_LEVEL / n, SAMPLE_LEVEL)
    limit = -float(student.isf(level, PRIOR_DF + EFFICIENCY * (n - 1)))
    return NoiseDeviation(np.where(known, -least, np.nan), limit)


def _scaled(log_noise: np.ndarray, codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log noise less that of the level, in moderated standard deviations; NaN for the only sample of a level."""
    deviation = np.full(len(log_noise), np.nan)
    n_levels = 0
    for level in np.unique(codes[known]):
        members = np.flatnonzero(known & (codes == level))
        if len(members) > 1:
            n_levels += 1
            # of an even number the less noisy of the middle two: two noisy samples must not hide each other by half
            deviation[members] = log_noise[members] - np.sort(log_noise[members])[(len(members) - 1) // 2]
    rest = np.sort(np.abs(deviation[~np.isnan(deviation)]))[n_levels:]  # the middle sample of each level is at zero
    if not rest.size:
        return deviation / PRIOR_SPREAD
    df = EFFICIENCY * rest.size
    variance = (PRIOR_DF * PRIOR_SPREAD**2 + df * (SIGMA_PER_MAD * np.median(rest)) ** 2) / (PRIOR_DF + df)
    return deviation / np.sqrt(variance)
