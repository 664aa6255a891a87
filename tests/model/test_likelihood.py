import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import norm
from scvi.distributions import NegativeBinomial, ZeroInflatedNegativeBinomial
from torch import nn

from bulkvi.model._decoders import DeepDecoder
from bulkvi.model._likelihood import (
    LogNegativeBinomial,
    LogPoisson,
    LogZeroInflatedNegativeBinomial,
    negative_binomial_log_prob,
    negative_log_prior,
)
from bulkvi.model._networks import CovariateEffects


def some_counts(rng: np.random.Generator, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    log_mean = torch.tensor(rng.normal(4, 3, (20, 50)), dtype=dtype)
    log_dispersion = torch.tensor(rng.normal(-2, 2, 50), dtype=dtype)
    x = torch.tensor(rng.poisson(np.exp(rng.normal(4, 3, (20, 50)))), dtype=dtype)
    return x, log_mean, log_dispersion


def test_negative_binomial_equals_scipy(rng: np.random.Generator) -> None:
    x, log_mean, log_dispersion = some_counts(rng, torch.float64)
    r = np.exp(-log_dispersion.numpy())
    expected = stats.nbinom.logpmf(x.numpy(), r, r / (r + np.exp(log_mean.numpy())))
    np.testing.assert_allclose(negative_binomial_log_prob(x, log_mean, log_dispersion), expected, rtol=1e-8)


def test_written_gradient_equals_finite_differences(rng: np.random.Generator) -> None:
    x, log_mean, log_dispersion = some_counts(rng, torch.float64)
    log_mean = log_mean[:3].requires_grad_()
    log_dispersion = log_dispersion.requires_grad_()
    assert torch.autograd.gradcheck(lambda m, a: negative_binomial_log_prob(x[:3], m, a), (log_mean, log_dispersion))


def test_float32_keeps_its_digits_at_bulk_depth_and_small_dispersion() -> None:
    """Differences of log gammas in float32 are off by whole units here."""
    x = torch.tensor([1_000_000.0, 3.0])
    log_mean = torch.log(x)
    log_dispersion = torch.tensor(-13.0)
    wide = negative_binomial_log_prob(x.double(), log_mean.double(), log_dispersion.double())
    np.testing.assert_allclose(negative_binomial_log_prob(x, log_mean, log_dispersion), wide, atol=0.1)


def test_gradient_is_finite_when_the_mean_overflows() -> None:
    log_mean = torch.tensor([200.0, -200.0], requires_grad=True)
    log_dispersion = torch.tensor([-1.0, -1.0], requires_grad=True)
    negative_binomial_log_prob(torch.tensor([5.0, 0.0]), log_mean, log_dispersion).sum().backward()
    assert log_mean.grad is not None
    assert torch.isfinite(log_mean.grad).all()


@pytest.mark.parametrize("zero_inflated", [False, True])
def test_distributions_equal_those_of_scvi_tools(rng: np.random.Generator, zero_inflated: bool) -> None:
    x, log_mean, log_dispersion = some_counts(rng, torch.float64)
    mu, theta = log_mean.exp(), (-log_dispersion).exp()
    if zero_inflated:
        logits = torch.tensor(rng.normal(0, 2, log_mean.shape))
        ours = LogZeroInflatedNegativeBinomial(log_mean, log_dispersion, log_mean, logits)
        theirs = ZeroInflatedNegativeBinomial(mu=mu, theta=theta, zi_logits=logits)
    else:
        ours = LogNegativeBinomial(log_mean, log_dispersion, log_mean)
        theirs = NegativeBinomial(mu=mu, theta=theta)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.mean, theirs.mean)


def test_poisson_equals_scipy(rng: np.random.Generator) -> None:
    x, log_mean, _ = some_counts(rng, torch.float64)
    expected = stats.poisson.logpmf(x.numpy(), np.exp(log_mean.numpy()))
    np.testing.assert_allclose(LogPoisson(log_mean, log_mean).log_prob(x), expected, rtol=1e-8)


def test_normalised_expression_is_the_rate_without_depth(rng: np.random.Generator) -> None:
    _, log_rate, log_dispersion = some_counts(rng, torch.float64)
    px = LogNegativeBinomial(log_rate + 1.0, log_dispersion, log_rate)
    torch.testing.assert_close(px.get_normalized("scale"), log_rate.exp())
    torch.testing.assert_close(px.get_normalized("mu"), (log_rate + 1).exp())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_likelihoods_equal_scipy_at_every_depth_and_dispersion(dtype: torch.dtype) -> None:
    """float32 was off by .05 nats at means of 1e5."""
    mean, dispersion = (grid.ravel() for grid in np.meshgrid(10.0 ** np.arange(-3, 7), 10.0 ** np.arange(-6, 2)))
    log_mean, log_dispersion = (torch.tensor(np.log(values), dtype=dtype) for values in (mean, dispersion))
    mean, r = np.exp(log_mean.double().numpy()), np.exp(-log_dispersion.double().numpy())
    for scores in (-2, 0, 5):
        x = np.rint(np.maximum(mean + scores * np.sqrt(mean + mean**2 / r), 0)).astype(np.float32).astype(float)
        counts = torch.tensor(x, dtype=dtype)
        found = negative_binomial_log_prob(counts, log_mean, log_dispersion).double().numpy()
        np.testing.assert_allclose(found, stats.nbinom.logpmf(x, r, r / (r + mean)), rtol=1e-6, atol=2e-6)
        poisson = LogPoisson(log_mean, log_mean).log_prob(counts).double().numpy()
        np.testing.assert_allclose(poisson, stats.poisson.logpmf(x, mean), rtol=1e-6, atol=2e-6)


def test_rates_do_not_overflow() -> None:
    log_mean = torch.tensor([200.0, 3.0])
    rate = LogNegativeBinomial(log_mean, torch.tensor([-1.0, -1.0]), log_mean).get_normalized("scale")
    assert torch.isfinite(rate).all()
    assert rate[1] == torch.exp(log_mean[1])


@pytest.mark.parametrize("fixed", [False, True])
def test_the_prior_is_gaussian_with_the_adjustment_for_absorbed_scatter(fixed: bool) -> None:
    torch.manual_seed(0)
    decoder = DeepDecoder(6, 2, CovariateEffects({"batch": 2}, 6), CovariateEffects({}, 5), 5, 2, zero_inflated=False)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_()
    trend, mean, n_absorbed = torch.randn(6), torch.rand(6) * 50, torch.tensor(3.0)
    log_dispersion = trend + torch.randn(6)
    values = log_dispersion if fixed else nn.Parameter(log_dispersion)
    found = negative_log_prior(decoder, values, trend, mean, n_absorbed)
    effects = (
        torch.cat([decoder.covariates.weight["batch"].ravel(), decoder.loadings.ravel()]).detach().double().numpy()
    )
    # scales of the weights: 1 / sqrt of the number of inputs
    weights = [
        decoder.first.weight * 2**0.5,
        decoder.hidden[1].get_parameter("weight") * 5**0.5,
        decoder.output * 5**0.5 / 0.03,
    ]
    expected = -norm.logpdf(effects, scale=2).sum() + norm.logpdf(0, scale=2) * effects.size
    expected += sum(float(weight.detach().double().square().sum()) / 2 for weight in weights)
    if not fixed:
        expected += float((log_dispersion - trend).square().sum()) / 2
        expected -= 0.5 * 3 * float(torch.log1p(log_dispersion.exp() * mean).sum())
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
