from typing import Any

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp
from scipy.stats import chi2, nbinom

from bulkvi.stats.donors.donors import Donors, donor_regression, regress_at_node
from bulkvi.stats.donors.fit import fit_donor_genes
from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation, omnibus_test
from bulkvi.stats.effects.noise_inflation import noise_inflation, standardised_residuals
from bulkvi.stats.hidden.hidden_factors import latent_number
from bulkvi.stats.nb.regression import nb_regression
from tests.stats.donor_cohorts import RIDGE, DonorCohort, make_donors, pairs, repeats


def fit(cohort):
    return fit_donor_genes(cohort.counts, cohort.features, cohort.donor, offset=cohort.offset, ridge=RIDGE)


def test_whitened_residuals_are_independent(rng):
    """``M V M' = 1`` for the map M that whitening is, V the covariance within donors."""
    code = np.array([0, 0, 0, 1, 1, 2])
    variance, shared = rng.uniform(0.02, 0.5, (6, 1)), 0.3
    donors = Donors(code, np.zeros((3, 1)), np.log([[shared]]))
    covariance = np.diag(variance[:, 0]) + shared * (code[:, None] == code)
    whiten = np.hstack([donors.whiten(column[:, None], variance) for column in np.eye(6)])
    np.testing.assert_allclose(whiten @ covariance @ whiten.T, np.eye(6), atol=1e-12)


@pytest.mark.parametrize("samples", [pairs(12), repeats(12, 3)], ids=["pairs", "repeats"])
def test_donors_are_neither_shared_noise_nor_hidden_factors(rng, samples):
    cohort = make_donors(rng, samples, 1500)
    result = fit(cohort)
    given = (cohort.counts, cohort.features, cohort.offset, result.genes)
    residuals = standardised_residuals(*given, result.donors)
    assert residuals.value.std() == pytest.approx(1, abs=0.12)
    assert noise_inflation(*given, result.donors).factor.max() < 1.1
    assert latent_number(*given, rng, result.donors).number == 0
    assert noise_inflation(*given).factor.max() > 1.2  # what it would be if the donors were not told


def test_a_hidden_factor_beside_donors_is_seen(rng):
    cohort = make_donors(rng, pairs(12), 800)
    batch = rng.permutation(24) % 2
    moved = rng.poisson(cohort.counts * np.exp(np.outer(batch, rng.normal(0, 0.7, 800)))).astype(float)
    cohort = cohort._replace(counts=moved)
    result = fit(cohort)
    number = latent_number(cohort.counts, cohort.features, cohort.offset, result.genes, rng, result.donors)
    assert number.number == 1


def test_likelihood_ratios_at_a_node_have_their_distribution(rng):
    """At the true variances, twice the log likelihood ratio of a group without effect, donors nested in it."""
    cohort = make_donors(rng, repeats(20, 3), 2000, share=0.0)
    mean = np.full((60, 2000), 200.0) * np.exp(rng.normal(0, 0.4, (20, 2000)))[cohort.donor]
    counts = rng.negative_binomial(10, 10 / (10 + mean)).astype(float)
    donors = Donors(cohort.donor, np.zeros((20, 2000)), np.full((1, 2000), 2 * np.log(0.4)))
    given: dict[str, Any] = {"offset": np.zeros(60), "log_dispersion": np.full(2000, np.log(0.1)), "donors": donors}
    full = regress_at_node(counts, cohort.features, ridge=RIDGE, **given)
    none = regress_at_node(counts, cohort.features[:, :1], ridge=RIDGE[:1], **given)
    p = chi2.sf(2 * (full.log_likelihood - none.log_likelihood), 1)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.02)  # four standard errors of a binomial
    plain = given | {"donors": None}
    full = regress_at_node(counts, cohort.features, ridge=RIDGE, **plain)
    none = regress_at_node(counts, cohort.features[:, :1], ridge=RIDGE[:1], **plain)
    assert (chi2.sf(2 * (full.log_likelihood - none.log_likelihood), 1) < 0.05).mean() > 0.2


def test_an_omnibus_test_knows_of_donors(rng):
    cohort = make_donors(rng, repeats(16, 3), 500, share=0.0)
    result = fit(cohort)
    test = omnibus_test(
        cohort.counts,
        cohort.features,
        np.array([[0.0, 1.0]]),
        result.genes,
        offset=cohort.offset,
        ridge=np.diag(RIDGE),
        donors=result.donors,
    )
    assert test.converged.all()
    assert (test.p_value < 0.05).mean() < 0.10


def test_a_group_without_counts_is_weaker_proof_from_fewer_donors(rng):
    """Twelve samples with counts against twelve without: of two donors each, or of six each."""
    contrast = np.array([0.0, 1.0])
    log_p = []
    for n_donors in (4, 12):
        cohort = make_donors(rng, repeats(n_donors, 24 // n_donors), 400)
        cohort.counts[:, 0] = np.where(cohort.features[:, 1] == 1, 4.0, 0.0)
        result = fit(cohort)
        settled = handle_separation(
            effect_likelihood(result.genes.nodes, contrast),
            cohort.counts,
            cohort.features,
            contrast,
            result.genes,
            offset=cohort.offset,
            ridge=np.diag(RIDGE),
            donors=result.donors,
        )
        assert settled.separated[0]
        log_p.append(settled.log_p[0])
    assert log_p[0] > log_p[1] + 2


SHAPES = {"pairs": pairs(7), "repeats": repeats(6, 3), "some single": [*pairs(4), (4, 0), (5, 1), (6, 1)]}


def donor_regression_fit(cohort: DonorCohort, variance: float = 0.16, **changes: Any):
    n_genes = cohort.counts.shape[1]
    given: dict[str, Any] = {
        "offset": cohort.offset,
        "dispersion": np.full(n_genes, 0.1),
        "donor_variance": np.full(n_genes, variance),
        "ridge": RIDGE,
        "tol": 1e-7,
    }
    return donor_regression(cohort.counts, cohort.features, cohort.donor, **(given | changes))


@pytest.mark.parametrize("shape", SHAPES)
def test_donors_are_columns_with_a_ridge(rng, shape):
    """What eliminating the donors does cleverly, a regression with a column for each does plainly."""
    cohort = make_donors(rng, SHAPES[shape])
    mine = donor_regression_fit(cohort)
    n_donors = cohort.donor.max() + 1
    columns = np.hstack([cohort.features, cohort.donor[:, None] == np.arange(n_donors)]).astype(float)
    plain = nb_regression(
        cohort.counts,
        columns,
        offset=cohort.offset,
        dispersion=np.full(200, 0.1),
        ridge=np.append(RIDGE, np.full(n_donors, 1 / 0.16)),
        tol=1e-7,
    )
    assert mine.converged.all()
    np.testing.assert_allclose(mine.coef, plain.coef[:2], atol=1e-7)
    np.testing.assert_allclose(mine.effect, plain.coef[2:], atol=1e-7)
    np.testing.assert_allclose(mine.covariance, plain.covariance[:2, :2], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(mine.log_likelihood, plain.log_likelihood - n_donors / 2 * np.log(0.16), atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_without_variance_donors_change_nothing(rng, shape):
    cohort = make_donors(rng, SHAPES[shape])
    mine = donor_regression_fit(cohort, 1e-11)
    plain = nb_regression(
        cohort.counts, cohort.features, offset=cohort.offset, dispersion=np.full(200, 0.1), ridge=RIDGE, tol=1e-7
    )
    np.testing.assert_allclose(mine.coef, plain.coef, atol=1e-6)
    np.testing.assert_allclose(mine.covariance, plain.covariance, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(mine.log_likelihood, plain.log_likelihood, atol=1e-6)


def test_a_large_variance_gives_each_donor_an_effect_of_its_own(rng):
    cohort = make_donors(rng, pairs(6))
    mine = donor_regression_fit(cohort, 1e6)
    own = (cohort.donor[:, None] == np.arange(1, 6)).astype(float)
    fixed = nb_regression(
        cohort.counts,
        np.hstack([cohort.features, own]),
        offset=cohort.offset,
        dispersion=np.full(200, 0.1),
        ridge=np.append(RIDGE, np.full(5, 1e-6)),
        tol=1e-7,
    )
    counted = np.array([cohort.counts[cohort.donor == d].sum(0) for d in range(6)]).min(0) > 5
    assert counted.sum() > 100
    np.testing.assert_allclose(mine.coef[1, counted], fixed.coef[1, counted], atol=1e-5)
    np.testing.assert_allclose(mine.covariance[1, 1, counted], fixed.covariance[1, 1, counted], rtol=1e-4)


@pytest.mark.parametrize("donor_sd", [0.05, 0.3, 1.0])
def test_the_marginal_likelihood_is_the_integral_over_the_donors(rng, donor_sd):
    """Against Gauss-Hermite's rule with 60 points about each donor's mode."""
    cohort = make_donors(rng, repeats(4, 3), 60, donor_sd=donor_sd)
    mine = donor_regression_fit(cohort, donor_sd**2)
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    total = np.zeros(60)
    for g in range(60):
        for d in range(4):
            rows = cohort.donor == d
            y, log_rate = cohort.counts[rows, g], cohort.features[rows] @ mine.coef[:, g]
            m = np.exp(cohort.offset[rows] + log_rate + mine.effect[d, g])
            sd = (1 / donor_sd**2 + (m / (1 + 0.1 * m)).sum()) ** -0.5
            u = mine.effect[d, g] + sd * points
            mean = np.exp(cohort.offset[rows] + log_rate + u[:, None])
            log_p = nbinom.logpmf(y, 10, 1 / (1 + 0.1 * mean)) + gammaln(y + 1) - y * cohort.offset[rows]
            log_prior = -0.5 * (u / donor_sd) ** 2 - np.log(donor_sd)
            total[g] += logsumexp(log_p.sum(1) + log_prior + points**2 / 2, b=weights * sd / np.sqrt(2 * np.pi))
    ridge_term = 0.5 * (RIDGE[:, None] * mine.coef**2).sum(0)
    counted = cohort.counts.mean(0) > 1
    error = np.abs(mine.marginal + ridge_term - total)[counted]
    assert counted.sum() > 50
    assert np.median(error) < 0.01
    assert error.max() < 0.1


def test_order_of_samples_and_names_of_donors_do_not_matter(rng):
    cohort = make_donors(rng, SHAPES["some single"])
    order = rng.permutation(cohort.donor.size)
    names = np.array(["zoe", "ann", "eve", "bob", "dan", "kim", "lea"])
    other = donor_regression_fit(
        cohort._replace(
            counts=cohort.counts[order],
            features=cohort.features[order],
            donor=names[cohort.donor[order]],
            offset=cohort.offset[order],
        ),
        offset=cohort.offset[order],
    )
    mine = donor_regression_fit(cohort)
    np.testing.assert_allclose(other.coef, mine.coef, atol=1e-8)
    np.testing.assert_allclose(other.effect, mine.effect[np.argsort(names)], atol=1e-8)
    np.testing.assert_allclose(other.log_likelihood, mine.log_likelihood, atol=1e-6)


def test_offsets_by_gene_and_weights_of_zero(rng):
    cohort = make_donors(rng, pairs(6))
    mine = donor_regression_fit(cohort)
    by_gene = donor_regression_fit(cohort, offset=np.repeat(cohort.offset[:, None], 200, axis=1))
    np.testing.assert_allclose(by_gene.coef, mine.coef, atol=1e-10)
    weights = np.ones_like(cohort.counts)
    weights[3] = 0
    kept = np.arange(12) != 3
    without = donor_regression_fit(
        cohort._replace(
            counts=cohort.counts[kept],
            features=cohort.features[kept],
            donor=cohort.donor[kept],
        ),
        offset=cohort.offset[kept],
    )
    np.testing.assert_allclose(donor_regression_fit(cohort, weights=weights).coef, without.coef, atol=1e-7)


def test_a_gene_does_not_depend_on_its_neighbours(rng):
    cohort = make_donors(rng, pairs(6))
    some = np.array([5, 70, 71, 199])
    alone = donor_regression_fit(
        cohort._replace(counts=cohort.counts[:, some]), dispersion=np.full(4, 0.1), donor_variance=np.full(4, 0.16)
    )
    np.testing.assert_array_equal(alone.coef, donor_regression_fit(cohort).coef[:, some])


def test_extreme_counts_converge():
    counts = np.zeros((8, 5))
    counts[0, 1] = 1
    counts[0, 2] = 1e7
    counts[::2, 3] = 1e6
    counts[:, 4] = np.geomspace(1, 1e8, 8)
    features = np.column_stack([np.ones(8), np.tile([0.0, 1.0], 4)])
    for variance in (1e-4, 0.1, 10.0):
        for dispersion in (1e-4, 0.1, 20.0):
            result = donor_regression(
                counts,
                features,
                np.repeat(np.arange(4), 2),
                offset=np.zeros(8),
                dispersion=np.full(5, dispersion),
                donor_variance=np.full(5, variance),
                ridge=RIDGE,
            )
            assert result.converged.all()
            assert np.isfinite(result.log_likelihood).all()


def test_what_does_not_fit_raises(rng):
    cohort = make_donors(rng, pairs(4), 10)
    with pytest.raises(ValueError, match=r"`donor` has shape \(3,\): give one donor per sample \(8\)"):
        donor_regression_fit(cohort._replace(donor=cohort.donor[:3]))
    with pytest.raises(ValueError, match="All samples are of one donor"):
        donor_regression_fit(cohort._replace(donor=np.zeros(8)))
    with pytest.raises(ValueError, match="`donor_variance` has shape .*: give one positive number per gene"):
        donor_regression_fit(cohort, donor_variance=np.zeros(10))
