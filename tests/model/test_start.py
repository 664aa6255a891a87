import numpy as np
import pytest
import torch
from anndata import AnnData

from bulkvi.model import _start
from bulkvi.model._start import dispersion_trend
from tests.cohorts import fit, make_cohort, set_up


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


def test_a_climb_that_diverges_leaves_the_start_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    # two cohorts of 20 against 20 with a batch that shifts half of the genes stopped with an error of the linear algebra
    climb = _start.fit_factor_model
    monkeypatch.setattr(
        _start, "fit_factor_model", lambda *a, **k: climb(*a, **k)._replace(z=torch.full((24, 2), torch.nan))
    )
    adata = make_cohort()
    set_up(adata)
    model = fit(adata, max_steps=10)
    assert np.isfinite(model.get_latent_representation()).all()
    assert np.isfinite(model.differential_expression("group", "B", "A")["log_fc_decoded"]).all()


def test_start_is_close_to_the_optimum(cohort: AnnData) -> None:
    """From random weights the first ELBO would be off by several hundred per cent."""
    model = set_up(cohort, design="~ group")
    model.train(600, plateau_tolerance=None, progress_bar=False)
    elbo = model.history["elbo_train"]["elbo_train"].astype(float)
    assert elbo.iloc[0] < 1.02 * elbo.iloc[-1]
    assert elbo.iloc[-1] < elbo.iloc[0]


def test_a_design_that_leaves_one_degree_of_freedom_trains(cohort: AnnData) -> None:
    """Axes beyond the rank of the residuals once carried noise blown up to 1e12 into the encoder."""
    few = cohort[[0, 1, 2, 3, 12, 13, 14, 15]].copy()
    few.obs["donor"] = list("wxyzwxyz")
    model = set_up(few, design="~ donor + group")
    model.train(100, progress_bar=False)
    assert np.isfinite(model.get_latent_representation()).all()
    assert np.isfinite(model.differential_expression("group", "B", "A")["log_fc_decoded"]).all()
