"""What a decoder says of counts, against enumeration and against data drawn from it."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from bulkvi.model._likelihood import LogNegativeBinomial, LogPoisson, LogZeroInflatedNegativeBinomial

ROOT = Path(__file__).parents[2]
SHAPE = (40, 500)


@pytest.fixture(scope="module")
def distributions() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.generative_distributions")


def likelihoods() -> dict[str, torch.distributions.Distribution]:
    rng = np.random.default_rng(1)
    log_mean = torch.as_tensor(rng.normal(1.5, 1.2, SHAPE))
    log_dispersion = torch.as_tensor(rng.normal(-1, 0.7, SHAPE[1]))
    logits = torch.as_tensor(rng.normal(-1, 1, SHAPE))
    return {
        "poisson": LogPoisson(log_mean, log_mean),
        "nb": LogNegativeBinomial(log_mean, log_dispersion, log_mean),
        "zinb": LogZeroInflatedNegativeBinomial(log_mean, log_dispersion, log_mean, logits),
    }


@pytest.fixture(params=["poisson", "nb", "zinb"])
def px(request) -> torch.distributions.Distribution:
    return likelihoods()[request.param]


def test_probabilities_are_sums_of_the_likelihood(distributions, px):
    x = np.random.default_rng(0).integers(0, 6, SHAPE)
    pmf = np.stack([px.log_prob(torch.full(SHAPE, float(k)).double()).exp().numpy() for k in range(6)])
    below, up_to = distributions.probability(distributions.counts_of(px), x)
    summed = np.concatenate([np.zeros((1, *SHAPE)), pmf.cumsum(0)])
    np.testing.assert_allclose(below, np.take_along_axis(summed, x[None], 0)[0], atol=1e-6)
    np.testing.assert_allclose(up_to, np.take_along_axis(summed, x[None] + 1, 0)[0], atol=1e-6)


def test_log_probabilities_are_those_of_the_decoder(distributions, px):
    x = np.random.default_rng(0).integers(0, 6, SHAPE)
    found = distributions.log_probability(distributions.counts_of(px), x)
    np.testing.assert_allclose(found, px.log_prob(torch.as_tensor(x).double()).numpy(), atol=1e-5)


@pytest.mark.parametrize("n_draws", [1, 4, 19])
def test_the_transform_by_draws_is_uniform_for_any_number_of_draws(distributions, px, n_draws):
    counts, rng = distributions.counts_of(px), np.random.default_rng(5)
    x = distributions.draw(counts, rng)
    place = distributions.transformed_by_draws((distributions.draw(counts, rng) for _ in range(n_draws)), x, rng)
    shares = np.histogram(place, 10, (0, 1))[0] / place.size
    np.testing.assert_allclose(shares, 0.1, atol=5 * np.sqrt(0.09 / place.size))


def test_both_transforms_agree(distributions):
    counts, rng = distributions.counts_of(likelihoods()["nb"]), np.random.default_rng(6)
    x = 3 * distributions.draw(counts, rng)  # not from the model: the transform is far from uniform
    drawn = distributions.transformed_by_draws((distributions.draw(counts, rng) for _ in range(199)), x, rng)
    exact = distributions.transformed(counts, x, rng)
    for place in (0.5, 0.9, 0.975):
        assert np.mean(drawn < place) == pytest.approx(np.mean(exact < place), abs=5 * np.sqrt(0.5 / x.size))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_data_drawn_from_a_model_lie_inside_its_intervals_as_often_as_they_say(distributions, px, level):
    counts, rng = distributions.counts_of(px), np.random.default_rng(2)
    share = distributions.share_inside(counts, distributions.draw(counts, rng), level, rng)
    assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / np.prod(SHAPE))


def test_a_poisson_has_too_few_overdispersed_counts_inside(distributions):
    counts, rng = distributions.counts_of(likelihoods()["nb"]), np.random.default_rng(3)
    x = distributions.draw(counts, rng)
    assert distributions.share_inside(counts._replace(dispersion=None), x, 0.95, rng) < 0.85


def test_draws_have_the_mean_the_variance_and_the_zeros_of_their_distribution(distributions):
    rng, n = np.random.default_rng(4), 400_000
    mean, dispersion, extra = 6.0, 0.3, 0.2
    px = distributions.Counts(np.full((1, n), mean), np.full((1, n), dispersion), np.full((1, n), extra))
    x = distributions.draw(px, rng)
    variance = (1 - extra) * (mean + dispersion * mean**2 + extra * mean**2)
    assert x.mean() == pytest.approx((1 - extra) * mean, abs=5 * np.sqrt(variance / n))
    assert x.var() == pytest.approx(variance, rel=0.02)
    expected, inflated = distributions.zeros(px)
    assert (x == 0).mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / n))
    assert expected - inflated == pytest.approx((1 + dispersion * mean) ** (-1 / dispersion))
    assert distributions.zeros(px._replace(extra_zero=None))[1] == 0
