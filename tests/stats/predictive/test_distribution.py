import numpy as np
import pytest

from bulkvi.stats.predictive.distribution import PredictedCounts
from bulkvi.stats.predictive.noise import LOG_SCALES


def some_counts(rng: np.random.Generator) -> PredictedCounts:
    noise = rng.random((2, len(LOG_SCALES)))
    return PredictedCounts(
        rng.normal(2, 1, (2, 5)),
        np.full((2, 5), 0.1),
        rng.normal(-2, 0.5, 5),
        np.full(5, 0.3),
        noise / noise.sum(1, keepdims=True),
    )


def test_cdf_is_the_sum_of_the_probabilities(rng: np.random.Generator) -> None:
    predicted = some_counts(rng)
    total = sum(np.exp(predicted.log_probability(np.full((2, 5), float(x)))) for x in range(13))
    np.testing.assert_allclose(predicted.cdf(np.full((2, 5), 12.0)), total, atol=1e-4)
    np.testing.assert_array_equal(predicted.cdf(np.full((2, 5), -1.0)), 0)


@pytest.mark.parametrize("probability", [0.025, 0.5, 0.999])
def test_quantiles_are_the_smallest_counts_of_that_probability(rng: np.random.Generator, probability: float) -> None:
    predicted = some_counts(rng)
    quantile = predicted.quantile(probability)
    assert (predicted.cdf(quantile) >= probability).all()
    assert (predicted.cdf(quantile - 1) < probability).all()


def test_one_component_is_scipys_negative_binomial() -> None:
    from scipy.stats import nbinom

    noise = np.zeros((1, len(LOG_SCALES)))
    noise[0, np.flatnonzero(LOG_SCALES == 0)] = 1
    predicted = PredictedCounts(np.array([[3.0]]), np.zeros((1, 1)), np.array([-1.0]), np.zeros(1), noise)
    r = np.exp(1.0)
    for x in (0.0, 17.0, 300.0):
        assert predicted.log_probability(np.array([[x]]))[0, 0] == pytest.approx(
            nbinom.logpmf(x, r, r / (r + np.exp(3)))
        )
        assert predicted.cdf(np.array([[x]]))[0, 0] == pytest.approx(nbinom.cdf(x, r, r / (r + np.exp(3))))
