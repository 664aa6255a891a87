import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize

from bulkvi.model._module import BulkVAE
from bulkvi.model._posterior_mode import has_mode, posterior_mode

N, G, K = 5, 40, 3


@pytest.mark.parametrize("gene_likelihood", ["nb", "poisson"])
def test_the_mode_is_that_of_a_general_optimiser_from_any_start(rng: np.random.Generator, gene_likelihood: str) -> None:
    torch.manual_seed(0)
    module = BulkVAE(G, n_latent=K, n_axes=2, n_design=1, gene_likelihood=gene_likelihood)  # type: ignore[arg-type]
    with torch.no_grad():
        module.decoder.intercept.normal_(2, 1)
        module.decoder.loadings.normal_(0, 0.5)
        module.decoder.covariates.weight["design"].normal_()
        module.log_dispersion.fill_(-14.0 if gene_likelihood == "poisson" else -1.0)
    covariates = {"design": torch.tensor(rng.normal(size=(N, 1)), dtype=torch.float32)}
    log_exposure = torch.tensor(rng.normal(0, 0.3, (N, 1)), dtype=torch.float32)
    x = torch.tensor(rng.poisson(rng.gamma(1, 15, (N, G))), dtype=torch.float32)
    starts = [torch.zeros(N, K), torch.full((N, K), 20.0)]
    found = [posterior_mode(module, x, log_exposure, covariates, start).numpy() for start in starts]
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)
    r = np.exp(-module.log_dispersion.detach().double().numpy())
    loadings = module.decoder.loadings.detach().double().numpy()
    level = (module.decoder.intercept + module.decoder.covariates(covariates) + log_exposure).detach().double().numpy()
    for k in range(N):

        def cost(z: np.ndarray, k: int = k) -> float:
            mean = np.exp(level[k] + z @ loadings)
            poisson, negative_binomial = stats.poisson(mean), stats.nbinom(r, r / (r + mean))
            likelihood = poisson if gene_likelihood == "poisson" else negative_binomial
            return -likelihood.logpmf(x[k].numpy()).sum() + z @ z / 2

        best = minimize(cost, np.zeros(K), method="BFGS", options={"gtol": 1e-6}).x
        np.testing.assert_allclose(found[0][k], best, atol=1e-4)


def test_unsupported_directions_stay_at_the_prior() -> None:
    module = BulkVAE(G, n_latent=K, n_axes=2)
    module.decoder.relevance[1] = 0
    z = posterior_mode(module, torch.full((N, G), 7.0), torch.zeros(N, 1), {}, torch.ones(N, K))
    assert (z[:, 1] == 0).all()
    assert (z[:, [0, 2]] != 0).all()
    module.decoder.relevance.zero_()
    assert (posterior_mode(module, torch.full((N, G), 7.0), torch.zeros(N, 1), {}, torch.ones(N, K)) == 0).all()


def test_deep_decoders_and_extra_zeros_have_no_single_mode() -> None:
    assert has_mode(BulkVAE(G, n_latent=K, n_axes=2))
    assert not has_mode(BulkVAE(G, n_latent=K, n_axes=2, decoder="deep"))
    assert not has_mode(BulkVAE(G, n_latent=K, n_axes=2, gene_likelihood="zinb"))
