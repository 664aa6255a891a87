from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import nbinom, norm

import bulkvi
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.effects.effect import effect_likelihood, log_p_value
from bulkvi.stats.effects.readings import ReadEffects
from bulkvi.stats.effects.summary import EffectSummary, summarise_effect
from bulkvi.stats.genes import FittedGenes, effect_ridge, fit_genes, fit_under_prior
from bulkvi.stats.outliers.outliers import Outliers, find_outliers
from bulkvi.stats.outliers.readings import Readings, read_genes, weigh_readings
from bulkvi.stats.outliers.suspected import Suspected

BIMODAL = np.array([3.0, 112, 78, 33, 47, 0, 93, 0, 2, 4])


class Weighed:
    """A cohort whose outliers are found and weighed, and the effect of its group."""

    def __init__(self, counts: np.ndarray, features: np.ndarray, offset: np.ndarray) -> None:
        given: dict[str, Any] = {"offset": offset, "ridge": effect_ridge(features)}
        found = find_outliers(counts, features, **given)
        self.fit: FittedGenes = fit_genes(counts, features, weights=found.kept, **given)
        self.outliers: Outliers
        self.readings: Readings | None
        self.outliers, self.readings = weigh_readings(counts, features, self.fit, found, judged=found.judged, **given)

    def summary(self, contrast: np.ndarray) -> EffectSummary:
        readings = None
        if self.readings is not None:
            effect = effect_likelihood(self.readings.fit.nodes, contrast)
            readings = ReadEffects(self.readings.gene, self.readings.probability, effect, log_p_value(effect))
        return summarise_effect(effect_likelihood(self.fit.nodes, contrast), readings=readings)


def test_evidence_is_that_of_the_model_by_quadrature(simulate, rng):
    cohort = simulate(rng, 5, 600, log_mean=(5.0, 1.0))
    features, offset, ridge = cohort.features, cohort.offset, effect_ridge(cohort.features)
    counts = cohort.counts.copy()
    counts[:, 0] = [210, 160, 1400, 180, 240, 150, 120, 170, 200, 190]
    fit = fit_genes(counts, features, offset=offset, ridge=ridge)
    dropped = (np.arange(10) == 2)[:, None]
    suspected = Suspected(np.array([0]), dropped)
    readings, share = read_genes(counts, features, fit, suspected, offset=offset, ridge=ridge, n_tested=counts.size)
    np.testing.assert_array_equal(readings.gene, [0, 0])
    np.testing.assert_array_equal(readings.dropped, np.column_stack([np.zeros(10, bool), dropped]))

    level, slope, log_a = np.linspace(-3, 3, 61), np.linspace(-3, 3, 61), np.linspace(-6, 2, 41)
    middle = readings.fit.nodes.coef[4]
    exact = np.empty(2)
    for k in range(2):
        b0, b1, z = np.meshgrid(middle[0, k] + level, middle[1, k] + slope, log_a, indexing="ij")
        trend = readings.fit.prior.log_trend[k]
        log_density = norm.logpdf(z, trend, np.sqrt(fit.prior.variance))
        log_density -= 0.5 * sum(ridge[i, j] * (b0, b1)[i] * (b0, b1)[j] for i in (0, 1) for j in (0, 1))
        for i in range(10):
            mean, size = np.exp(offset[i] + b0 + features[i, 1] * b1), np.exp(-z)
            if k == 0 or i != 2:
                log_density += nbinom.logpmf(counts[i, 0], size, size / (size + mean))
        step = np.log((level[1] - level[0]) * (slope[1] - slope[0]) * (log_a[1] - log_a[0]))
        exact[k] = logsumexp(log_density) + step
    centre = np.log(np.exp(offset[2] + features[2] @ middle[:, 1]) + 0.5)
    t = abs(np.log(1400.5) - centre) / 1.5
    outlying = -t - 2 * np.log1p(np.exp(-t)) - np.log(1.5 * 1400.5)
    difference = exact[1] - exact[0] + outlying + np.log(share) - np.log1p(-share)
    # Laplace's approximation to the two coefficients
    assert readings.log_evidence[1] - readings.log_evidence[0] == pytest.approx(difference, abs=0.15)


def test_a_bayes_factor_without_outliers_is_seldom_large(simulate):
    """Of counts without outliers at most 1 / x have a Bayes factor above x: 1.5 times that is above the binomial error."""
    above, n = np.zeros(3), 0
    bounds = np.array([3.0, 10.0, 30.0])
    for seed in range(2):
        cohort = simulate(np.random.default_rng(seed), 5, 1500)
        ridge = effect_ridge(cohort.features)
        fit = fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=ridge)
        genes = np.arange(cohort.counts.shape[1])
        dropped = np.zeros((10, genes.size), dtype=bool)
        dropped[np.arange(genes.size) % 10, genes] = True
        given = {"offset": cohort.offset, "ridge": ridge}
        readings, share = read_genes(
            cohort.counts, cohort.features, fit, Suspected(genes, dropped), n_tested=cohort.counts.size, **given
        )
        odds = readings.probability[1::2] / readings.probability[::2]
        factor = odds / (share / (1 - share))
        above += (factor[:, None] > bounds).sum(0)
        n += genes.size
    assert (above / n < 1.5 / bounds).all()


@pytest.mark.parametrize("n_per_group", [5, 10])
def test_clean_counts_are_not_called_and_the_share_is_nearly_zero(simulate, n_per_group):
    for seed in range(3):
        cohort = simulate(np.random.default_rng(seed), n_per_group, 1500)
        weighed = Weighed(cohort.counts, cohort.features, cohort.offset)
        assert weighed.outliers.called.sum() <= 2
        assert weighed.outliers.share <= 5 / cohort.counts.size


def test_the_share_of_outlying_counts_is_found(simulate, rng):
    cohort = simulate(rng, 5, 2000, log_mean=(6.0, 1.0))
    hit = rng.random(cohort.counts.shape) < 0.02
    counts = np.where(hit, cohort.counts * 30, cohort.counts)
    weighed = Weighed(counts, cohort.features, cohort.offset)
    assert weighed.outliers.share == pytest.approx(hit.mean(), rel=0.2)
    assert (weighed.outliers.called & hit).sum() > 0.95 * hit.sum()
    assert (weighed.outliers.called & ~hit).sum() < 0.06 * hit.sum()


def test_a_bimodal_gene_keeps_its_counts_and_is_not_called(simulate, rng):
    cohort = simulate(rng, 5, 1500)
    counts = cohort.counts.copy()
    counts[:, 0] = np.round(BIMODAL * np.exp(cohort.offset))
    weighed = Weighed(counts, cohort.features, cohort.offset)
    summary = weighed.summary(np.array([0.0, 1.0]))
    assert summary.adj_p_value[0] > 0.05
    assert summary.s_value[0] > 0.05
    assert not weighed.outliers.called[:, 0].any()


def test_a_count_times_100_is_flagged_and_makes_no_effect_and_an_effect_beside_it_is_found(simulate, rng):
    cohort = simulate(rng, 5, 2000, scatter=0.2)
    dense = cohort.counts.mean(0) > 50
    none = np.flatnonzero(dense & (cohort.effect == 0))[:20]
    strong = np.flatnonzero(dense & (np.abs(cohort.effect) > 1.2))[:15]
    counts = cohort.counts.copy()
    changed = np.concatenate([none, strong])
    sample = changed % 10
    counts[sample, changed] = 100 * counts[sample, changed] + 100
    contrast = np.array([0.0, 1.0])
    before = Weighed(cohort.counts, cohort.features, cohort.offset).summary(contrast)
    weighed = Weighed(counts, cohort.features, cohort.offset)
    after = weighed.summary(contrast)
    assert weighed.outliers.called[sample, changed].all()
    assert (after.adj_p_value[none] > 0.05).all()
    found = before.adj_p_value[strong] < 0.01
    assert found.sum() >= 10
    assert (after.adj_p_value[strong[found]] < 0.05).mean() > 0.8


def test_the_order_of_samples_and_genes_does_not_matter(simulate, rng):
    cohort = simulate(rng, 5, 400)
    hit = rng.random(cohort.counts.shape) < 0.02
    counts = np.where(hit, cohort.counts * 20 + 20, cohort.counts)
    weighed = Weighed(counts, cohort.features, cohort.offset)
    rows, columns = rng.permutation(10), rng.permutation(counts.shape[1])
    other = Weighed(counts[rows][:, columns], cohort.features[rows], cohort.offset[rows])
    np.testing.assert_array_equal(other.outliers.called, weighed.outliers.called[rows][:, columns])
    first, second = weighed.summary(np.array([0.0, 1.0])), other.summary(np.array([0.0, 1.0]))
    np.testing.assert_allclose(second.p_value, first.p_value[columns], rtol=1e-4)


def test_a_gene_given_the_prior_is_as_the_same_gene_among_all(simulate, rng):
    cohort = simulate(rng, 5, 500)
    given: dict[str, Any] = {"offset": cohort.offset, "ridge": effect_ridge(cohort.features)}
    fit = fit_genes(cohort.counts, cohort.features, **given)
    some = np.arange(3, 500, 7)[: (cohort.counts.shape[1] - 3) // 7]
    again = fit_under_prior(
        cohort.counts[:, some], cohort.features, fit, weights=np.ones((10, some.size)), genes=some, **given
    )
    np.testing.assert_allclose(again.prior.mean, fit.prior.mean[some], atol=1e-3)
    np.testing.assert_allclose(again.nodes.coef, fit.nodes.coef[..., some], atol=5e-3)
    np.testing.assert_allclose(again.nodes.log_evidence, fit.nodes.log_evidence[some], atol=5e-3)


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_which_side_outlying_counts_are_on_is_learned(simulate, rng, factor):
    """Three high counts and two low ones: either may be outlying, and the other genes say which."""
    cohort = simulate(rng, 5, 1500, log_mean=(6.0, 1.0), scatter=0.3)
    hit = rng.random(cohort.counts.shape) < 0.04
    counts = np.where(hit, np.round(cohort.counts * factor), cohort.counts)
    counts[:, 0] = np.round(np.exp(cohort.offset) * [182, 231, 220, 220, 219, 662, 4945, 5236, 565, 5183])
    weighed = Weighed(counts, cohort.features, cohort.offset)
    high = np.isin(np.arange(10), [6, 7, 9])
    low = np.isin(np.arange(10), [5, 8])
    np.testing.assert_array_equal(weighed.outliers.called[:, 0], high if factor > 1 else low)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "n_per_group"), [(0.0, 5), (0.05, 5), (0.05, 10)])
def test_the_false_discovery_rate_holds_with_outlying_counts(share, n_per_group):
    """6 data sets of 4,000 genes, about 1,200 calls: the binomial error of the rate is about 0.006; flagged calls are not worse."""
    false, called, flagged, false_flagged = 0, 0, 0, 0
    for seed in range(6):
        data = bulkvi.datasets.simulate(n_per_group=n_per_group, n_genes=4000, outlier_share=share, seed=seed + 400)
        kept = data.X.sum(0) >= 10
        counts = data.X[:, kept].astype(float)
        group = (data.obs["group"] == "B").to_numpy(dtype=float)
        none = data.var["true_log_fc"].to_numpy()[kept] == 0
        offset = np.log(median_of_ratios(counts).size_factors)
        weighed = Weighed(counts, np.column_stack([np.ones(group.size), group]), offset)
        hit = weighed.summary(np.array([0.0, 1.0])).adj_p_value < 0.05
        flag = weighed.outliers.called.any(0)
        false, called = false + (hit & none).sum(), called + hit.sum()
        flagged, false_flagged = flagged + (hit & flag).sum(), false_flagged + (hit & flag & none).sum()
    assert false / called < 0.06
    assert false_flagged <= 0.1 * max(flagged, 10)
