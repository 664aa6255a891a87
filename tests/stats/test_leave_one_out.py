import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from bulkvi.stats.samples.leave_one_out import label_fit, moderated_variance, shrunken, stabilise


def two_labels(n: int) -> np.ndarray:
    return np.array([[[1.0, 0.0]] * n, [[1.0, 1.0]] * n])


def test_the_variance_is_about_one_at_every_mean(rng: np.random.Generator) -> None:
    for mean in (5.0, 50.0, 5000.0):
        for dispersion in (0.01, 0.2):
            size = 1 / dispersion
            counts = rng.negative_binomial(size, size / (size + mean), size=(40_000, 1))
            assert stabilise(counts, np.ones(40_000), np.array([dispersion])).var() == pytest.approx(1, abs=0.15)


def test_a_sample_is_predicted_as_if_it_had_never_been_there(rng: np.random.Generator) -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    values = rng.normal(size=(7, 80)) + np.outer(labels, rng.normal(size=80))
    rows = two_labels(7)
    before = label_fit(values, rows, labels)
    far = values.copy()
    far[2] += 100
    after = label_fit(far, rows, labels)
    own = values[labels == 0][:2]
    variance, df = moderated_variance(
        ((own - own.mean(0)) ** 2).sum(0) / 4 + ((values[3:] - values[3:].mean(0)) ** 2).sum(0) / 4, 4
    )
    scale = np.sqrt(variance * 1.5)
    z = (values[2] - own.mean(0)) / scale
    assert before.log_density[2, 0] == pytest.approx(np.mean(student.logpdf(z, df) - np.log(scale)))
    assert after.log_density[2, 0] < before.log_density[2, 0]
    assert before.log_posterior[2, 0] > before.log_posterior[2, 1]


def test_noise_that_genes_share_makes_the_posterior_modest(rng: np.random.Generator) -> None:
    """Summed over genes as if they were independent, any shared noise would make a posterior of 0 or 1."""
    labels = np.repeat([0, 1], 6)
    sure = []
    for _ in range(25):
        effect = rng.normal(size=400) * 0.3
        shared = np.outer(rng.normal(size=12), effect) * 1.5 + np.outer(rng.normal(size=12), rng.normal(size=400))
        values = np.outer(labels, effect) + shared + rng.normal(size=(12, 400))
        fit = label_fit(values, two_labels(12), labels)
        sure.append(np.exp(fit.log_posterior[np.arange(12), labels]))
    prob = np.concatenate(sure)
    # labels are right, but lie 0.7 standard deviations of the shared noise apart
    assert 0.5 < prob.mean() < 0.75
    assert (prob < 0.02).mean() < 0.05


def test_posteriors_are_honest_where_labels_mean_nothing(rng: np.random.Generator) -> None:
    labels = np.repeat([0, 1], 5)
    prob = np.concatenate(
        [
            np.exp(
                label_fit(
                    rng.normal(size=(10, 200)) + np.outer(rng.normal(size=10), rng.normal(size=200)),
                    two_labels(10),
                    labels,
                ).log_posterior[np.arange(10), labels]
            )
            for _ in range(40)
        ]
    )
    # a posterior below 0.05 should be wrong in 1 of 20; the few genes' weights are learned from few samples
    assert (prob < 0.05).mean() <= 0.1
    assert (prob < 0.001).mean() <= 0.01


def test_the_only_sample_of_its_label_cannot_be_judged(rng: np.random.Generator) -> None:
    fit = label_fit(rng.normal(size=(6, 50)), two_labels(6), np.array([0, 0, 0, 0, 0, 1]))
    assert np.isnan(fit.log_posterior[5]).all()
    assert np.isfinite(fit.log_posterior[:5]).all()


def test_no_sample_to_spare_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="3 samples and a design of rank 2: leaving a sample out"):
        label_fit(rng.normal(size=(3, 50)), two_labels(3), np.array([0, 0, 1]))


def test_moderated_variances_recover_the_prior(rng: np.random.Generator) -> None:
    truth = 2 * 8 / rng.chisquare(8, size=20_000)
    moderated, df = moderated_variance(truth * rng.chisquare(4, size=20_000) / 4, 4)
    assert df == pytest.approx(12, rel=0.1)
    assert np.mean((np.log(moderated) - np.log(truth)) ** 2) < 0.6 * np.log(2)


def test_shrunken_is_the_posterior_mean(rng: np.random.Generator) -> None:
    truth = rng.normal(size=20_000) * 2 * (rng.random(20_000) < 0.3)
    z = truth + rng.normal(size=20_000)
    part = 0.3 * norm.pdf(z, scale=np.sqrt(5))
    oracle = z * 0.8 * part / (part + 0.7 * norm.pdf(z))
    best = np.mean((oracle - truth) ** 2)
    assert np.mean((shrunken(z) - truth) ** 2) < 1.03 * best


def test_neither_the_unit_nor_the_offset_of_a_covariate_matters(rng: np.random.Generator) -> None:
    """Dates written as numbers made every posterior 0.5: products of 20,240,131 leave no digit for the groups."""
    labels = np.tile([0, 1], 6)
    days = rng.integers(0, 60, 12).astype(float)
    values = (
        rng.normal(size=(12, 200)) + np.outer(labels, rng.normal(size=200)) + np.outer(days / 30, rng.normal(size=200))
    )

    def fit(covariate: np.ndarray) -> np.ndarray:
        rows = np.stack([np.column_stack([np.ones(12), np.full(12, k), covariate]) for k in (0.0, 1.0)])
        return label_fit(values, rows, labels).log_posterior

    plain = fit(days)
    assert np.exp(plain[np.arange(12), labels]).min() > 0.9
    for other in (days + 20240101, days * 86400 + 1.7e9, days * 1e-9):
        np.testing.assert_allclose(fit(other), plain, atol=1e-4)


def test_of_many_labels_the_nearest_are_compared_and_all_have_a_posterior(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(15), 3)
    values = rng.normal(size=(45, 200)) + 2 * rng.normal(size=(15, 200))[labels]
    rows = np.repeat(np.eye(15)[:, None, :], 45, axis=1)
    posterior = np.exp(label_fit(values, rows, labels).log_posterior)
    np.testing.assert_allclose(posterior.sum(1), 1)
    assert (posterior.argmax(1) == labels).all()
