"""All that is said about one effect of every gene: estimate, test, posterior."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, ndtri_exp

from bulkvi.stats.effects.composition import CompositionShift, composition_shift
from bulkvi.stats.effects.effect import EffectLikelihood, log_p_value
from bulkvi.stats.effects.empirical_null import ExpectedInflation, null_inflation, widen_log_p
from bulkvi.stats.effects.multiplicity import benjamini_hochberg, s_value
from bulkvi.stats.effects.noise_inflation import NoiseInflation
from bulkvi.stats.effects.shrinkage import EffectPosterior, shrink, shrinkage_prior
from bulkvi.stats.nb.block import to_host

NO_INFLATION = NoiseInflation(np.ones(1), np.ones(1))


class EffectSummary(NamedTuple):
    """One effect of every gene; natural logs, numpy arrays of one value a gene unless said otherwise."""

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
    """The shift of all effects; ``mean``, ``mle`` and the rest are measured from it."""
    null_variance: float
    """Mean variance of the statistics of genes without effect that entered; 1 unless it was learned."""
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
) -> EffectSummary:
    """From the likelihood of an effect to its table.

    The order: `composition_shift` is taken off; with ``expected``, `null_inflation` is learned; p-values and their adjustment;
    then, for each factor of ``inflation``,
    standard errors are multiplied by its root, a prior is learned and the posterior computed, and what they say is averaged
    over the factors (moments and probabilities exactly, ends of the interval as a mean of ends).

    Parameters
    ----------
    effect
        Likelihood of the effects.
    log_p
        Natural log of the p-values where they are known better than from ``effect`` (`handle_separation`), against the
        ``shift`` that is given with them. They count if ``delta`` is 0.
    tested
        Which genes have a count at all; the others get p-value 1 and do not enter the adjustment. All by default.
    informative
        Genes that the composition shift and the width of the null are read from; those tested by default.
    inflation
        Of `noise_inflation`.
    shift
        Effect of unchanged genes; `composition_shift` looks for it by default. ``CompositionShift()``, no shift, where size
        factors decide where zero is, or the effect of a typical gene is not zero by definition, as for an intercept.
    expected
        Where most genes are known not to change: the factor on all variances that held-out contrasts let expect. What the
        statistics show of it then takes the place of ``inflation`` and enters p-values and standard errors too.
    null_centre
        Effect that most genes share, natural log, where it is not subtracted: the width of the null is learned about it.
    level
        Probability of the interval.
    delta
        Smallest absolute effect that matters, natural log, >= 0; the p-value is then that of an effect no larger.

    Returns
    -------
    All that is said about the effects.

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
    effect = effect._replace(estimate=effect.estimate - shift.shift)
    mle = to_host(effect.mean())
    if log_p is None or delta:
        log_p = to_host(log_p_value(effect, delta))
    wider = 1.0
    if expected is not None:
        about = effect._replace(estimate=effect.estimate - null_centre) if null_centre else effect
        inflation = null_inflation(_quantile(to_host(log_p_value(about)))[informative], expected)
        wider = float(inflation.weight @ inflation.factor)
        if delta:
            each = [to_host(log_p_value(effect._replace(se=effect.se * np.sqrt(f)), delta)) for f in inflation.factor]
            log_p = logsumexp(each, axis=0, b=inflation.weight[:, None])
        else:
            log_p = widen_log_p(log_p, inflation)
    log_p = np.where(tested, log_p, 0.0)
    p_value = np.exp(log_p)
    adjusted = benjamini_hochberg(np.where(tested, p_value, np.nan))

    # one centre for all nodes, their scatter about it (thousandths of a standard error) in the variances: likelihood and
    # prior are then symmetric, and the posterior mean lies between 0 and the estimate
    spread = (effect.se**2 + (effect.estimate - effect.mean()) ** 2) ** 0.5
    effect = effect._replace(estimate=0 * effect.estimate + effect.mean(), se=spread)
    se = to_host(effect.sd()) * np.sqrt(wider)
    first, second, low, high, zero, positive, wide = np.zeros((7, mle.size))
    null_share, converged = 0.0, True
    for factor, probability in zip(*inflation, strict=True):
        inflated = effect._replace(se=effect.se * np.sqrt(factor))
        prior = shrinkage_prior(inflated)
        posterior = EffectPosterior(*map(to_host, shrink(inflated, prior, level=level, delta=delta)))
        first += probability * posterior.mean
        second += probability * (posterior.sd**2 + posterior.mean**2)
        low += probability * posterior.low
        high += probability * posterior.high
        zero += probability * posterior.prob_zero
        positive += probability * posterior.prob_positive
        wide += probability * posterior.prob_effect
        null_share += probability * float(prior.weight[0])
        converged = converged and prior.converged
    lfsr = np.clip(zero + np.minimum(positive, 1 - positive - zero), 0.0, 1.0)
    return EffectSummary(
        mean=first,
        sd=np.sqrt(np.clip(second - first**2, 0.0, None)),
        low=low,
        high=high,
        mle=mle,
        se=se,
        stat=np.copysign(_quantile(log_p), mle),
        p_value=p_value,
        adj_p_value=np.where(tested, adjusted, 1.0),
        lfsr=lfsr,
        s_value=s_value(lfsr),
        prob_effect=wide,
        null_share=null_share,
        shift=shift,
        null_variance=wider,
        converged=converged,
    )


def _quantile(log_p: np.ndarray) -> np.ndarray:
    """Absolute normal quantile of a two-sided p-value."""
    return np.abs(ndtri_exp(np.minimum(log_p - np.log(2), np.log(0.5))))
