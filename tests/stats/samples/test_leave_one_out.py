import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from bulkvi.stats.samples.leave_one_out import (
    _Comparison,
    _variance_ratio,
    label_fit,
    moderated_variance,
    noise_deviation,
    shrink_z,
    stabilise,
)


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
    assert np.mean((shrink_z(z) - truth) ** 2) < 1.03 * best


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


def densities(rng: np.random.Generator, noise: np.ndarray) -> np.ndarray:
    """Mean log density of samples whose values scatter by ``noise`` times the usual variance."""
    return np.array([np.mean(-0.5 * rng.normal(size=2000) ** 2 * v) for v in noise])


def test_a_noisy_sample_is_below_the_limit_and_the_others_are_not(rng: np.random.Generator) -> None:
    for n in (6, 12, 60):
        noise = rng.lognormal(0, 0.25, n)
        noise[3] = 12
        found = noise_deviation(densities(rng, noise))
        assert np.flatnonzero(found.deviation < found.limit).tolist() == [3]


def test_false_alarms_are_rare_whatever_the_number_of_samples(rng: np.random.Generator) -> None:
    """Log-normal quality of the spread that real studies have: at most one sample in 200."""
    for n in (5, 8, 20, 100):
        flagged = total = 0
        for _ in range(4000 // n):
            found = noise_deviation(-0.5 * rng.lognormal(0, 0.3, n))
            flagged += int((found.deviation < found.limit).sum())
            total += n
        assert flagged / total <= 1 / 200


def test_a_noisy_platform_is_compared_with_itself(rng: np.random.Generator) -> None:
    platform = np.repeat([0, 1], [14, 6])
    noise = np.where(platform == 1, 5.0, 1.0) * rng.lognormal(0, 0.1, 20)
    fit = densities(rng, noise)
    alone = noise_deviation(fit)
    assert (alone.deviation < alone.limit)[platform == 1].all()
    held = noise_deviation(fit, [platform])
    assert not (held.deviation < held.limit).any()
    noise[17] *= 10
    worse = noise_deviation(densities(rng, noise), [platform])
    assert np.flatnonzero(worse.deviation < worse.limit).tolist() == [17]


def test_the_limit_is_further_out_with_more_samples_and_with_fewer_to_learn_from() -> None:
    limit = {n: noise_deviation(np.linspace(-1.6, -1.4, n)).limit for n in (4, 20, 500, 50_000)}
    assert limit[50_000] < limit[500] < limit[20]
    assert limit[4] < limit[20]


def test_samples_without_a_prediction_stay_unknown() -> None:
    found = noise_deviation(np.array([-1.0, np.nan, -1.1, -1.2]), [np.array([0, 0, 1, 1])])
    assert np.isnan(found.deviation).tolist() == [False, True, False, False]
    nothing = noise_deviation(np.full(3, np.nan))
    assert np.isnan(nothing.deviation).all()
    assert nothing.limit == -np.inf


@pytest.mark.parametrize("same", [0.0, -2.5])
def test_equal_samples_deviate_by_nothing(same: float) -> None:
    assert (noise_deviation(np.full(5, same)).deviation == 0).all()


def test_deviations_of_normal_log_noise_are_in_standard_deviations(rng: np.random.Generator) -> None:
    log_noise = rng.normal(0, 0.2, 4000)
    found = noise_deviation(-(np.exp(log_noise) - 1) / 2)
    assert found.deviation.std() == pytest.approx(1, abs=0.06)
    # the only sample of its level has none to be compared with there, and a level of two compares the two
    alone = noise_deviation(np.array([-1.0, -1.1, -0.9, -3.0]), [np.array([0, 0, 0, 1])])
    assert alone.deviation[3] < alone.deviation[:3].min()


@pytest.mark.parametrize("n_free", [3, 20])
def test_distances_beyond_students_widen_the_spread_by_a_power_of_the_degrees_of_freedom(n_free: int) -> None:
    """All samples three times as far from their prediction as a median of Student's t lets expect."""
    quartile = 3 * student.ppf(0.75, n_free)
    given = np.array([0, 0, 1, 1])
    compared = {}
    for sample, label in enumerate(given):
        place, distance = np.full(2, np.nan), np.full(2, np.nan)
        # the given label fits best, and the other one is at a distance of ten
        place[1 - label], distance[1 - label] = quartile * np.sqrt(0.5 * 1.25), 10.0
        noise, density = np.full(2, np.nan), np.where(np.arange(2) == label, -1.0, -2.0)
        noise[1 - label] = 0.5
        compared[sample] = _Comparison(int(label), place, distance, noise, np.full(2, 1.25), density)
    assert _variance_ratio(compared, given, n_free) == pytest.approx(3 ** (2 * n_free / (n_free + 8)))
    near = {k: one._replace(place=one.place / 10) for k, one in compared.items()}
    assert _variance_ratio(near, given, n_free) == 1
    # where another label fits better, the distance is that from the given one
    wrong = {k: one._replace(place=one.distance + one.place) for k, one in compared.items()}
    assert _variance_ratio(wrong, 1 - given, n_free) == pytest.approx(3 ** (2 * n_free / (n_free + 8)))
    unknown = {k: one._replace(place=np.full(2, np.nan)) for k, one in compared.items()}
    assert _variance_ratio(unknown, given, n_free) == 1
