"""Estimate, test and posterior of one contrast, per gene, and the shift of zero due to composition."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from bulkvi.stats.effects.effect import EffectLikelihood, absolute_z, benjamini_hochberg, log_p_value, s_value
from bulkvi.stats.effects.noise_inflation import (
    ExpectedInflation,
    NoiseInflation,
    inflated_log_p,
    null_inflation,
    widen_log_p,
)
from bulkvi.stats.effects.readings import NO_READINGS, ReadEffects
from bulkvi.stats.effects.shrinkage import mixture_weights, shrink, shrinkage_prior, smallest_scale

N_SCALES = 9
MIN_GAIN = 10.0
MIN_GAIN_PER_GENE = 0.005
MAX_GENES = 3_000
COARSE = 9
NO_INFLATION = NoiseInflation(np.ones(1), np.ones(1))


class CompositionShift(NamedTuple):
    """The shift of all effects of a contrast; natural log, per unit of the contrast."""

    shift: float = 0.0
    """Effect of an unchanged gene; 0 where the evidence is too weak."""
    best: float = 0.0
    """The shift of highest likelihood, whatever the evidence."""
    gain: float = 0.0
    """Log likelihood (nats) of ``best`` above that of no shift."""


def composition_shift(effect: EffectLikelihood, informative: np.ndarray | None = None) -> CompositionShift:
    r"""Estimate the effect that unchanged genes share (composition bias).

    Median of ratios assumes that the median gene is unchanged. Where more than half of the genes change, and most of them
    one way, zero is biased and every unchanged gene looks changed the other way. The effects are modelled as

    .. math:: b_g \sim \pi_0 \delta_{d} + \sum_j \pi_j^+ \, \mathrm{HN}^+_d(\sigma_j) + \pi_j^- \, \mathrm{HN}^-_d(\sigma_j)

    plus noise: a point mass at the shift d and half-normal distributions to its right and left, their weights free, so
    that one-sided changes do not bias d (the unimodal prior of Stephens 2017 with the mode unknown). d maximises the profile
    likelihood. It is used only if the log likelihood is at least `MIN_GAIN` above that of d = 0: where nearly all genes
    change a little the likelihood is flat, and the size factors are more reliable. ``informative`` selects genes with enough
    counts; thousands without would blur the mode.
    """
    estimate, se = effect.mean(), effect.sd()
    if informative is not None:
        estimate, se = estimate[informative], se[informative]
    n_genes = estimate.size
    if n_genes == 0:
        return CompositionShift()
    # every k-th by precision: the same genes in whatever order they come
    chosen = np.lexsort((estimate, se))[:: -(-n_genes // MAX_GENES)]
    estimate, se = estimate[chosen], se[chosen]
    scale_up, threshold = n_genes / chosen.size, max(MIN_GAIN, MIN_GAIN_PER_GENE * n_genes)
    at_zero = profile_likelihood(0.0, estimate, se)
    peak = _peak(estimate, se)
    usual = float(np.median(se))
    grid = np.linspace(min(0.0, peak) - usual, max(0.0, peak) + usual, COARSE)
    gains = [scale_up * (profile_likelihood(place, estimate, se) - at_zero) for place in grid]
    highest = int(np.argmax(gains))
    best, gain = float(grid[highest]), float(gains[highest])
    if gain > threshold / 2:
        step = grid[1] - grid[0]
        found = minimize_scalar(
            lambda place: -profile_likelihood(place, estimate, se),
            bounds=(best - step, best + step),
            method="bounded",
            options={"xatol": 1e-2 * usual},
        )
        best, gain = float(found.x), scale_up * float(-found.fun - at_zero)
    return CompositionShift(best if gain >= threshold else 0.0, best, gain)


def profile_likelihood(shift: float, estimate: np.ndarray, se: np.ndarray) -> float:
    """Log likelihood (nats) of a shift, maximised over the weights of a point mass and half-normals either way.

    The log weight of the point mass is added once: one pseudo-gene without effect.
    """
    scale = np.concatenate([[0.0], smallest_scale(se) * 2.0 ** np.arange(N_SCALES)])[:, None]
    rest = estimate - shift
    variance = se**2 + scale**2
    log_density = -0.5 * (np.log(variance) + rest**2 / variance)
    largest = log_density.max(0)
    density = np.exp(log_density - largest)
    right = ndtr(rest * scale[1:] / (se * np.sqrt(variance[1:])))
    likelihood = np.concatenate([density[:1], 2 * density[1:] * right, 2 * density[1:] * (1 - right)])
    weight, _ = mixture_weights(likelihood, 1.0, tol=1e-4)
    return float(np.log(weight @ likelihood).sum() + largest.sum() + np.log(max(weight[0], 1e-300)))


def _peak(estimate: np.ndarray, se: np.ndarray) -> float:
    """Mode of the density of the effects, each gene weighted by its precision."""
    low, high = np.quantile(estimate, [0.05, 0.95])
    places = np.linspace(float(low), float(high), 300)
    smallest = smallest_scale(se)
    width = 0.7 * np.median(se) + smallest
    weight = 1 / (se**2 + smallest**2)
    return float(places[np.argmax(np.exp(-0.5 * ((places[:, None] - estimate) / width) ** 2) @ weight)])


class EffectSummary(NamedTuple):
    """One effect of every gene; natural logs, one value per gene unless stated otherwise."""

    mean: np.ndarray
    """Posterior mean."""
    sd: np.ndarray
    """Posterior standard deviation."""
    low: np.ndarray
    """Lower end of the central credible interval."""
    high: np.ndarray
    """Upper end of the central credible interval."""
    mle: np.ndarray
    """Estimate without shrinkage, averaged over the dispersion."""
    se: np.ndarray
    """Its standard error, the uncertainty of the dispersion included."""
    stat: np.ndarray
    """Normal quantile of the p-value with the sign of ``mle``: ``p_value = 2 Phi(-|stat|)``."""
    p_value: np.ndarray
    adj_p_value: np.ndarray
    """p-values adjusted by Benjamini-Hochberg over the genes with counts."""
    lfsr: np.ndarray
    """Local false sign rate."""
    s_value: np.ndarray
    prob_effect: np.ndarray
    """Posterior probability of an absolute effect above ``delta``."""
    null_share: float
    """Share of the prior that is the point mass at no effect."""
    shift: CompositionShift
    """Shift of all effects, which the others are measured from."""
    null_variance: float
    """Mean variance used for the statistics of genes without effect; 1 unless it was estimated."""
    independent: float
    """Number of independent genes that all genes are worth to the prior, their shared noise considered."""
    converged: bool
    """Whether the prior's weights are those of highest likelihood."""


def summarise_effect(
    effect: EffectLikelihood,
    *,
    log_p: np.ndarray | None = None,
    tested: np.ndarray | None = None,
    informative: np.ndarray | None = None,
    inflation: NoiseInflation = NO_INFLATION,
    shift: CompositionShift | None = None,
    expected: ExpectedInflation | None = None,
    null_centre: float = 0.0,
    level: float = 0.95,
    delta: float = 0.0,
    readings: ReadEffects | None = None,
) -> EffectSummary:
    """Summarise the likelihood of an effect: estimate, test and posterior of every gene.

    The composition shift is subtracted; with ``expected``, the variance of null statistics is estimated; p-values are computed
    and adjusted; then, for each factor of ``inflation``, standard errors are multiplied by its root, a prior is estimated and
    the posterior computed. Posteriors are averaged over the factors: moments and probabilities exactly, ends of the interval
    as a mean of ends.

    Parameters
    ----------
    effect
        Likelihood of the effects.
    log_p
        Natural log of p-values to use instead of those of ``effect`` (as for genes without counts on one side), against
        ``shift``, which is given with them. Used if ``delta`` is 0.
    tested
        Genes with a count; the others get p-value 1 and are not part of the adjustment. All by default.
    informative
        Genes that the composition shift and the width of the null are estimated from; those tested by default.
    inflation
        Factors on all variances, with probabilities, from noise that genes share; none by default.
    shift
        Effect of unchanged genes, estimated by default. ``CompositionShift()``, no shift, where size factors define zero, or
        the effect of a typical gene is not zero by definition, as for an intercept.
    expected
        Prior of the factor on all variances, from held-out contrasts or residuals. Its posterior given the statistics
        replaces ``inflation``, and widens p-values and standard errors too.
    null_centre
        Effect that most genes share, natural log, where it is not subtracted: the null is centred there.
    level
        Probability of the interval.
    delta
        Smallest absolute effect that matters, natural log, >= 0; the p-value is then that of an effect no larger.
    readings
        Mixed by their probabilities in place of ``effect`` and ``log_p`` of their genes, but not to estimate prior, shift and
        the width of the null.

    Returns
    -------
    Named tuple with one value per gene: ``mean``, ``sd``, ``low``, ``high``, ``mle``, ``se``, ``stat``, ``p_value``,
    ``adj_p_value``, ``lfsr``, ``s_value`` and ``prob_effect``; and ``null_share``, ``shift``, ``null_variance``,
    ``independent`` and ``converged`` of the contrast.

    Raises
    ------
    ValueError
        If ``level`` or ``delta`` is out of range.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> true = np.where(rng.random(1000) < 0.9, 0.0, rng.normal(size=1000))
    >>> effect = EffectLikelihood(rng.normal(true, 0.1)[None], np.full((1, 1000), 0.1), np.ones((1, 1000)))
    >>> summary = summarise_effect(effect)
    >>> called = summary.adj_p_value < 0.05
    >>> bool((true[called] == 0).mean() < 0.1)
    True
    >>> bool(((summary.mean - true) ** 2).mean() < ((summary.mle - true) ** 2).mean() / 2)
    True
    """
    tested = np.ones(effect.estimate.shape[-1], dtype=bool) if tested is None else tested
    informative = tested if informative is None else informative
    if shift is None:
        shift = composition_shift(effect, informative)
        log_p = None if shift.shift else log_p
    effect = effect.shifted(shift.shift)
    readings = NO_READINGS if readings is None else readings.shifted(shift.shift)
    read = readings.genes
    mle = effect.mean()
    if log_p is None or delta:
        log_p = log_p_value(effect, delta)
        readings = readings._replace(log_p=log_p_value(readings.effect, delta))
    log_p = np.array(log_p)
    wider, independent = 1.0, min(inflation.independent, float(mle.size))
    if expected is not None:
        about = effect.shifted(null_centre)
        inflation = null_inflation(absolute_z(log_p_value(about))[informative], expected)
        independent = min(independent, inflation.independent)
        wider = float(inflation.weight @ inflation.factor)
        if delta:
            log_p = inflated_log_p(effect, delta, inflation)
            readings = readings._replace(log_p=inflated_log_p(readings.effect, delta, inflation))
        else:
            log_p = widen_log_p(log_p, inflation)
            readings = readings._replace(log_p=widen_log_p(readings.log_p, inflation))

    # one centre for all nodes, their scatter about it (thousandths of a standard error) in the variances: likelihood and
    # prior are then symmetric, and the posterior mean lies between 0 and the estimate
    effect = effect.centred()
    variance = effect.sd() ** 2
    mle[read], variance[read], log_p[read] = readings.estimate()
    first, second, low, high, zero, positive, wide = np.zeros((7, mle.size))
    null_share, converged = 0.0, True
    for factor, probability in zip(inflation.factor, inflation.weight, strict=True):
        inflated = effect.widened(factor)
        prior = shrinkage_prior(inflated, independent=independent, least_null=inflation.least_null)
        posterior = shrink(inflated, prior, level=level, delta=delta)
        readings.inflated(factor).mix_into(posterior, prior, level, delta)
        first += probability * posterior.mean
        second += probability * (posterior.sd**2 + posterior.mean**2)
        low += probability * posterior.low
        high += probability * posterior.high
        zero += probability * posterior.prob_zero
        positive += probability * posterior.prob_positive
        wide += probability * posterior.prob_effect
        null_share += probability * float(prior.weight[0])
        converged = converged and prior.converged
    # readings of opposite signs may be shrunk so differently that their posterior means add up to the other sign
    inside = np.clip(first, np.minimum(mle, 0.0), np.maximum(mle, 0.0))[read]
    second[read] += 2 * inside * (inside - first[read])
    first[read] = inside
    log_p = np.where(tested, log_p, 0.0)
    p_value = np.exp(log_p)
    adjusted = benjamini_hochberg(np.where(tested, p_value, np.nan))
    lfsr = np.clip(zero + np.minimum(positive, 1 - positive - zero), 0.0, 1.0)
    return EffectSummary(
        mean=first,
        sd=np.sqrt(np.clip(second - first**2, 0.0, None)),
        low=low,
        high=high,
        mle=mle,
        se=np.sqrt(variance * wider),
        stat=np.copysign(absolute_z(log_p), mle),
        p_value=p_value,
        adj_p_value=np.where(tested, adjusted, 1.0),
        lfsr=lfsr,
        s_value=s_value(lfsr),
        prob_effect=wide,
        null_share=null_share,
        shift=shift,
        null_variance=wider,
        independent=independent,
        converged=converged,
    )
