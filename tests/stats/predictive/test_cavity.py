import numpy as np
import pytest

from bulkvi.stats.predictive.cavity import fit_cavities
from bulkvi.stats.predictive.layer import GeneLayer, _posterior

GENES = 300


def cohort(rng: np.random.Generator, n: int, genes: int = GENES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of samples with one direction, the state and the size factors' logs."""
    state = rng.normal(size=(n, 1))
    state /= np.sqrt((state**2).mean(0))
    offset = rng.normal(0, 0.3, n)
    mean = np.exp(rng.normal(5, 1, genes) + state * rng.normal(0, 0.3, genes) + offset[:, None])
    r = 1 / np.exp(rng.normal(-2.5, 0.4, genes))
    return rng.poisson(rng.gamma(r, mean / r)).astype(float), state, offset


def exact(counts: np.ndarray, state: np.ndarray, offset: np.ndarray, sample: int, ridge: np.ndarray) -> GeneLayer:
    """A fit that has never had the sample, under the same prior of the coefficients."""
    others = np.arange(len(counts)) != sample
    level = np.log((counts.sum(0) + 0.5) / np.exp(offset).sum()).mean()
    features = np.hstack([np.ones((len(counts), 1)), state])
    return _posterior(counts[others], features[others], offset[others] + level, ridge, np.array([0.3]))


@pytest.mark.parametrize("n", [8, 25])
def test_a_cavity_is_the_fit_without_the_sample(rng: np.random.Generator, n: int) -> None:
    counts, state, offset = cohort(rng, n)
    cavities = fit_cavities(counts, np.ones((n, 1)), state, np.array([0.3]), offset=offset)
    for sample in (0, n - 1):
        found, wanted = cavities.layer(sample), exact(counts, state, offset, sample, cavities.ridge)
        x = cavities.features[[sample]]
        mean, variance = found.log_rate(x)
        expected, expected_variance = wanted.log_rate(x)
        distance = np.abs(mean - expected) / np.sqrt(expected_variance)
        assert np.median(distance) < 0.03
        assert distance.max() < 0.5
        assert np.median(variance / expected_variance) == pytest.approx(1, abs=0.1)
        # the prior of the dispersions is learned from all samples
        assert np.abs(found.log_dispersion - wanted.log_dispersion).mean() < 0.05
        assert np.median(found.log_dispersion_sd / wanted.log_dispersion_sd) == pytest.approx(1, abs=0.05)


def test_an_outlier_is_no_part_of_its_own_cavity(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 20)
    outlying = counts.copy()
    outlying[3, :5] *= 200
    clean, spoilt = (
        fit_cavities(each, np.ones((20, 1)), state, np.array([0.3]), offset=offset) for each in (counts, outlying)
    )
    x = clean.features[[3]]
    expected, found = (one.layer(3).log_rate(x)[0][0, :5] + one.offset[3] for one in (clean, spoilt))
    np.testing.assert_allclose(found, expected, atol=0.15)
    others = spoilt.layer(4).log_dispersion[:5] - clean.layer(4).log_dispersion[:5]
    own = spoilt.layer(3).log_dispersion[:5] - clean.layer(3).log_dispersion[:5]
    assert (others > 1).all()
    assert (np.abs(own) < 0.5 * others).all()


def test_counts_without_weight_are_as_if_they_had_never_been(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 15)
    weights = np.ones(counts.shape)
    weights[2, :4] = 0
    first, second = (
        fit_cavities(
            np.where(weights > 0, counts, fill),
            np.ones((15, 1)),
            state,
            np.array([0.3]),
            offset=offset,
            weights=weights,
        )
        for fill in (0.0, counts)
    )
    for one, other in zip(first.layer(2)[:2], second.layer(2)[:2], strict=True):
        np.testing.assert_allclose(one[:, :4], other[:, :4], atol=0.02)


def test_order_of_genes_and_samples_changes_nothing(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 12, 100)
    genes, samples = rng.permutation(100), rng.permutation(12)
    one = fit_cavities(counts, np.ones((12, 1)), state, np.array([0.3]), offset=offset).layer(int(samples[5]))
    other = fit_cavities(
        counts[samples][:, genes], np.ones((12, 1)), state[samples], np.array([0.3]), offset=offset[samples]
    ).layer(5)
    for first, second in zip(one[:4], other[:4], strict=True):
        np.testing.assert_allclose(first[..., genes], second, atol=1e-4)


def test_a_gene_that_only_one_sample_has_is_finite_without_it(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 10)
    counts[:, 0] = 0
    counts[4, 0] = 50
    layer = fit_cavities(counts, np.ones((10, 1)), state, np.array([0.3]), offset=offset).layer(4)
    assert all(np.isfinite(part).all() for part in layer[:5])
    assert layer.mean[0, 0] < layer.mean[0].mean() - 2
    assert layer.log_dispersion[0] < 1


def test_offsets_of_each_gene_are_used(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 12, 80)
    both = [
        fit_cavities(counts, np.ones((12, 1)), state, np.array([0.3]), offset=each).layer(1)
        for each in (offset, np.tile(offset[:, None], (1, 80)))
    ]
    for first, second in zip(both[0][:5], both[1][:5], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-8)


def test_genes_that_one_sample_moves_far_are_fitted_again(rng: np.random.Generator) -> None:
    counts, state, offset = cohort(rng, 8)
    far = np.arange(20)
    counts[2, far] *= 30
    cavities = fit_cavities(counts, np.ones((8, 1)), state, np.array([0.3]), offset=offset)
    x, wanted = cavities.features[[2]], exact(counts, state, offset, 2, cavities.ridge)
    expected, variance = (part[0, far] for part in wanted.log_rate(x))
    fitted, stepped = (
        np.abs(cavities.layer(2, exact=again).log_rate(x)[0][0, far] - expected) / np.sqrt(variance)
        for again in (True, False)
    )
    assert fitted.mean() < 0.1
    assert stepped.mean() > 3 * fitted.mean()
