from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.effect import EffectLikelihood, wald_p_value
from bulkvi.stats.effects.readings import ReadEffects, average, log_average, log_marginal, normalised
from bulkvi.stats.effects.shrinkage import ShrinkagePrior, shrink
from bulkvi.stats.effects.summary import CompositionShift, EffectSummary, summarise_effect

PRIOR = ShrinkagePrior(np.array([0.0, 0.5, 2.0]), np.array([0.8, 0.15, 0.05]))


def make_readings(gene: Any, probability: Any, estimate: Any, se: Any, rng: np.random.Generator) -> ReadEffects:
    """Readings whose likelihoods have three nodes about the estimates."""
    gene, estimate, se = np.asarray(gene), np.asarray(estimate, float), np.asarray(se, float)
    weight = rng.dirichlet(np.ones(3), gene.size).T
    effect = EffectLikelihood(estimate + np.zeros((3, 1)), se * np.array([[0.8], [1.0], [1.4]]), weight)
    return ReadEffects(gene, np.asarray(probability, float), effect, np.log(wald_p_value(effect)))


def test_posterior_is_that_of_the_mixture_by_quadrature(rng: np.random.Generator) -> None:
    readings = make_readings([7, 7, 7], [0.2, 0.5, 0.3], [2.5, 0.1, 1.0], [0.5, 0.4, 0.3], rng)
    x = np.linspace(-12, 12, 200_001)

    def likelihood(at: np.ndarray) -> np.ndarray:
        parts = norm.pdf(at[:, None, None], readings.effect.estimate, readings.effect.se)
        return (parts * readings.effect.weight).sum(1)

    slab = sum(w * norm.pdf(x, 0, s) for w, s in zip(PRIOR.weight[1:], PRIOR.scale[1:], strict=True))
    step = x[1] - x[0]
    at_zero = PRIOR.weight[0] * likelihood(np.zeros(1))[0]
    spread = likelihood(x) * slab[:, None]
    share = readings.probability / (at_zero + spread.sum(0) * step)
    posterior = shrink(readings.likelihood(PRIOR), PRIOR)
    density = spread @ share
    mean = (density * x).sum() * step
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(posterior.sd, np.sqrt((density * x**2).sum() * step - mean**2), rtol=1e-5)
    np.testing.assert_allclose(posterior.prob_zero, at_zero @ share, rtol=1e-6)
    above = density[x > posterior.high[0]].sum() * step
    assert above == pytest.approx(0.025, rel=1e-3)
    alone = np.log(at_zero + spread.sum(0) * step)
    difference = log_marginal(readings.effect, PRIOR) - alone
    np.testing.assert_allclose(difference, np.full(3, np.log(2 * np.pi) / 2), rtol=1e-6)


def summarise(effect: EffectLikelihood, readings: ReadEffects | None, **options: Any) -> EffectSummary:
    return summarise_effect(effect, shift=CompositionShift(), readings=readings, **options)


@pytest.fixture
def effect(rng: np.random.Generator) -> EffectLikelihood:
    true = np.where(rng.random(800) < 0.9, 0.0, rng.normal(size=800))
    return EffectLikelihood(rng.normal(true, 0.2)[None], np.full((1, 800), 0.2), np.ones((1, 800)))


def as_readings(effect: EffectLikelihood, gene: np.ndarray, probability: np.ndarray) -> ReadEffects:
    part = EffectLikelihood(*(values[:, gene] for values in effect))
    return ReadEffects(gene, probability, part, np.log(wald_p_value(part)))


@pytest.mark.parametrize("options", [{}, {"delta": 0.3}, {"level": 0.5}])
def test_a_single_reading_or_equal_ones_change_nothing(effect: EffectLikelihood, options: dict[str, float]) -> None:
    alone = summarise(effect, None, **options)
    once = as_readings(effect, np.array([3, 50, 51]), np.ones(3))
    twice = as_readings(effect, np.array([3, 3, 50, 50]), np.array([0.1, 0.9, 0.5, 0.5]))
    for readings in (once, twice):
        mixed = summarise(effect, readings, **options)
        for name in ("mean", "sd", "low", "high", "mle", "se", "p_value", "adj_p_value", "lfsr", "prob_effect"):
            np.testing.assert_allclose(getattr(mixed, name), getattr(alone, name), rtol=1e-7, atol=1e-12, err_msg=name)


def test_other_genes_keep_all_but_their_ranks(effect: EffectLikelihood, rng: np.random.Generator) -> None:
    readings = make_readings([10, 10], [0.5, 0.5], [3.0, 0.0], [0.2, 0.2], rng)
    alone, mixed = summarise(effect, None), summarise(effect, readings)
    others = np.arange(800) != 10
    for name in ("mean", "sd", "low", "high", "mle", "se", "p_value", "lfsr"):
        np.testing.assert_array_equal(getattr(mixed, name)[others], getattr(alone, name)[others])


def test_estimate_and_p_value_are_averages_over_the_readings(
    effect: EffectLikelihood, rng: np.random.Generator
) -> None:
    readings = make_readings([10, 10, 20, 20], [0.4, 0.6, 0.9999, 0.0001], [2.4, 0.0] * 2, [0.2] * 4, rng)
    summary = summarise(effect, readings)
    np.testing.assert_allclose(
        summary.p_value[[10, 20]], average(readings.gene, readings.probability, np.exp(readings.log_p))
    )
    np.testing.assert_allclose(summary.mle[[10, 20]], [0.4 * 2.4, 0.9999 * 2.4])
    variance = 0.4 * readings.effect.sd()[0] ** 2 + 0.6 * readings.effect.sd()[1] ** 2 + 0.4 * 0.6 * 2.4**2
    np.testing.assert_allclose(summary.se[10], np.sqrt(variance))
    # no effect in the more probable reading: the sign is as uncertain as the reading
    assert summary.lfsr[10] > 0.5
    assert summary.lfsr[20] < 0.001


def test_the_posterior_mean_lies_between_nothing_and_the_estimate(
    effect: EffectLikelihood, rng: np.random.Generator
) -> None:
    gene = np.repeat(np.arange(200), 2)
    estimate, se = rng.normal(0, 1.5, 400), rng.choice([0.1, 0.5, 2.0], 400)
    summary = summarise(effect, make_readings(gene, np.tile(rng.dirichlet([1, 1]), 200), estimate, se, rng))
    assert (summary.mean * summary.mle >= 0).all()
    assert (np.abs(summary.mean) <= np.abs(summary.mle) + 1e-12).all()
    assert (summary.sd >= 0).all()


def test_averages_over_readings_of_each_gene(rng: np.random.Generator) -> None:
    gene, value = np.array([2, 2, 5, 9, 9, 9]), rng.normal(0, 300, 6)
    weight = normalised(gene, np.array([0.0, np.log(3), -800.0, 1.0, 1.0, 1.0]))
    np.testing.assert_allclose(weight, [0.25, 0.75, 1.0, 1 / 3, 1 / 3, 1 / 3])
    np.testing.assert_allclose(average(gene, weight, value)[[0, 1]], [0.25 * value[0] + 0.75 * value[1], value[2]])
    tiny = np.array([-1000.0, -1000.0, -5.0, -2000.0, -1000.0, -3000.0])
    np.testing.assert_allclose(log_average(gene, weight, tiny), [-1000.0, -5.0, -1000.0 - np.log(3)])
