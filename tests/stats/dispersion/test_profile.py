import numpy as np
import pytest

from bulkvi.stats.dispersion.profile import dispersion_profile, join_profiles, moment_dispersion, spline_bends
from bulkvi.stats.nb.regression import blocks, make_layout, nb_regression, start_coef
from tests.stats.splines import spline_at

RIDGE = np.array([1e-6, 1e-2])


def block_of(counts, features, offset, weights=None, ridge=RIDGE):
    layout, order = make_layout(features, ridge)
    return next(blocks(counts, offset, weights, layout, order, counts.shape[1]))[1]


def exact_profile(counts, features, offset, grid, weights=None):
    """Every dispersion of a grid with its own regression, run to the end: grid x genes."""
    return np.stack(
        [
            nb_regression(
                counts,
                features,
                offset=offset,
                dispersion=np.full(counts.shape[1], a),
                ridge=RIDGE,
                weights=weights,
                tol=1e-7,
            ).log_likelihood
            for a in grid
        ]
    )


def hard_genes(rng, features, offset):
    """Poisson-like, typical, wild, nearly empty, one count, uneven groups, huge, and an outlier."""
    n = offset.size
    group = features[:, 1]
    size = np.exp(offset)
    draw = lambda mean, a: rng.poisson(rng.gamma(1 / a, a, n) * mean * size)  # noqa: E731
    genes = [rng.poisson(m * size) for m in (1, 5, 100, 10_000)]
    genes += [draw(m, a) for m in (1, 10, 300, 1e4) for a in (0.03, 0.3, 3.0)]
    genes += [draw(2 + 300 * group, 0.1), draw(1e7, 0.05), np.eye(n)[2], 3 * np.eye(n)[-1]]
    outlier = draw(20, 0.05)
    outlier[1] = 900
    return np.column_stack([*genes, outlier]).astype(float)


@pytest.mark.parametrize(("n", "weighted"), [(4, False), (6, False), (12, True), (60, False)])
def test_lattice_and_spline_reproduce_the_exact_profile_on_a_fine_grid(rng, n, weighted):
    """Within 0.05 log-likelihood units wherever it is within 6 of its top, and nowhere else does it come near."""
    features = np.column_stack([np.ones(n), np.arange(n) % 2])
    offset = rng.normal(0, 0.3, n)
    counts = hard_genes(rng, features, offset)
    weights = rng.uniform(0.3, 1, counts.shape) if weighted else None
    profile = dispersion_profile(block_of(counts, features, offset, weights), n - 2)
    assert profile.converged.all()
    log_grid = np.linspace(np.log(1e-6), np.log(50), 150)
    exact = exact_profile(counts, features, offset, np.exp(log_grid), weights)
    place = np.log1p(np.exp(log_grid)[:, None] * profile.largest) * profile.root_df / profile.spacing - profile.first
    mine = spline_at(profile.log_likelihood, place)
    near = exact > exact.max(0) - 6
    for g in range(counts.shape[1]):
        shift = np.median((mine - exact)[near[:, g], g])
        np.testing.assert_allclose((mine - shift)[near[:, g], g], exact[near[:, g], g], atol=0.05, rtol=0)
        assert ((mine[:, g] - shift)[exact[:, g] < exact[:, g].max() - 9] < exact[:, g].max() - 7).all()


def test_a_gene_without_overdispersion_has_its_top_at_the_poisson_end(rng):
    features = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    counts = np.tile([[100.0], [101.0]], (4, 1))
    profile = dispersion_profile(block_of(counts, features, np.zeros(8)), 6)
    assert profile.first[0] == 0
    assert profile.log_likelihood[:, 0].argmax() == 0


def test_moment_estimate_is_zero_for_even_counts_and_right_for_many_samples(rng):
    n, a = 4000, 0.4
    counts = np.column_stack([rng.poisson(rng.gamma(1 / a, a, n) * 50), np.full(n, 50)]).astype(float)
    block = block_of(counts, np.ones((n, 1)), np.zeros(n), ridge=np.zeros(1))
    estimate = moment_dispersion(block, start_coef(block), n - 1)
    assert abs(estimate[0] / a - 1) < 0.15
    assert estimate[1] == 0


def test_lattice_is_the_same_whatever_genes_stand_beside(rng):
    features = np.column_stack([np.ones(12), np.arange(12) % 2])
    counts = hard_genes(rng, features, np.zeros(12))
    whole = dispersion_profile(block_of(counts, features, np.zeros(12)), 10)
    parts = [dispersion_profile(block_of(counts[:, k : k + 5], features, np.zeros(12)), 10) for k in range(0, 21, 5)]
    joined = join_profiles(parts)
    np.testing.assert_allclose(joined.log_likelihood, whole.log_likelihood, atol=1e-9)
    np.testing.assert_array_equal(joined.first, whole.first)


def test_spline_is_exact_for_cubics():
    x = np.arange(11.0)
    cubic = np.stack([-(x**2) + 0.1 * x**3, 3 - x])
    bends = spline_bends(cubic.T.copy())
    np.testing.assert_allclose(bends[:, 0], -2 + 0.6 * x, atol=1e-9)
    np.testing.assert_allclose(bends[:, 1], 0, atol=1e-9)


def test_moment_estimate_corrects_for_the_degrees_of_freedom(rng):
    """Two groups of three about their means, exactly fitted: ``sum((y - m)^2 n / (n - p) - m) / sum(m^2)``."""
    features = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])
    counts = rng.negative_binomial(3, 0.05, (6, 5)).astype(float)
    mean = np.repeat([counts[:3].mean(0), counts[3:].mean(0)], 3, axis=0)
    block = block_of(counts, features, np.zeros(6), ridge=np.zeros(2))
    coef = np.linalg.solve(features.T @ features, features.T @ np.log(mean))
    expected = (1.5 * (counts - mean) ** 2 - mean).sum(0) / (mean**2).sum(0)
    np.testing.assert_allclose(moment_dispersion(block, coef, 4), np.maximum(expected, 0), rtol=1e-9)
