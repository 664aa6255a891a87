import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, poisson

from bulkvi.stats.nb.log_rates import log_rate_posterior

CASES = [
    (0, 0.3, 0.1),
    (0, 500.0, 0.2),
    (3, 4.0, 2.0),
    (0, 5.0, 20.0),
    (80, 2.0, 0.5),
    (1, 1e-3, 1.0),
    (20_000, 15_000.0, 0.03),
]


def posterior(count: float, mean: float, dispersion: float) -> tuple[float, float, float]:
    found = log_rate_posterior(np.array([[count]]), np.log([[mean]]), np.array([dispersion]))
    return tuple(float(part[0, 0]) for part in found)  # type: ignore[return-value]


@pytest.mark.parametrize("case", CASES)
def test_mean_and_sd_are_those_of_numerical_integration(case: tuple[float, float, float]):
    count, mean, dispersion = case
    found, sd, _ = posterior(*case)
    variance = np.log1p(dispersion)
    places = found + sd * np.linspace(-12, 12, 4001)
    log_density = count * places - mean * np.exp(places) - (places + variance / 2) ** 2 / (2 * variance)
    highest = log_density.max()

    def moment(power: int) -> float:
        def density(u: float) -> float:
            value = count * u - mean * np.exp(u) - (u + variance / 2) ** 2 / (2 * variance)
            return (u - found) ** power * np.exp(value - highest)

        return quad(density, places[0], places[-1], points=[found - sd, found, found + sd], limit=200)[0]

    total = moment(0)
    first = moment(1) / total
    np.testing.assert_allclose(first, 0, atol=1e-3 * sd)
    np.testing.assert_allclose(sd, np.sqrt(moment(2) / total - first**2), rtol=5e-3)


@pytest.mark.parametrize(("mean", "dispersion"), [(0.5, 0.3), (6.0, 1.0), (40.0, 0.05)])
def test_posterior_means_average_to_the_prior_mean(mean: float, dispersion: float):
    """A law of every posterior: what shrinks one way in some samples shrinks the other way in others."""
    counts = np.arange(int(mean * 60 + 200))[:, None]
    variance = np.log1p(dispersion)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    rates = mean * np.exp(np.sqrt(variance) * nodes - variance / 2)
    probability = poisson.pmf(counts, rates) @ (weights / weights.sum())
    np.testing.assert_allclose(probability.sum(), 1, atol=1e-6)
    u, sd, _ = log_rate_posterior(counts.astype(float), np.full(counts.shape, np.log(mean)), np.array([dispersion]))
    np.testing.assert_allclose(probability @ u[:, 0], -variance / 2, atol=2e-3)
    np.testing.assert_allclose(probability @ (sd[:, 0] ** 2 + u[:, 0] ** 2), variance + variance**2 / 4, rtol=2e-2)


def test_a_count_far_above_its_noise_is_the_logarithm_of_what_was_observed():
    found, sd, response = posterior(1e6, 2e5, 0.5)
    np.testing.assert_allclose(found, np.log(5), atol=1e-4)
    np.testing.assert_allclose(sd, 1e-3, rtol=1e-2)
    np.testing.assert_allclose(response, -1, atol=1e-4)


def test_without_information_the_value_is_the_prior_mean():
    found, sd, response = posterior(0, 1e-9, 0.4)
    np.testing.assert_allclose([found, sd], [-np.log(1.4) / 2, np.log(1.4) ** 0.5], rtol=1e-6)
    np.testing.assert_allclose(response, 0, atol=1e-6)


def test_a_zero_of_a_dispersed_gene_is_no_outlier():
    """The gamma distribution of the negative binomial puts it 30 doublings below the mean."""
    assert posterior(0, 5.0, 20.0)[0] / np.log(2) > -5


@pytest.mark.parametrize("dispersion", [1e-8, 0.1, 1e4])
def test_extreme_counts_are_finite_and_larger_counts_have_larger_rates(dispersion: float):
    counts = np.array([[0.0], [1.0], [10.0], [1e3], [1e9]])
    for mean in (1e-12, 1.0, 1e8):
        u, sd, response = log_rate_posterior(counts, np.full((5, 1), np.log(mean)), np.array([dispersion]))
        assert np.isfinite([u, sd, response]).all()
        assert (np.diff(u[:, 0]) >= 0).all()
        assert (sd > 0).all()


def test_response_is_the_derivative_by_the_expected_rate():
    for count, mean, dispersion in CASES[:4]:
        _, _, response = posterior(count, mean, dispersion)
        up, down = (posterior(count, mean * np.exp(step), dispersion)[0] for step in (0.01, -0.01))
        np.testing.assert_allclose(response, (up - down) / 0.02, atol=0.12)


def test_intervals_hold_true_rates(rng: np.random.Generator):
    variance = 0.5
    u = rng.normal(-variance / 2, np.sqrt(variance), (4_000, 1))
    mean = np.exp(rng.normal(1, 1.5, (4_000, 1)))
    found, sd, _ = log_rate_posterior(
        rng.poisson(mean * np.exp(u)).astype(float), np.log(mean), np.array([np.expm1(variance)])
    )
    inside = (np.abs(found - u) < norm.ppf(0.975) * sd).mean()
    assert abs(inside - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4_000)
