import numpy as np
import pytest
from scipy.stats import binom, norm

from bulkvi.stats.dispersion.posterior import DispersionPrior
from bulkvi.stats.dispersion.prior import hat_basis
from bulkvi.stats.donors.donors import donor_regression
from bulkvi.stats.donors.fit import _without_prior, fit_donor_genes, prior_step
from bulkvi.stats.effects.effect import benjamini_hochberg, effect_likelihood, wald_p_value
from bulkvi.stats.genes import fit_genes
from tests.stats.donor_cohorts import RIDGE, make_donors, pairs, repeats

GROUP = np.array([0.0, 1.0])


def fit(cohort, **changes):
    given = {"offset": cohort.offset, "ridge": RIDGE} | changes
    return fit_donor_genes(cohort.counts, cohort.features, cohort.donor, **given)


def p_values(result):
    return wald_p_value(effect_likelihood(result.genes.nodes, GROUP))


@pytest.mark.parametrize("samples", [pairs(5), repeats(6, 3)], ids=["pairs", "repeats"])
def test_p_values_are_the_integral_over_both_variances(rng, samples):
    """Against 45 x 45 pairs of dispersion and donor variance, +-6 posterior standard deviations, a regression each."""
    cohort = make_donors(rng, samples, 150, share=0.5)
    result = fit(cohort)
    prior, some = result.prior, np.arange(0, 150, 5)
    log_weight, tail = [], []
    for a in np.linspace(-6, 6, 45):
        log_dispersion = (result.genes.prior.mean + a * result.genes.prior.sd)[some]
        for t in np.linspace(-6, 6, 45):
            log_variance = (result.mean + t * result.sd)[some]
            at = donor_regression(
                cohort.counts[:, some],
                cohort.features,
                cohort.donor,
                offset=cohort.offset,
                dispersion=np.exp(log_dispersion),
                donor_variance=np.exp(log_variance),
                ridge=RIDGE,
                tol=1e-3,
            )
            log_prior = (log_dispersion - prior.log_trend[0, some]) ** 2 / prior.variance[0]
            log_prior += (log_variance - prior.log_trend[1, some]) ** 2 / prior.variance[1]
            log_weight.append(at.log_likelihood - 0.5 * log_prior)
            tail.append(2 * norm.sf(np.abs(at.coef[1]) / np.sqrt(at.covariance[1, 1])))
    weight = np.exp(np.array(log_weight) - np.max(log_weight, axis=0))
    exact = (weight * tail).sum(0) / weight.sum(0)
    mine = p_values(result)[some]
    likely = exact > 1e-4
    np.testing.assert_allclose(mine[likely], exact[likely], rtol=0.03)
    np.testing.assert_allclose(np.log(mine[exact > 1e-9]), np.log(exact[exact > 1e-9]), atol=0.3)


def test_order_of_samples_and_names_of_donors_do_not_matter(rng):
    cohort = make_donors(rng, pairs(6), 300)
    order = rng.permutation(12)
    names = np.array(list("fxbqad"))
    other = fit(
        cohort._replace(counts=cohort.counts[order], features=cohort.features[order], donor=names[cohort.donor[order]]),
        offset=cohort.offset[order],
    )
    mine = fit(cohort)
    np.testing.assert_allclose(p_values(other), p_values(mine), rtol=1e-6)
    np.testing.assert_allclose(other.mean, mine.mean, atol=1e-6)


def test_offset_by_gene_and_in_blocks_of_genes_is_the_same(rng, monkeypatch):
    cohort = make_donors(rng, pairs(6), 300)
    mine = fit(cohort)
    np.testing.assert_allclose(
        p_values(fit(cohort, offset=np.repeat(cohort.offset[:, None], 300, axis=1))), p_values(mine), rtol=1e-9
    )
    monkeypatch.setattr("bulkvi.stats.donors.fit.block_genes", lambda _: 800)
    np.testing.assert_allclose(p_values(fit(cohort)), p_values(mine), rtol=1e-9)


def test_both_variances_are_found(rng):
    cohort = make_donors(rng, repeats(16, 3), 600)
    result = fit(cohort)
    assert result.genes.prior.converged
    counted = result.genes.base_mean > 20
    error = result.mean - 2 * np.log(cohort.donor_sd)
    assert abs(np.median(error[counted])) < 0.1
    inside = np.abs(error[counted]) <= 1.96 * result.sd[counted]
    low, high = binom.interval(1 - 1e-4, counted.sum(), 0.95)
    assert low / counted.sum() <= inside.mean() <= high / counted.sum()


def test_without_donor_effects_the_plain_fit_comes_back(rng):
    cohort = make_donors(rng, pairs(12), 600, donor_sd=1e-9, share=0.3)
    mixed = effect_likelihood(fit(cohort).genes.nodes, GROUP)
    plain = effect_likelihood(fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=RIDGE).nodes, GROUP)
    assert np.median(mixed.sd() / plain.sd()) == pytest.approx(1, abs=0.05)
    assert np.corrcoef(mixed.mean(), plain.mean())[0, 1] > 0.995


def test_what_does_not_fit_raises(rng):
    cohort = make_donors(rng, pairs(4), 20)
    with pytest.raises(ValueError, match="All samples are of one donor"):
        fit(cohort._replace(donor=np.zeros(8)))
    with pytest.raises(ValueError, match="8 samples and 8 features leave no residual degrees of freedom"):
        fit(cohort._replace(features=np.eye(8)), ridge=np.ones(8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "donor_sd"),
    [
        (pairs(6), 0.4),
        (pairs(30), 0.4),
        (pairs(6), 0.0),
        (repeats(8, 3), 0.4),
        (repeats(30, 2), 0.4),
        (repeats(12, 3), 0.0),
        ([*pairs(10), *((d, d % 2) for d in range(10, 20))], 0.4),
    ],
)
def test_false_discoveries_and_null_p_values_hold(samples, donor_sd):
    """The calls of ten data sets together; .05 and four standard errors of a binomial."""
    calls, false, null, below = 0, 0, 0, 0
    for seed in range(10):
        cohort = make_donors(np.random.default_rng([77, seed]), samples, 1500, donor_sd=donor_sd, effect_sd=1.2)
        p = p_values(fit(cohort))
        called, unchanged = benjamini_hochberg(p) < 0.05, cohort.effect == 0
        calls, false = calls + called.sum(), false + (called & unchanged).sum()
        null, below = null + unchanged.sum(), below + (p[unchanged] < 0.05).sum()
    assert below / null == pytest.approx(0.05, abs=0.01)
    assert calls > 50
    assert false <= 0.05 * calls + 4 * np.sqrt(0.05 * 0.95 * calls)


def test_the_likelihood_alone_is_the_posterior_over_the_prior():
    """Products of normals; without information beyond the prior, as at the Poisson end, the dispersion is 0."""
    prior = DispersionPrior(np.full(3, -2.0), 0.5, np.zeros(3), np.zeros(3), True)
    top, information = np.array([-1.0, -3.0, -1.0]), np.array([4.0, 0.12, 0.08])
    precision = information + 1 / 0.5
    mean = (information * top - 2.0 / 0.5) / precision
    alone = _without_prior(mean, 1 / np.sqrt(precision), prior)
    np.testing.assert_allclose(alone, [np.exp(-1.0), np.exp(-3.0), 0.0], rtol=1e-9)


def test_a_step_of_the_prior_finds_trend_and_variance_of_exact_dispersions(rng):
    x = rng.uniform(0, 8, 4000)
    basis = hat_basis(x, np.linspace(0, 8, 5))
    truth = np.array([-1.0, -2.0, -2.5, -2.2, -2.4])
    exact = basis @ truth + rng.normal(0, 0.8, 4000)
    exact[::100] += 30  # outlying genes
    heights, variance = np.full(5, -2.0), 0.5
    for _ in range(12):
        heights, variance = prior_step(exact, np.full(4000, 1e-9), heights, variance, basis, (-10.0, 10.0))
    np.testing.assert_allclose(heights, truth, atol=0.1)
    assert variance == pytest.approx(0.64, rel=0.06)
