from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import nbinom, norm
from scvi import REGISTRY_KEYS
from torch import Tensor

from bulkvi.model._module import LOG_DISPERSION_FLOOR, BulkVAE
from bulkvi.names import DESIGN

N, GENES = 5, 7


def module(**choices: Any) -> BulkVAE:
    torch.manual_seed(0)
    made = BulkVAE(GENES, n_batch=3, n_design=1, n_latent=2, n_axes=4, n_hidden=6, **choices)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def minibatch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        REGISTRY_KEYS.X_KEY: torch.poisson(torch.full((N, GENES), 6.0), generator=generator),
        REGISTRY_KEYS.SIZE_FACTOR_KEY: torch.linspace(0.5, 2, N)[:, None],
        REGISTRY_KEYS.BATCH_KEY: torch.tensor([0, 1, 2, 0, 1])[:, None],
        DESIGN: torch.linspace(-1, 1, N)[:, None],
    }


def test_the_loss_is_minus_the_elbo_plus_the_share_of_the_prior() -> None:
    network, tensors = module(), minibatch()
    inferred, generated, _ = network(tensors)
    loss = network.loss(tensors, inferred, generated, kl_weight=0.5, n_obs=10)
    z, qz = inferred["z"].detach().double(), inferred["qz"]
    covariates = network.coding.code(tensors)
    log_mean = (network.decoder(inferred["z"], covariates) + tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY].log()).detach()
    alpha = network.log_dispersion.detach().double().exp().numpy()
    mean = log_mean.double().exp().numpy()
    likelihood = nbinom.logpmf(tensors[REGISTRY_KEYS.X_KEY].numpy(), 1 / alpha, 1 / (1 + alpha * mean)).sum(1)
    loc, scale = qz.loc.detach().double(), qz.scale.detach().double()
    kl = (0.5 * (loc**2 + scale**2 - 1) - scale.log()).sum(1).numpy()
    assert z.shape == (N, 2)
    expected = (-likelihood + 0.5 * kl).mean() + float(loss.kl_global["prior"].detach()) / 10
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(loss.reconstruction_loss["reconstruction_loss"].detach(), -likelihood, rtol=1e-5)


def test_each_sample_has_the_dispersion_of_its_batch() -> None:
    network, tensors = module(dispersion="gene-batch"), minibatch()
    with torch.no_grad():
        network.log_dispersion[1, 2] = -40
    found = network.log_dispersion_of(network.coding.code(tensors)).detach()
    expected = network.log_dispersion.detach().clamp(min=LOG_DISPERSION_FLOOR)[tensors[REGISTRY_KEYS.BATCH_KEY][:, 0]]
    torch.testing.assert_close(found, expected)
    assert found[1, 2] == pytest.approx(LOG_DISPERSION_FLOOR, rel=1e-6)
    torch.testing.assert_close(network.log_dispersion_of({}), expected[0])


def test_a_fixed_dispersion_is_not_learned() -> None:
    for choices in ({"dispersion": "fixed"}, {"gene_likelihood": "poisson"}):
        assert "log_dispersion" not in dict(module(**choices).named_parameters())
    network = module(dispersion="fixed", fixed_dispersion=0.3)
    torch.testing.assert_close(network.log_dispersion.exp(), torch.full((GENES,), 0.3))


def test_draws_have_their_shape_and_mean() -> None:
    network, tensors = module(), minibatch()
    assert network.sample(tensors).shape == (N, GENES)
    torch.manual_seed(0)
    draws = network.sample(tensors, n_samples=3000)
    assert draws.shape == (N, GENES, 3000)
    z = network.inference(**network._get_inference_input(tensors), n_samples=3000)["z"]
    log_rate = network.decoder(z, network.coding.code(tensors)).detach()
    mean = (log_rate.exp() * tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY]).mean(0)
    np.testing.assert_allclose(draws.mean(2), mean, rtol=0.15)


@pytest.mark.parametrize("per_pass", [5, 1000])
def test_marginal_likelihood_is_the_integral_over_the_latent_state(per_pass: int) -> None:
    """Against a grid over a latent state of one dimension."""
    torch.manual_seed(0)
    network, tensors = BulkVAE(GENES, n_latent=1, n_axes=4, n_hidden=6).eval(), minibatch()
    tensors.pop(DESIGN)
    with torch.no_grad():
        network.decoder.intercept.fill_(1.5)
        network.decoder.loadings.normal_(0, 0.3)
        network.z_encoder.log_var.bias.fill_(0.5)
    torch.manual_seed(0)
    found = network.marginal_ll(tensors, 2999, n_mc_samples_per_pass=per_pass)
    z = np.linspace(-7, 7, 1401)
    log_rate = network.decoder(torch.tensor(z, dtype=torch.float32)[:, None], {}).detach().double().numpy()
    mean = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY].double().numpy()[:, None] * np.exp(log_rate)
    alpha = float(network.log_dispersion[0].detach().exp())
    counts = tensors[REGISTRY_KEYS.X_KEY].numpy()[:, None]
    joint = nbinom.logpmf(counts, 1 / alpha, 1 / (1 + alpha * mean)).sum(2) + norm.logpdf(z)
    np.testing.assert_allclose(found, logsumexp(joint, axis=1) + np.log(z[1] - z[0]), atol=0.1)
