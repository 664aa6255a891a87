import numpy as np
import pytest

from bulkvi.stats.samples.leave_one_out import noise_deviation


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
