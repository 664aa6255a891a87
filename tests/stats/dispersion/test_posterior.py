import numpy as np
import pytest
from scipy.stats import t

from bulkvi.stats.dispersion.posterior import DispersionPrior, posterior_moments, profile_spline
from bulkvi.stats.nb.regression import nb_regression
from tests.stats.dispersion.profiles import profile_of

RIDGE = np.array([1e-6, 1e-2])


def given(n_genes: int, **shape) -> DispersionPrior:
    """A prior of mean log 0.1 and variance 0.7, and as start of the posterior near it."""
    return DispersionPrior(
        np.full(n_genes, np.log(0.1)), 0.7, np.full(n_genes, np.log(0.1)), np.full(n_genes, 0.8), True, **shape
    )


@pytest.mark.parametrize(
    "shape", [{}, {"skewness": 0.4}, {"inverse_df": 0.1}, {"skewness": -0.3, "inverse_df": 0.2, "trend_variance": 0.1}]
)
def test_posterior_moments_and_evidence_are_the_integrals_they_stand_for(simulate, rng, shape):
    cohort = simulate(rng, 3, 40, scatter=1.0)
    profile, _ = profile_of(cohort)
    grid = np.linspace(-16, 5, 600)
    exact = np.stack(
        [
            nb_regression(
                cohort.counts,
                cohort.features,
                offset=cohort.offset,
                dispersion=np.full(cohort.counts.shape[1], a),
                ridge=RIDGE,
            ).log_likelihood
            for a in np.exp(grid)
        ]
    )
    prior = given(cohort.counts.shape[1], **shape)
    log_density = prior.log_density(np.repeat(grid[:, None], prior.mean.size, 1))
    log_density -= np.log(np.exp(log_density).sum(0))
    log_weight = exact + log_density
    weight = np.exp(log_weight - log_weight.max(0))
    evidence = np.log(weight.sum(0)) + log_weight.max(0)
    weight /= weight.sum(0)
    mean = (weight * grid[:, None]).sum(0)
    sd = np.sqrt((weight * (grid[:, None] - mean) ** 2).sum(0))
    for _ in range(6):
        mine = np.zeros(mean.size)
        moments = posterior_moments(profile, profile_spline(profile), prior, mine)
        prior = prior._replace(mean=moments[0], sd=moments[1])
    np.testing.assert_allclose((prior.mean - mean) / sd, 0, atol=0.03)
    # tails beyond 4 sd are cut: nodes are placed by these moments, their weights are exact
    np.testing.assert_allclose(prior.sd / sd, 1, atol=0.09 if prior.inverse_df else 0.03)
    plain = given(mean.size)
    for _ in range(6):
        reference = np.zeros(mean.size)
        mean, sd = posterior_moments(profile, profile_spline(profile), plain, reference)
        plain = plain._replace(mean=mean, sd=sd)
    log_normal = -0.5 * (grid - np.log(0.1)) ** 2 / 0.7
    log_normal -= np.log(np.exp(log_normal).sum())
    both = exact + log_normal[:, None]
    expected = evidence - np.log(np.exp(both - both.max(0)).sum(0)) - both.max(0)
    np.testing.assert_allclose(mine - reference, expected, atol=0.02)


@pytest.mark.parametrize("skewness", [-0.5, 0.0, 0.3])
def test_mean_and_variance_of_the_prior_do_not_depend_on_its_skewness(skewness):
    prior = given(1, skewness=skewness)
    grid = np.linspace(-12, 8, 4001)
    weight = np.exp(prior.log_density(grid[:, None])[:, 0])
    weight /= weight.sum()
    mean = weight @ grid
    np.testing.assert_allclose([mean, weight @ (grid - mean) ** 2], [prior.log_trend[0], prior.variance], rtol=1e-3)
    above = weight[grid > prior.log_trend + 2].sum() - weight[grid < prior.log_trend - 2].sum()
    assert np.sign(above.round(4)) == np.sign(skewness)


def test_tails_are_those_of_student(rng):
    prior = given(1, inverse_df=0.25)
    at = rng.normal(size=(9, 1)) - 2
    expected = t.logpdf(at, 4, prior.log_trend, np.sqrt(prior.variance))
    mine = prior.log_density(at)
    np.testing.assert_allclose(mine - mine[0], expected - expected[0])
