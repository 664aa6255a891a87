import numpy as np
import torch
from scipy import stats

from bulkvi.model._dispersion_steps import dispersion_slope


def test_the_slope_of_the_dispersion_is_that_of_the_adjusted_likelihood(rng: np.random.Generator) -> None:
    """Negative binomial likelihood, Cox and Reid's adjustment for three coefficients, and the prior; by differences."""
    mean = rng.uniform(5, 80, (30, 4))
    x = rng.poisson(rng.gamma(2, mean / 2)).astype(float)
    log_a, trend = rng.normal(-1, 0.5, 4), rng.normal(-1, 0.5, 4)

    def log_density(at: np.ndarray) -> np.ndarray:
        a = np.exp(at)
        information = mean.mean(0) / (1 + a * mean.mean(0))
        likelihood = stats.nbinom.logpmf(x, 1 / a, 1 / (1 + a * mean)).sum(0)
        return likelihood - 0.5 * 3 * np.log(information) - 0.5 * (at - trend) ** 2 / 0.7**2

    expected = (log_density(log_a + 1e-5) - log_density(log_a - 1e-5)) / 2e-5
    counts, means, at, prior = (torch.as_tensor(array) for array in (x, mean, log_a, trend))
    np.testing.assert_allclose(
        dispersion_slope(counts, means, at, prior, 0.7, 3).numpy(), expected, rtol=1e-6, atol=1e-6
    )
