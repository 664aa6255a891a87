import numpy as np
import pytest
from scipy.stats import norm

from bulkvi.stats.effects.effect import benjamini_hochberg, effect_likelihood, wald_p_value
from bulkvi.stats.effects.shrinkage import shrink, shrinkage_prior
from bulkvi.stats.genes import _discard_overflow, fit_genes
from bulkvi.stats.nb import regression
from bulkvi.stats.nb.regression import nb_regression

RIDGE = np.array([1e-6, 1e-2])
GROUP = np.array([0.0, 1.0])


def fit(cohort, **kwargs):
    return fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=RIDGE, **kwargs)


@pytest.mark.parametrize(
    ("n_per_group", "n_genes", "tolerance"),
    [
        (2, 2000, (0.05, 0.15)),
        (3, 2000, (0.02, 0.1)),
        (10, 2000, (0.01, 0.1)),
        (2, 80, (0.3, 0.6)),
        (10, 80, (0.03, 0.25)),
    ],
)
def test_p_values_are_the_integral_over_the_dispersion(simulate, rng, n_per_group, n_genes, tolerance):
    """Against 400 dispersions a gene with a regression each; of few genes the prior has the tails of Student's t."""
    cohort = simulate(rng, n_per_group, n_genes, share=0.5)
    result = fit(cohort)
    some = slice(0, 80)
    counts, prior = cohort.counts[:, some], result.prior.genes(some)
    effect = effect_likelihood(result.nodes, GROUP)
    mine, mle = wald_p_value(effect)[some], effect.mean()[some]
    log_weight, tail, estimate = [], [], []
    for place in np.linspace(-8, 8, 400):
        log_dispersion = prior.mean + place * prior.sd
        at = nb_regression(
            counts, cohort.features, offset=cohort.offset, dispersion=np.exp(log_dispersion), ridge=RIDGE
        )
        log_weight.append(at.log_likelihood + prior.log_density(log_dispersion[None])[0])
        tail.append(2 * norm.sf(np.abs(at.coef[1]) / np.sqrt(at.covariance[1, 1])))
        estimate.append(at.coef[1])
    weight = np.exp(np.array(log_weight) - np.max(log_weight, axis=0))
    weight /= weight.sum(0)
    exact = (weight * tail).sum(0)
    for low, closeness in zip((1e-4, 1e-8), tolerance, strict=True):
        np.testing.assert_allclose(np.log(mine[exact > low]), np.log(exact[exact > low]), atol=closeness)
    np.testing.assert_allclose(mle, (weight * estimate).sum(0), atol=tolerance[0] / 20, rtol=tolerance[0] / 20)


def test_nodes_do_not_depend_on_how_genes_are_cut_into_blocks(simulate, rng, monkeypatch):
    cohort = simulate(rng, 4, 400)
    whole = fit(cohort)
    monkeypatch.setattr(regression, "BLOCK_ENTRIES", 8 * 90)
    pieces = fit(cohort)
    np.testing.assert_allclose(pieces.nodes.coef, whole.nodes.coef, atol=1e-10)
    np.testing.assert_allclose(pieces.nodes.weight, whole.nodes.weight, atol=1e-10)
    np.testing.assert_array_equal(pieces.base_mean, whole.base_mean)


def test_order_of_samples_and_genes_and_names_of_groups_change_nothing_but_the_sign(simulate, rng):
    cohort = simulate(rng, 4, 300)
    plain = effect_likelihood(fit(cohort).nodes, GROUP)
    samples, genes = rng.permutation(8), rng.permutation(cohort.counts.shape[1])
    flipped = np.column_stack([np.ones(8), 1 - cohort.features[:, 1]])[samples]
    other = fit_genes(cohort.counts[samples][:, genes], flipped, offset=cohort.offset[samples], ridge=RIDGE)
    turned = effect_likelihood(other.nodes, GROUP)
    np.testing.assert_allclose(turned.mean(), -plain.mean()[genes], atol=3e-4)
    np.testing.assert_allclose(wald_p_value(turned), wald_p_value(plain)[genes], rtol=1e-3)


def test_every_gene_has_a_finite_answer_and_an_empty_one_says_nothing(simulate, rng):
    cohort = simulate(rng, 3, 300)
    odd = np.zeros((6, 6))
    odd[0, 1] = 1  # a single count
    odd[:3, 2] = 500  # all zero in one group
    odd[:, 3] = 1e7 * rng.gamma(10, 0.1, 6)
    odd[2, 4] = 1e7  # a single outlying count
    odd[:, 5] = 10  # no variation at all
    result = fit(cohort._replace(counts=np.column_stack([odd.round(), cohort.counts])))
    effect = effect_likelihood(result.nodes, GROUP)
    post = shrink(effect, shrinkage_prior(effect))
    assert result.nodes.converged.all()
    for part in (*effect, *post, wald_p_value(effect)):
        assert np.isfinite(part).all()
    p = wald_p_value(effect)
    assert p[0] > 0.99
    assert p[1] > 0.3
    assert (effect.sd()[[0, 1]] > 3).all()
    assert effect.mean()[2] < -4
    assert abs(effect.mean()[5]) < 1.0


def test_more_nodes_change_little(simulate, rng):
    cohort = simulate(rng, 3, 500, share=0.3)
    few, many = (wald_p_value(effect_likelihood(fit(cohort, n_nodes=k).nodes, GROUP)) for k in (9, 41))
    np.testing.assert_allclose(np.log(few[many > 1e-2]), np.log(many[many > 1e-2]), atol=0.01)


@pytest.mark.parametrize(("n", "p"), [(4, 4), (4, 5)])
def test_no_residual_degrees_of_freedom_is_an_error_that_says_what_helps(n, p):
    with pytest.raises(ValueError, match="add replicates or drop features"):
        fit_genes(np.ones((n, 3)), np.ones((n, p)), offset=np.zeros(n), ridge=np.ones(p))


def test_an_even_number_of_nodes_is_refused(cohort):
    with pytest.raises(ValueError, match="odd and at least 3"):
        fit(cohort, n_nodes=10)


def test_nodes_that_overflowed_have_no_weight_and_a_gene_without_others_no_effect():
    log_likelihood = np.array([[0.0, np.nan], [-1.0, -np.inf]])
    coef, covariance = np.ones((2, 2, 2)), np.full((2, 3, 2), 0.5)
    coef[1, 0, 0] = np.inf
    converged = np.ones(2, dtype=bool)
    _discard_overflow(log_likelihood, coef, covariance, converged)
    assert not converged.any()
    np.testing.assert_array_equal(log_likelihood, [[0.0, 0.0], [-np.inf, 0.0]])
    np.testing.assert_array_equal(coef[:, :, 1], 0)
    np.testing.assert_array_equal(covariance[:, :, 1], [[100, 0, 100]] * 2)
    np.testing.assert_array_equal(coef[:, :, 0], [[1, 1], [0, 0]])


@pytest.mark.slow
@pytest.mark.parametrize("n_per_group", [3, 5, 10])
@pytest.mark.parametrize("log_mean", [(4.5, 2.0), (1.5, 2.0)], ids=["deep", "shallow"])
def test_null_p_values_are_uniform_and_the_false_discovery_rate_holds(simulate, n_per_group, log_mean):
    """10 data sets of 4,000 genes: the binomial error of the null share below 0.05 is 0.001, of the FDR about 0.006."""
    low, false, called = [], 0, 0
    for seed in range(10):
        cohort = simulate(np.random.default_rng(seed), n_per_group, 4000, log_mean=log_mean)
        p = wald_p_value(effect_likelihood(fit(cohort).nodes, GROUP))
        null = cohort.effect == 0
        low.append(np.mean(p[null] < 0.05))
        hit = benjamini_hochberg(p) < 0.05
        false, called = false + (hit & null).sum(), called + hit.sum()
    # few counts have few possible p-values, which errs on the safe side
    assert (0.044 if log_mean[0] > 3 else 0.035) < np.mean(low) < 0.056
    assert false / called < 0.065
