from functools import partial
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import approx_fprime, minimize
from scipy.stats import nbinom

from bulkvi.stats.nb.regression import nb_regression


def penalised(theta, y, x, offset, dispersion, ridge, weight=1.0):
    """Minus the penalised log likelihood of one gene, by the book."""
    mean = np.exp(offset + x @ theta)
    log_pmf = nbinom.logpmf(y, 1 / dispersion, 1 / (1 + dispersion * mean))
    return -(weight * log_pmf).sum() + 0.5 * theta @ ridge @ theta


def log_likelihood_terms(y, mean, dispersion):
    """Log likelihood by its definition for whole counts: sums of logs, exact for any dispersion."""
    total = 0.0
    for count, m in zip(y, mean, strict=True):
        total += np.log1p(dispersion * np.arange(count)).sum()
        total += count * np.log(m) - (count + 1 / dispersion) * np.log1p(dispersion * m)
    return total


def fit(cohort, *, dispersion=None, ridge=None, **kwargs):
    p = cohort.features.shape[1]
    return nb_regression(
        cohort.counts,
        cohort.features,
        offset=kwargs.pop("offset", cohort.offset),
        dispersion=cohort.dispersion if dispersion is None else dispersion,
        ridge=np.full(p, 1e-2) if ridge is None else ridge,
        **kwargs,
    )


def test_coefficients_and_standard_errors_are_those_of_statsmodels(cohort):
    result = fit(cohort, ridge=np.zeros(2), tol=1e-8)
    for g in range(0, cohort.counts.shape[1], 10):
        y = cohort.counts[:, g]
        if min(y[:4].sum(), y[4:].sum()) == 0:
            continue
        family = sm.families.NegativeBinomial(alpha=cohort.dispersion[g])
        model = sm.GLM(y, cohort.features, family=family, offset=cohort.offset)
        oracle = model.fit(tol=1e-12, maxiter=200)
        np.testing.assert_allclose(result.coef[:, g], oracle.params, rtol=1e-6, atol=1e-7)
        hessian = -model.hessian(oracle.params, scale=1.0, observed=True)
        np.testing.assert_allclose(result.covariance[:, :, g], np.linalg.inv(hessian), rtol=1e-5)


@pytest.mark.parametrize("p", [1, 2, 3, 5, 7, 10])
def test_mode_is_where_an_optimiser_finds_it_for_any_number_of_columns(rng, p):
    n, n_genes = 12, 70  # more genes than a tile, and not a multiple of it
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p - 1))])
    counts = rng.negative_binomial(3, 0.05, size=(n, n_genes)).astype(float)
    root = rng.normal(size=(p, p))
    ridge = 0.1 * root @ root.T + 0.05 * np.eye(p)
    offset = rng.normal(0, 0.4, counts.shape)
    weights = rng.uniform(0.2, 1.0, counts.shape)
    dispersion = np.exp(rng.normal(-1, 1, n_genes))
    result = nb_regression(counts, x, offset=offset, dispersion=dispersion, ridge=ridge, weights=weights, tol=1e-8)
    assert result.converged.all()
    for g in (0, 63, 69):
        loss = partial(
            penalised,
            y=counts[:, g],
            x=x,
            offset=offset[:, g],
            dispersion=dispersion[g],
            ridge=ridge,
            weight=weights[:, g],
        )
        found = minimize(loss, np.zeros(p), method="BFGS", options={"gtol": 1e-7}).x
        np.testing.assert_allclose(result.coef[:, g], found, atol=3e-5)
        hessian = np.array(
            [
                (approx_fprime(found + h, loss, 1e-6) - approx_fprime(found - h, loss, 1e-6)) / 2e-3
                for h in 1e-3 * np.eye(p)
            ]
        )
        np.testing.assert_allclose(np.linalg.inv(result.covariance[:, :, g]), hessian, rtol=1e-2, atol=2e-2)


@pytest.mark.parametrize("weighted", [False, True])
def test_likelihood_of_the_dispersion_follows_its_definition_from_poisson_to_wild(rng, weighted):
    y = np.array([0, 1, 3, 7, 8, 9, 40, 3000], dtype=float)
    x, offset, ridge = np.ones((8, 1)), np.zeros(8), np.array([0.3])
    weights = np.full((8, 1), 0.7) if weighted else None
    mine, exact = [], []
    for dispersion in [1e-8, 1e-5, 1e-3, 0.03, 0.12, 0.126, 1.0, 7.0, 50.0]:
        result = nb_regression(
            y[:, None], x, offset=offset, dispersion=np.array([dispersion]), ridge=ridge, weights=weights, tol=1e-9
        )
        mine.append(result.log_likelihood[0])
        theta = result.coef[0, 0]
        terms = log_likelihood_terms(y.astype(int), np.full(8, np.exp(theta)), dispersion) * (0.7 if weighted else 1.0)
        exact.append(terms - 0.15 * theta**2 + 0.5 * np.log(result.covariance[0, 0, 0]))
    np.testing.assert_allclose(np.diff(mine), np.diff(exact), rtol=1e-9, atol=1e-8)


def test_huge_counts_keep_their_precision(rng):
    y = rng.negative_binomial(20, 20 / (20 + 1e7), size=(8, 1)).astype(float)
    x = np.column_stack([np.ones(8), np.repeat([0.0, 1.0], 4)])
    values = []
    for dispersion in (0.05, 0.0500001):
        result = nb_regression(y, x, offset=np.zeros(8), dispersion=np.array([dispersion]), ridge=np.zeros(2), tol=1e-9)
        mean = np.exp(x @ result.coef[:, 0])
        log_pmf = nbinom.logpmf(y[:, 0].astype(int), 1 / dispersion, 1 / (1 + dispersion * mean)).sum()
        values.append(result.log_likelihood[0] - log_pmf - 0.5 * np.linalg.slogdet(result.covariance[:, :, 0])[1])
        np.testing.assert_allclose(np.exp(result.coef[0, 0]), y[:4].mean(), rtol=1e-9)
    assert abs(values[1] - values[0]) < 2e-6  # of log likelihoods of the order 1e9


@pytest.mark.parametrize("dispersion", [1e-8, 0.1, 50.0])
def test_a_group_without_counts_gets_a_finite_effect_and_an_honest_error(dispersion):
    x = np.column_stack([np.ones(6), np.repeat([0.0, 1.0], 3)])
    counts = np.array([[200.0, 1, 0], [210, 0, 0], [190, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    result = nb_regression(
        counts, x, offset=np.zeros(6), dispersion=np.full(3, dispersion), ridge=np.array([1e-6, 1e-2])
    )
    assert result.converged.all()
    effect, se = result.coef[1], np.sqrt(result.covariance[1, 1])
    assert -12 < effect[0] < -4
    assert 1 < se[0] < 10  # the ridge's own sd is 10
    assert abs(effect[1]) / se[1] < 1
    assert abs(effect[2]) < 1e-2
    assert 5 < se[2] <= 10.0001


def test_every_gene_stops_by_itself_and_one_that_does_not_get_there_is_marked():
    x = np.column_stack([np.ones(6), [0.0, 1, 2, 3, 4, 5]])
    counts = np.column_stack([np.full(6, 10.0), [9000, 0, 1, 3, 0, 80000]])
    kwargs: dict[str, Any] = {
        "offset": np.zeros(6),
        "dispersion": np.array([0.1, 1e-3]),
        "ridge": np.array([1e-6, 1e-2]),
    }
    assert nb_regression(counts, x, max_iter=3, **kwargs).converged.tolist() == [True, False]
    assert nb_regression(counts, x, **kwargs).converged.all()


def test_start_far_from_the_mode_does_not_matter(rng):
    """Exposures that differ a million-fold between samples of one group put the start far off."""
    x = np.column_stack([np.ones(6), rng.normal(size=6), rng.normal(size=6)])
    offset = np.array([-7.0, 7, 0, 3, -3, 5])
    counts = rng.poisson(np.exp(offset + 2)).astype(float)[:, None] * np.array([1.0, 30.0])
    result = nb_regression(counts, x, offset=offset, dispersion=np.array([1e-6, 20.0]), ridge=np.full(3, 1e-3))
    assert result.converged.all()
    for g, dispersion in enumerate([1e-6, 20.0]):
        loss = partial(penalised, y=counts[:, g], x=x, offset=offset, dispersion=dispersion, ridge=1e-3 * np.eye(3))
        best = minimize(loss, result.coef[:, g], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-9}).fun
        assert loss(result.coef[:, g]) <= best + 1e-6


def test_weight_two_is_the_sample_twice_and_weight_zero_is_no_sample(cohort):
    counts, x, offset = cohort.counts, cohort.features, cohort.offset
    weights = np.ones_like(counts)
    weights[0], weights[7] = 2.0, 0.0
    weighted = fit(cohort, weights=weights, tol=1e-8)
    rows = [0, *range(7)]
    repeated = nb_regression(
        counts[rows], x[rows], offset=offset[rows], dispersion=cohort.dispersion, ridge=np.full(2, 1e-2), tol=1e-8
    )
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-9)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, rtol=1e-7)
    np.testing.assert_allclose(weighted.log_likelihood, repeated.log_likelihood, rtol=1e-9, atol=1e-6)


def test_order_of_samples_and_genes_changes_nothing(cohort, rng):
    plain = fit(cohort)
    samples, genes = rng.permutation(cohort.counts.shape[0]), rng.permutation(cohort.counts.shape[1])
    shuffled = nb_regression(
        cohort.counts[samples][:, genes],
        cohort.features[samples],
        offset=cohort.offset[samples],
        dispersion=cohort.dispersion[genes],
        ridge=np.full(2, 1e-2),
    )
    np.testing.assert_allclose(shuffled.coef, plain.coef[:, genes], atol=1e-9)
    np.testing.assert_allclose(shuffled.log_likelihood, plain.log_likelihood[genes], rtol=1e-10)


def test_a_gene_alone_and_among_others_is_the_same_to_the_last_bit(cohort):
    together = fit(cohort)
    alone = nb_regression(
        cohort.counts[:, 17:18],
        cohort.features,
        offset=cohort.offset,
        dispersion=cohort.dispersion[17:18],
        ridge=np.full(2, 1e-2),
    )
    np.testing.assert_array_equal(alone.coef[:, 0], together.coef[:, 17])
    np.testing.assert_array_equal(alone.log_likelihood[0], together.log_likelihood[17])


def test_one_offset_a_sample_is_the_same_offset_for_every_gene(cohort):
    matrix = np.repeat(cohort.offset[:, None], cohort.counts.shape[1], axis=1)
    np.testing.assert_allclose(fit(cohort, offset=matrix).coef, fit(cohort).coef, atol=1e-12)


def test_integer_counts_give_what_floats_give(cohort):
    floats = fit(cohort)
    integers = fit(cohort._replace(counts=cohort.counts.astype(np.int32)))
    np.testing.assert_array_equal(integers.coef, floats.coef)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.ones((3, 2))}, "same samples"),
        ({"counts": np.ones((4, 0))}, "at least one"),
        ({"counts": -np.ones((4, 2))}, "`counts` must be finite and not negative"),
        ({"counts": np.full((4, 2), np.nan)}, "`counts` must be finite"),
        ({"offset": np.zeros(3)}, "one value per sample"),
        ({"offset": np.full(4, np.inf)}, "`offset` holds NaN or infinite"),
        ({"ridge": np.zeros(3)}, "one precision per feature"),
        ({"weights": np.ones((4, 1))}, "`weights` has shape"),
        ({"dispersion": np.array([0.1, 0.0])}, "one positive number per gene"),
    ],
)
def test_bad_input_says_what_is_wrong(change, message):
    given = {
        "counts": np.ones((4, 2)),
        "features": np.ones((4, 1)),
        "offset": np.zeros(4),
        "dispersion": np.ones(2),
        "ridge": np.zeros(1),
    } | change
    with pytest.raises(ValueError, match=message):
        nb_regression(given.pop("counts"), given.pop("features"), **given)
