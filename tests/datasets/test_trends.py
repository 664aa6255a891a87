import numpy as np
import pytest

from bulkvi.datasets._trends import TRENDS


@pytest.mark.parametrize("trend", TRENDS.values(), ids=TRENDS)
def test_base_means_are_the_mixture_within_the_range_seen(trend, rng):
    log_mean = np.log(trend.draw_base_mean(200_000, rng))
    assert log_mean.min() >= trend.log_range[0] - 1e-9
    assert log_mean.max() <= trend.log_range[1] + 1e-9
    weight, mean, sd = map(np.array, (trend.weight, trend.log_mean, trend.log_sd))
    inside = np.median(log_mean)
    grid = np.linspace(-20, 30, 50_001)
    density = (weight * np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2) / sd).sum(1)
    median = grid[np.searchsorted(np.cumsum(density) / density.sum(), 0.5)]
    assert inside == pytest.approx(median, abs=0.03)
    assert weight.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("trend", TRENDS.values(), ids=TRENDS)
def test_dispersions_scatter_log_normally_around_the_trend(trend, rng):
    base_mean = np.exp(rng.uniform(*trend.log_range, size=100_000))
    residual = np.log(trend.draw_dispersion(base_mean, rng)) - np.log(trend.asymptote + trend.extra_poisson / base_mean)
    assert residual.mean() == pytest.approx(0, abs=0.02)
    assert residual.std() == pytest.approx(trend.scatter, rel=0.02)
    assert abs(np.corrcoef(residual, np.log(base_mean))[0, 1]) < 0.02
