"""The refit of a latent state against answers known in closed form, on decoders of a few numbers."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import bulkvi as bv

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def refit() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:  # benchmarks is not an installed package
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.refit_latent")


class LinearDecoder(torch.nn.Module):
    """x = z W + shift of the sample + normal noise."""

    def __init__(self, weight: torch.Tensor, sd: float):
        super().__init__()
        self.weight, self.sd = weight, sd

    def generative(self, z, shift):
        return {"px": Normal(z @ self.weight + shift, self.sd)}


class TwoValleys(torch.nn.Module):
    """Means z^2 and z / 3: a state near -1 explains the first of x = (1, 1/3) as well as one near 1, but not the second."""

    def generative(self, z):
        return {"px": Normal(torch.cat([z**2, z / 3], 1), 0.1)}


def test_the_mode_under_a_linear_decoder_is_the_ridge_regression(refit, rng):
    weight = torch.as_tensor(rng.normal(size=(2, 7)))
    x, shift = torch.as_tensor(rng.normal(size=(3, 7))), torch.as_tensor(rng.normal(size=(3, 1)))
    genes = torch.tensor([0, 2, 3, 6])
    found = refit.refit_latent(LinearDecoder(weight, 0.5), {"shift": shift}, x, torch.zeros(2, 3, 2).double(), genes)
    w, y = weight[:, genes] / 0.5, (x - shift)[:, genes] / 0.5
    ridge = torch.linalg.solve(w @ w.T + torch.eye(2), w @ y.T).T
    torch.testing.assert_close(found, ridge, rtol=1e-4, atol=1e-5)


def test_the_highest_mode_wins_whatever_the_order_of_the_starts(refit):
    x, genes = torch.tensor([[1, 1 / 3], [1, 1 / 3]]).double(), torch.tensor([0, 1])
    for starts in ([-1.2, 1.2], [1.2, -1.2]):
        start = torch.tensor(starts).double()[:, None, None].expand(2, 2, 1)
        found = refit.refit_latent(TwoValleys(), {}, x, start, genes)
        assert found[:, 0] == pytest.approx([1, 1], abs=0.05)


@pytest.fixture(scope="module")
def trained() -> bv.BulkVI:
    # a hidden factor in most genes: without one there is no state to fit
    adata = bv.datasets.simulate(n_per_group=6, n_genes=80, n_hidden=1, hidden_share=0.8, hidden_sd=2.0, seed=0)
    bv.pp.size_factors(adata)
    bv.BulkVI.setup_anndata(adata, size_factor_key="size_factor", batch_key="group")
    model = bv.BulkVI(adata, n_latent=2)
    model.train(max_steps=20, progress_bar=False, accelerator="cpu")
    return model


def test_a_score_is_the_mean_log_likelihood_at_a_state_no_worse_than_the_encoders(refit, trained):
    new = trained.adata[:3].copy()
    x = torch.as_tensor(np.asarray(new.X, dtype=np.float64))
    before = {name: value.clone() for name, value in trained.module.state_dict().items()}
    found = refit.score(trained, new, seed=0)

    with torch.no_grad():
        tensors = next(iter(trained._make_data_loader(adata=new, batch_size=3)))
        inferred = trained.module.inference(**trained.module._get_inference_input(tensors))
        inferred["z"] = inferred["qz"].loc
        outputs = trained.module.generative(**trained.module._get_generative_input(tensors, inferred))
        encoded = outputs["px"].log_prob(x).mean().item()
        slack = (inferred["z"].square().sum() / 2).item() / x.numel()  # the refit also pleases the prior
    assert encoded - slack <= found.fit < encoded + 1
    assert found.fit_per_count == pytest.approx(found.fit * x.numel() / x.sum().item())
    assert found.completion < found.fit - 0.003  # what was scored was not fitted to
    for name, value in trained.module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_state_depends_on_the_given_genes_alone(refit, trained):
    new = trained.adata[:3].copy()
    changed = new.copy()
    changed.X = np.array(changed.X)
    changed.X[:, 40:] = 3 * changed.X[:, 40:] + 5
    given = torch.arange(40)
    one, other = (refit.fitted_state(refit.freeze(trained, counts), given) for counts in (new, changed))
    torch.testing.assert_close(one, other)
    everything = torch.arange(80)
    one, other = (refit.fitted_state(refit.freeze(trained, counts), everything) for counts in (new, changed))
    assert (one - other).abs().max() > 1e-3
