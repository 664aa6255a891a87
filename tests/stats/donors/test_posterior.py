import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from bulkvi.stats.donors.donors import donor_blocks, regress_at_nodes
from bulkvi.stats.donors.posterior import (
    CORNERS,
    NODES,
    SPACING,
    DonorNodes,
    DonorPrior,
    Place,
    locate,
    place_nodes,
    posterior_weight,
    route_of,
)
from tests.stats.donor_cohorts import RIDGE, make_donors, repeats


@pytest.fixture
def given(rng):
    """Counts of 60 genes from 8 donors, a prior, a first place and starting values."""
    cohort = make_donors(rng, repeats(8, 3), 60)
    data = next(donor_blocks(cohort.counts, cohort.features, cohort.donor, cohort.offset, RIDGE, None, 60))[1]
    prior = DonorPrior(np.stack([np.full(60, -2.0), np.full(60, -2.0)]), np.array([0.5, 1.0]))
    root = np.zeros((2, 2, 60))
    root[[0, 1], [0, 1]] = 0.5
    return data, prior, Place(prior.log_trend.copy(), root), data.start_coef(), np.zeros((8, 60))


def log_posterior(data, prior, at):
    """Log posterior, up to a constant, at places (2 x nodes x genes)."""
    start = data.start_coef(), np.zeros((8, 60))
    return regress_at_nodes(data, at[0], at[1], *start, tol=1e-4).log_likelihood + prior.log_density(at)


def test_the_prior_is_a_product_of_normals(rng):
    prior = DonorPrior(rng.normal(size=(2, 5)), np.array([0.3, 2.0]))
    at = rng.normal(size=(2, 7, 5))
    expected = sum(norm.logpdf(at[k], prior.log_trend[k], np.sqrt(prior.variance[k])) for k in (0, 1))
    got = prior.log_density(at)
    np.testing.assert_allclose(got - got[0], expected - expected[0], atol=1e-12)


def test_points_of_a_place_have_its_covariance(rng):
    root = np.linalg.cholesky(np.array([[0.5, 0.2], [0.2, 0.4]]))
    place = Place(np.array([[-2.0], [-1.0]]), root[:, :, None])
    z = rng.normal(size=(6, 2))
    np.testing.assert_allclose(place.at(z)[:, :, 0], np.array([[-2.0], [-1.0]]) + root @ z.T, atol=1e-12)


@pytest.mark.parametrize("points", [NODES, CORNERS], ids=["nodes", "corners"])
def test_a_route_visits_every_point_once_and_starts_from_visited_ones(points):
    route = route_of(points)
    assert sorted(route[0]) == list(range(len(points)))
    assert points[route[0, 0]].tolist() == [0, 0]
    for visit in range(1, len(points)):
        assert set(route[1:, visit]) <= set(route[0, :visit])
    # a plane is continued exactly by all but the points next to the middle
    plane = 3.0 + points @ np.array([0.7, -1.3])
    error = plane[route[1]] + plane[route[2]] - plane[route[3]] - plane[route[0]]
    assert np.count_nonzero(np.abs(error) > 1e-9) <= 5


def test_the_place_is_the_mode_and_its_curvature(given):
    data, prior, place, coef, effect = given
    found = locate(data, prior, place, coef, effect, rounds=8)
    at_mode = log_posterior(data, prior, found.centre[:, None])[0]
    # on a circle of one standard deviation the log posterior is lower, by about a half
    for angle in np.linspace(0, 2 * np.pi, 6, endpoint=False):
        z = np.array([[np.cos(angle), np.sin(angle)]])
        fall = at_mode - log_posterior(data, prior, found.at(z))[0]
        assert (fall > -0.02).all()
        assert np.median(fall) == pytest.approx(0.5, abs=0.12)


def test_nodes_have_the_moments_of_the_integral(given):
    data, prior, place, coef, effect = given
    found = locate(data, prior, place, coef, effect)
    nodes = place_nodes(data, prior, found, coef, effect)
    np.testing.assert_allclose(nodes.weight.sum(0), 1)
    axis = np.linspace(-5, 5, 21)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    at = found.at(grid)
    weight = posterior_weight(log_posterior(data, prior, at), prior._replace(variance=np.full(2, np.inf)), at)
    mean, covariance = nodes.moments()
    exact = (weight * at).sum(1)
    deviation = at - exact[:, None]
    spread = np.sqrt((weight * deviation**2).sum(1))
    assert np.abs((mean - exact) / spread).max() < 0.1
    np.testing.assert_allclose(np.sqrt(np.einsum("iig->ig", covariance)) / spread, 1, atol=0.1)
    correlation = (weight * deviation[0] * deviation[1]).sum(0) / spread.prod(0)
    np.testing.assert_allclose(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]), correlation, atol=0.1)


def test_a_lattice_off_its_posterior_is_placed_again(given):
    data, prior, place, coef, effect = given
    found = locate(data, prior, place, coef, effect)
    right, _ = place_nodes(data, prior, found, coef, effect).moments()
    # so narrow that the posterior falls between the nodes, or so wide, or beside it
    for factor, shift in ((0.45, 0.0), (2.5, 0.0), (1.0, 2.0)):
        off = Place(found.centre + shift * found.root.sum(1), factor * found.root)
        mean, _ = place_nodes(data, prior, off, coef, effect).moments()
        distance = (mean - right) / np.sqrt((found.root**2).sum(1))
        assert np.quantile(np.abs(distance), 0.95) < 0.35


def test_moments_of_nodes_are_those_of_a_normal_on_its_lattice():
    root = np.linalg.cholesky(np.array([[0.5, -0.2], [-0.2, 0.4]]))
    at = Place(np.array([[-2.0], [-1.0]]), root[:, :, None]).at(SPACING * NODES)
    log_weight = multivariate_normal([-2, -1], root @ root.T).logpdf(at[:, :, 0].T)[:, None]
    flat = DonorPrior(np.zeros((2, 1)), np.full(2, np.inf))
    nodes = DonorNodes(at, posterior_weight(log_weight, flat, at), None)  # type: ignore[arg-type]
    mean, covariance = nodes.moments()
    np.testing.assert_allclose(mean[:, 0], [-2, -1], atol=1e-12)
    # the error of the trapezoid rule: 2 (2 pi / 1.5)^2 exp(-2 pi^2 / 1.5^2)
    np.testing.assert_allclose(covariance[:, :, 0], root @ root.T, rtol=6e-3)
