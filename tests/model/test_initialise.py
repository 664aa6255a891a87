import pytest
import torch

from bulkvi.model._initialise import dispersion_trend


def test_trend_follows_the_median_over_genes_of_like_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.exp(torch.randn(5000, generator=generator, dtype=torch.float64) * 2 + 5)
    truth = 0.05 + 2 / mean
    scattered = truth * torch.exp(0.5 * torch.randn(5000, generator=generator, dtype=torch.float64))
    trend = dispersion_trend(scattered, mean)
    assert (trend / truth).log().abs().median() < 0.1


def test_few_genes_and_negative_moments_give_a_positive_trend() -> None:
    mean = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    trend = dispersion_trend(torch.tensor([-1.0, -0.2, 0.3], dtype=torch.float64), mean)
    torch.testing.assert_close(trend, torch.full((3,), 1e-4, dtype=torch.float64))


@pytest.mark.parametrize("n_genes", [25, 100, 700])
def test_order_of_genes_does_not_matter(n_genes: int) -> None:
    generator = torch.Generator().manual_seed(1)
    mean = torch.exp(torch.randn(n_genes, generator=generator, dtype=torch.float64) + 5)
    dispersion = torch.rand(n_genes, generator=generator, dtype=torch.float64)
    order = torch.randperm(n_genes, generator=generator)
    torch.testing.assert_close(
        dispersion_trend(dispersion[order], mean[order]), dispersion_trend(dispersion, mean)[order]
    )
