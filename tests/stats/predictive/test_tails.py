import numpy as np
import pytest
from scipy.stats import kstest, nbinom, norm

from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.noise import LOG_SCALES, UNIT, usual_noise
from bulkvi.stats.predictive.tails import two_sided


def one(log_mean: float, variance: float, log_dispersion: float, sd: float) -> PredictedCounts:
    return PredictedCounts(
        np.full((1, 1), log_mean),
        np.full((1, 1), variance),
        np.array([log_dispersion]),
        np.array([sd]),
        usual_noise(1),
    )


@pytest.mark.parametrize("count", [0.0, 2.0, 20.0, 60.0, 400.0])
def test_a_known_negative_binomial_has_its_mid_p_value(count: float) -> None:
    r = np.exp(1.0)
    exact = nbinom(r, r / (r + 20.0))
    below, above = (tail - exact.pmf(count) / 2 for tail in (exact.cdf(count), exact.sf(count - 1)))
    found = two_sided(one(np.log(20.0), 0.0, -1.0, 0.0), np.array([[count]]))
    assert found[0, 0] == pytest.approx(2 * min(below, above), rel=1e-6)


@pytest.mark.parametrize("variance", [0.005, 0.4])
@pytest.mark.parametrize("count", [3.0, 250.0])
def test_uncertain_rates_and_dispersions_equal_the_integral(count: float, variance: float) -> None:
    """With few nodes (the small variance) and all of them."""
    log_mean, log_dispersion, sd = 4.0, -2.0, 0.3

    # the trapezoid rule, in units of the standard deviations
    place = np.linspace(-6, 6, 121)
    rate = (log_mean + place * np.sqrt(variance))[:, None]
    r = np.exp(-(log_dispersion + place * sd))
    each = nbinom(r, r / (r + np.exp(rate)))
    outer = each.sf(count - 1) if count > np.exp(log_mean) else each.cdf(count)
    weight = np.outer(norm.pdf(place), norm.pdf(place))
    expected = ((outer - each.pmf(count) / 2) * weight).sum() / weight.sum()
    found = two_sided(one(log_mean, variance, log_dispersion, sd), np.array([[count]]))[0, 0]
    assert found == pytest.approx(2 * expected, rel=0.2)


def some(rng: np.random.Generator, n: int, genes: int) -> PredictedCounts:
    noise = rng.random((n, len(LOG_SCALES)))
    return PredictedCounts(
        rng.normal(4, 1, (n, genes)),
        rng.uniform(0, 0.3, (n, genes)),
        rng.normal(-2, 0.5, genes),
        np.full(genes, 0.3),
        noise / noise.sum(1, keepdims=True),
    )


def test_draws_of_the_distribution_are_uniform(rng: np.random.Generator) -> None:
    predicted = some(rng, 4, 2_500)
    noise = np.zeros(predicted.noise.shape)
    noise[:, UNIT - 1 : UNIT + 2] = (0.2, 0.5, 0.3)
    predicted = predicted._replace(noise=noise)
    scale = np.array([rng.choice(LOG_SCALES, 2_500, p=weights) for weights in predicted.noise])
    log_a = rng.normal(predicted.log_dispersion, predicted.log_dispersion_sd, scale.shape) + scale
    mean = np.exp(rng.normal(predicted.log_mean, np.sqrt(predicted.variance)))
    r = np.exp(-log_a)
    counts = rng.poisson(rng.gamma(r, mean / r)).astype(float)
    p_value = two_sided(predicted, counts)
    assert kstest(p_value[predicted.log_mean > np.log(10)], "uniform").statistic < 0.03
    assert (p_value < 1e-2).mean() == pytest.approx(1e-2, abs=4e-3)


def test_samples_and_genes_do_not_depend_on_each_other(rng: np.random.Generator) -> None:
    predicted = some(rng, 3, 40)
    counts = rng.poisson(np.exp(predicted.log_mean)).astype(float)
    together = two_sided(predicted, counts)
    order = rng.permutation(40)
    turned = predicted._replace(**{name: getattr(predicted, name)[..., order] for name in predicted._fields[:4]})
    np.testing.assert_allclose(two_sided(turned, counts[:, order]), together[:, order])
    alone = predicted._replace(
        log_mean=predicted.log_mean[[1]], variance=predicted.variance[[1]], noise=predicted.noise[[1]]
    )
    np.testing.assert_allclose(two_sided(alone, counts[[1]]), together[[1]])


def test_only_counts_far_out_are_judged_if_told_so(rng: np.random.Generator) -> None:
    predicted = some(rng, 2, 300)
    counts = rng.poisson(np.exp(predicted.log_mean)).astype(float)
    counts[0, :5] = 1e6
    every, far = two_sided(predicted, counts), two_sided(predicted, counts, beyond=3.0)
    np.testing.assert_allclose(far[0, :5], every[0, :5])
    assert (far[every > 0.2] == 1).all()


def test_extreme_counts_have_positive_finite_p_values() -> None:
    for count in (0.0, 1e12):
        for log_mean in (-30.0, 15.0):
            found = two_sided(one(log_mean, 1.0, -8.0, 0.5), np.array([[count]]))
            assert 0 < found[0, 0] <= 1
