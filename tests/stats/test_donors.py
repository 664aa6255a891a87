from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from bulkvi.stats.donors.donors import Donors, regress_at_node
from bulkvi.stats.donors.fit import fit_donor_genes
from bulkvi.stats.effects.effect import effect_likelihood
from bulkvi.stats.effects.likelihood_ratio import handle_separation, omnibus_test
from bulkvi.stats.effects.noise_inflation import noise_inflation, standardised_residuals
from bulkvi.stats.hidden.hidden_factors import latent_number
from tests.stats.donor_cohorts import RIDGE, make_donors, pairs, repeats


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
