from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from bulkvi.stats.predictive.noise import (
    FAMILIES,
    LOG_SCALES,
    OUTLIER_SHARES,
    UNIT,
    learn_noise,
    log_components,
    prior_noise,
    usual_noise,
)


@pytest.mark.parametrize("variance", [0.0, 0.3])
@pytest.mark.parametrize("count", [0.0, 3.0, 40.0])
def test_components_equal_the_integral(count: float, variance: float) -> None:
    log_mean, log_dispersion, sd = 2.5, -1.5, 0.4

    def probability(rate: float, log_a: float) -> float:
        r = np.exp(-log_a)
        return float(stats.nbinom.pmf(count, r, r / (r + np.exp(rate))) * stats.norm.pdf(log_a, log_dispersion, sd))

    if variance:
        root = np.sqrt(variance)
        expected, _ = integrate.dblquad(
            lambda a, rate: probability(rate, a) * stats.norm.pdf(rate, log_mean, root),
            log_mean - 6 * root,
            log_mean + 6 * root,
            log_dispersion - 6 * sd,
            log_dispersion + 6 * sd,
        )
    else:
        expected, _ = integrate.quad(
            lambda a: probability(log_mean, a), log_dispersion - 6 * sd, log_dispersion + 6 * sd
        )
    x, centre, width = (np.array([[value]]) for value in (count, log_mean, variance))
    found = log_components(x, centre, width, np.array([log_dispersion]), np.array([sd]))[0, 0, UNIT]
    assert found == pytest.approx(np.log(expected), abs=0.01)


def test_probabilities_of_all_counts_add_up_to_one() -> None:
    x = np.arange(4_000.0)[None]
    shape = np.ones(x.shape)
    each = log_components(x, 3.0 * shape, 0.1 * shape, np.full(4_000, -1.0), np.full(4_000, 0.3))
    np.testing.assert_allclose(np.exp(each).sum(1)[0, : UNIT + 3], 1, atol=1e-3)


@pytest.mark.parametrize(("centre", "spread"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_noise_of_a_sample_is_recovered(centre: float, spread: float) -> None:
    rng = np.random.default_rng(0)
    genes = 3_000
    log_mean, log_dispersion = rng.normal(6, 1, genes), rng.normal(-3, 0.5, genes)
    a = np.exp(log_dispersion + centre + spread * rng.normal(size=genes))
    counts = rng.negative_binomial(1 / a, 1 / (1 + a * np.exp(log_mean))).astype(float)
    weights = learn_noise(counts[None], log_mean[None], np.zeros((1, genes)), log_dispersion, np.full(genes, 0.05))[0]
    mean = weights @ LOG_SCALES
    assert mean == pytest.approx(centre, abs=0.15)
    assert np.sqrt(weights @ (LOG_SCALES - mean) ** 2) == pytest.approx(spread, abs=0.35)


def test_without_counts_the_noise_is_the_prior_and_usual_noise_changes_nothing() -> None:
    empty = np.zeros((2, 0))
    np.testing.assert_allclose(learn_noise(empty, empty, empty, np.zeros(0), np.zeros(0)), prior_noise(2))
    assert LOG_SCALES[UNIT] == 0
    assert (usual_noise(3) @ LOG_SCALES == 0).all()
    np.testing.assert_allclose(FAMILIES.sum(-1), 1)


def test_outliers_are_no_noise_if_there_may_be_some() -> None:
    rng = np.random.default_rng(1)
    genes = 2_000
    log_mean, log_dispersion = rng.normal(6, 1, genes), np.full(genes, -3.0)
    a = np.exp(log_dispersion)
    clean = rng.negative_binomial(1 / a, 1 / (1 + a * np.exp(log_mean))).astype(float)
    spoilt = np.where(rng.random(genes) < 0.02, np.round(clean * 8), clean)

    def level(counts: np.ndarray, **choices: Any) -> float:
        rest = (np.zeros((1, genes)), log_dispersion, np.full(genes, 0.05))
        return float((learn_noise(counts[None], log_mean[None], *rest, **choices) @ LOG_SCALES)[0])

    shares = {"outlier_shares": OUTLIER_SHARES, "heavy_tails": False}
    assert level(clean, **shares) == pytest.approx(0, abs=0.1)
    assert level(spoilt, **shares) == pytest.approx(0, abs=0.15)
    assert level(spoilt, heavy_tails=False) > 0.5


def test_without_heavy_tails_two_neighbouring_multiples_have_all_weight() -> None:
    rng = np.random.default_rng(2)
    counts = np.round(np.exp(rng.normal(5, 1, 500)))[None]
    found = learn_noise(
        counts, np.full((1, 500), 5.0), np.zeros((1, 500)), np.full(500, -2.0), np.full(500, 0.1), heavy_tails=False
    )[0]
    kept = np.flatnonzero(found > 0.02)
    assert np.ptp(kept) <= 2
