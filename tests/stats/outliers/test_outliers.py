from typing import NamedTuple

import numpy as np
import pytest

import bulkvi as bv
from bulkvi.stats.counts.size_factors import median_of_ratios
from bulkvi.stats.effects.effect import benjamini_hochberg, effect_likelihood, wald_p_value
from bulkvi.stats.genes import fit_genes
from bulkvi.stats.nb import regression
from bulkvi.stats.outliers import outliers
from bulkvi.stats.outliers.outliers import find_outliers

RIDGE = np.array([1e-6, 1e-2])
GROUP = np.array([0.0, 1.0])


class Spoiled(NamedTuple):
    counts: np.ndarray
    features: np.ndarray
    offset: np.ndarray
    effect: np.ndarray


def find(cohort, **kwargs):
    return find_outliers(cohort.counts, cohort.features, **({"offset": cohort.offset, "ridge": RIDGE} | kwargs))


def p_values(cohort, weights=None):
    fit = fit_genes(cohort.counts, cohort.features, offset=cohort.offset, ridge=RIDGE, weights=weights)
    return wald_p_value(effect_likelihood(fit.nodes, GROUP))


def spoil(cohort, rng, share, factor=10):
    """Multiply a share of each sample's counts, as many in every sample; which they are, zeros left out."""
    wild = rng.permuted(
        np.tile(np.arange(cohort.counts.shape[1]) < share * cohort.counts.shape[1], (len(cohort.counts), 1)), axis=1
    )
    return cohort._replace(counts=np.where(wild, factor * cohort.counts, cohort.counts)), wild & (cohort.counts > 0)


def with_wild_count(cohort, sample, gene, factor=30):
    counts = cohort.counts.copy()
    counts[sample, gene] = factor * counts[sample, gene] + factor
    return cohort._replace(counts=counts)


def quiet_gene(cohort):
    """A gene of no effect that is dense and not dispersed."""
    dense = (cohort.effect == 0) & (cohort.counts.mean(0) > 50) & (cohort.dispersion < 0.2)
    return int(np.flatnonzero(dense)[0])


@pytest.mark.parametrize("n_per_group", [3, 5, 20])
def test_clean_data_keep_all_their_counts(simulate, n_per_group):
    found = [find(simulate(np.random.default_rng(seed), n_per_group, 1500)) for seed in range(3)]
    assert np.mean([each.called.mean() for each in found]) < 5e-4
    assert max(each.share for each in found) < 5e-3
    assert not any(each.structured.any() for each in found)
    for each in found:
        np.testing.assert_array_equal(each.weight[~each.called], 1.0)
        assert (each.weight[each.called] < 0.2).all()


@pytest.mark.parametrize("n_per_group", [4, 5, 10])
def test_a_wild_count_is_called_and_decides_nothing(simulate, rng, n_per_group):
    cohort = simulate(rng, n_per_group, 800)
    gene = quiet_gene(cohort)
    before = find(cohort)
    for sample in (0, 2 * n_per_group - 1):
        spoiled = with_wild_count(cohort, sample, gene)
        found = find(spoiled)
        assert found.called[sample, gene]
        others = np.arange(cohort.counts.shape[1]) != gene
        np.testing.assert_array_equal(found.called[:, others], before.called[:, others])
        p, p_before = p_values(spoiled, found.weight), p_values(cohort, before.weight)
        assert p[gene] > 0.3 * min(p_before[gene], 0.3)
        np.testing.assert_allclose(np.log(p[others]), np.log(p_before[others]), atol=0.25, rtol=0.02)


def test_of_two_or_three_replicates_none_is_called(simulate, rng):
    for n_per_group in (2, 3):
        cohort = simulate(rng, n_per_group, 500)
        found = find(with_wild_count(cohort, 0, quiet_gene(cohort)))
        assert found.share == 0.0
        np.testing.assert_array_equal(found.weight, 1.0)
    # nor where only one group is a pair: the other group's samples are judged
    cohort = simulate(rng, 8, 500)
    keep = np.r_[0:8, 8:10]
    mixed = cohort._replace(counts=cohort.counts[keep], features=cohort.features[keep], offset=cohort.offset[keep])
    gene = quiet_gene(mixed)
    found = find(with_wild_count(with_wild_count(mixed, 8, gene), 0, gene + 0))
    assert found.called[0, gene]
    assert not found.called[8:].any()


def test_two_low_counts_beside_three_wild_ones_are_not_the_ones_dropped(simulate, rng):
    """Three of five counts times ten in one group: the two that agree with the other group stay."""
    cohort, _ = spoil(simulate(rng, 5, 2000, share=0.0), rng, 0.04)
    gene = quiet_gene(cohort)
    counts = cohort.counts.copy()
    counts[:, gene] = np.round(np.exp(cohort.offset) * 200 * (1 + 0.1 * rng.normal(size=10)))
    counts[[5, 7, 8], gene] *= 10
    found = find(cohort._replace(counts=counts))
    np.testing.assert_array_equal(np.flatnonzero(found.called[:, gene]), [5, 7, 8])


def test_a_gene_whose_every_replicate_scatters_is_dispersed_and_not_wild(simulate, rng):
    cohort = simulate(rng, 10, 1000)
    gene = quiet_gene(cohort)
    counts = cohort.counts.copy()
    counts[:, gene] = np.round(300 * np.exp(cohort.offset + rng.permutation(np.linspace(-2, 2, 20))))
    assert not find(cohort._replace(counts=counts)).called[:, gene].any()


def test_a_hidden_batch_is_structure_and_stays(simulate, rng):
    """Three of sixteen samples differ in a tenth of the genes: as outliers, they would all be dropped."""
    cohort = simulate(rng, 8, 1500)
    mixed = rng.permutation(16)
    cohort = cohort._replace(**{name: getattr(cohort, name)[mixed] for name in ("counts", "features", "offset")})
    touched = rng.random(cohort.counts.shape[1]) < 0.1
    counts = cohort.counts.copy()
    minority = np.array([1, 4, 10])
    counts[np.ix_(minority, np.flatnonzero(touched))] *= 12
    found = find(cohort._replace(counts=counts))
    np.testing.assert_array_equal(np.flatnonzero(found.structured), minority)
    assert not found.called[minority].any()
    assert found.called.mean() < 1e-3


def test_order_of_samples_and_genes_does_not_matter(simulate, rng):
    cohort, _ = spoil(simulate(rng, 5, 700), rng, 0.03)
    plain = find(cohort)
    samples, genes = rng.permutation(10), rng.permutation(cohort.counts.shape[1])
    other = find_outliers(
        cohort.counts[samples][:, genes], cohort.features[samples], offset=cohort.offset[samples], ridge=RIDGE
    )
    np.testing.assert_allclose(other.weight, plain.weight[samples][:, genes], atol=1e-3)
    assert other.share == pytest.approx(plain.share, rel=1e-3)


def test_blocks_of_genes_do_not_matter(simulate, rng, monkeypatch):
    cohort, _ = spoil(simulate(rng, 5, 700), rng, 0.03)
    whole = find(cohort)
    monkeypatch.setattr(regression, "BLOCK_ENTRIES", 10 * 90)
    monkeypatch.setattr(outliers, "CACHE_ENTRIES", 10 * 70)
    np.testing.assert_allclose(find(cohort).weight, whole.weight, atol=1e-9)


def test_offsets_of_every_count_say_what_offsets_of_samples_say(simulate, rng):
    cohort, _ = spoil(simulate(rng, 5, 300), rng, 0.03)
    each = find(cohort, offset=np.repeat(cohort.offset[:, None], cohort.counts.shape[1], 1))
    np.testing.assert_allclose(each.weight, find(cohort).weight, atol=1e-9)


def test_empty_and_constant_genes_and_a_single_gene_are_no_trouble(simulate, rng):
    cohort = simulate(rng, 5, 200)
    counts = cohort.counts.copy()
    counts[:, 0], counts[:, 1] = 0, 10
    found = find(cohort._replace(counts=counts))
    np.testing.assert_array_equal(found.weight[:, :2], 1.0)
    one = find(with_wild_count(cohort._replace(counts=cohort.counts[:, [quiet_gene(cohort)]]), 3, 0, 300))
    assert one.weight.shape == (10, 1)
    assert np.isfinite(one.weight).all()


@pytest.mark.parametrize("covariate", ["continuous", "batches"])
def test_wild_counts_are_found_beside_strong_covariates(simulate, rng, covariate):
    cohort = simulate(rng, 8, 1000)
    genes = cohort.counts.shape[1]
    if covariate == "continuous":
        more = np.linspace(-1, 1, 16)[rng.permutation(16), None]
    else:
        more = (np.arange(16)[:, None] % 4 == np.arange(1, 3)).astype(float)
    rate = np.exp(more @ rng.normal(0, 1, (more.shape[1], genes)))
    clean = cohort._replace(counts=rng.poisson(cohort.counts * rate), features=np.column_stack([cohort.features, more]))
    ridge = np.r_[RIDGE, np.full(more.shape[1], 1e-2)]
    assert find(clean, ridge=ridge).called.mean() < 2e-4
    spoiled, wild = spoil(clean, rng, 0.02, 30)
    called = find(spoiled, ridge=ridge).called
    dense = clean.counts.mean(0) > 50
    assert called[:, dense][wild[:, dense]].mean() > 0.8
    assert called[~wild].mean() < 2e-3


def test_shapes_that_do_not_fit_are_an_error(cohort):
    with pytest.raises(ValueError, match="samples x features, with the same samples"):
        find(cohort._replace(features=cohort.features[:-1]))
    with pytest.raises(ValueError, match="must be finite and not negative"):
        find(cohort._replace(counts=cohort.counts - 5))


@pytest.mark.slow
@pytest.mark.parametrize("trend", ["yeast", "gse60450"])
@pytest.mark.parametrize(
    ("n_per_group", "share", "false_rate", "power"),
    # of three replicates none is judged: their outlying counts cost power
    [(3, 0.02, 0.08, 0.6), (5, 0.0, 0.06, 0.99), (5, 0.02, 0.06, 0.95), (5, 0.05, 0.07, 0.95), (10, 0.05, 0.07, 0.95)],
)
def test_the_false_discovery_rate_holds_with_wild_counts_and_power_is_that_of_who_knows_them(
    trend, n_per_group, share, false_rate, power
):
    """8 data sets of 4,000 genes, about 1,800 calls: the binomial error of the false discovery rate is about 0.006.

    With twice the share of weak and dispersed genes, as in `simulate` of the fixtures, 5 % of outlying counts leave a rate of
    0.085 (0.042 for who knows them): two counts times ten among five of a dispersed gene cannot be told from dispersion.
    """
    false = called = best = 0
    for seed in range(8):
        data = bv.datasets.simulate(
            n_per_group=n_per_group, n_genes=4000, trend=trend, outlier_share=share, seed=seed + 200
        )
        kept = data.X.sum(0) >= 10
        counts = data.X[:, kept].astype(float)
        wild = data.layers["true_outlier"][:, kept] if share else np.zeros(counts.shape, dtype=bool)
        group = (data.obs["group"] == "B").to_numpy(dtype=float)
        effect = data.var["true_log_fc"].to_numpy()[kept]
        offset = np.log(median_of_ratios(counts).size_factors)
        cohort = Spoiled(counts, np.column_stack([np.ones(group.size), group]), offset, effect)
        hit = benjamini_hochberg(p_values(cohort, find(cohort).weight)) < 0.05
        known = benjamini_hochberg(p_values(cohort, 1.0 - wild)) < 0.05
        false, called = false + (hit & (effect == 0)).sum(), called + hit.sum()
        best += (known & (effect != 0)).sum()
    assert false / called < false_rate
    assert called - false > power * best
