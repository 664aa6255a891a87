"""Fit only the latent state of new samples under a trained model of scvi-tools, and score what the decoder says of them."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from anndata import AnnData
from scipy.optimize import minimize
from torch import Tensor
from torch.distributions import Normal

N_RANDOM_STARTS = 2


class Score(NamedTuple):
    """Log likelihood of the entries taken away."""

    fit: float
    completion: float
    fit_per_count: float
    """Sum of log p(x | z) / sum of the counts."""


class Frozen(NamedTuple):
    """A trained decoder in double precision and the samples whose latent state is to be fitted."""

    module: Any
    inputs: dict[str, Any]
    x: Tensor
    """Counts, shape ``(n, n_genes)``."""
    encoded: Tensor
    """Latent state of each new sample by the encoder, shape ``(n, n_latent)``."""
    known: Tensor
    """Latent states of the training samples."""
    heights: Tensor
    """Log probability of the counts of each new sample at the state of each training sample, ``(n, n_known, n_genes)``."""


def freeze(model: Any, held_out: AnnData) -> Frozen:
    """Decoder of a trained model of scvi-tools, and new samples with the columns of obs that it was set up with.

    The model needs a module that has ``inference`` and ``generative`` in the manner of scvi-tools.
    """
    held_out = model._validate_anndata(held_out.copy())
    tensors = next(iter(model._make_data_loader(adata=held_out, batch_size=held_out.n_obs)))
    module = model.module.eval()
    with torch.no_grad():
        inferred = module.inference(**module._get_inference_input(tensors))
        inputs = _double(module._get_generative_input(tensors, inferred))
    x, encoded = tensors["X"].double(), inferred["qz"].loc.double()
    with torch.no_grad():
        training = [
            module.inference(**module._get_inference_input(batch))["qz"].loc
            for batch in model._make_data_loader(adata=model.adata)
        ]
    known = torch.cat(training).double()
    module = copy.deepcopy(module).double()
    n, n_known = len(x), len(known)
    at_known = torch.arange(n).repeat_interleave(n_known)
    with torch.no_grad():
        heights = log_likelihood(module, _rows(inputs, at_known), x[at_known], known.repeat(n, 1))
    return Frozen(module, inputs, x, encoded, known, heights.reshape(n, n_known, -1))


def fitted_state(frozen: Frozen, genes: Tensor, rng: np.random.Generator | None = None) -> Tensor:
    """Latent state of each new sample by the counts of these genes alone, shape ``(n, n_latent)``.

    The starts are the state of the training sample that explains these counts best and the mean of the prior; where all genes
    are given also the encoder's, which sees them all, and ``N_RANDOM_STARTS`` random ones if there is a generator.
    """
    nearest = frozen.known[frozen.heights[:, :, genes].sum(2).argmax(1)]
    starts = [nearest, torch.zeros_like(nearest)]
    if len(genes) == frozen.x.shape[1]:
        starts.append(frozen.encoded)
        if rng is not None:
            starts += list(torch.as_tensor(rng.standard_normal((N_RANDOM_STARTS, *nearest.shape))))
    return refit_latent(frozen.module, frozen.inputs, frozen.x, torch.stack(starts), genes)


def score(model: Any, held_out: AnnData, seed: int) -> Score:
    """Fit z of new samples under a trained model of scvi-tools, and score them.

    Parameters
    ----------
    model, held_out
        As in :func:`freeze`.
    seed
        Of the random starts and of the halves of the genes.
    """
    rng = np.random.default_rng(seed)
    frozen = freeze(model, held_out)
    module, inputs, x = frozen.module, frozen.inputs, frozen.x
    everything = torch.arange(x.shape[1])
    total = _total(module, inputs, x, fitted_state(frozen, everything, rng), everything)
    completed = 0.0
    halves = [torch.as_tensor(half) for half in np.array_split(rng.permutation(x.shape[1]), 2)]
    for fitted, scored in (halves, halves[::-1]):
        completed += _total(module, inputs, x, fitted_state(frozen, fitted), scored)
    return Score(total / x.numel(), completed / x.numel(), total / x.sum().item())


@torch.no_grad()
def _total(module: Any, inputs: dict[str, Any], x: Tensor, z: Tensor, genes: Tensor) -> float:
    return log_likelihood(module, inputs, x, z)[:, genes].sum().item()


def log_likelihood(module: Any, inputs: dict[str, Any], x: Tensor, z: Tensor) -> Tensor:
    """Log probability of counts given latent states, shape ``(n, n_genes)``; ``module`` as in :func:`refit_latent`."""
    return module.generative(**(inputs | {"z": z}))["px"].log_prob(x)


def refit_latent(module: Any, inputs: dict[str, Any], x: Tensor, starts: Tensor, genes: Tensor) -> Tensor:
    """Mode of log p(x | z) + log N(z; 0, I) for each sample, the decoder frozen; the best over the starts.

    Parameters
    ----------
    module
        scvi-tools module in double precision and evaluation mode.
    inputs
        What ``module.generative`` needs apart from z, one row a sample.
    x
        Counts, shape ``(n, n_genes)``.
    starts
        Shape ``(n_starts, n, n_latent)``.
    genes
        Positions of the genes to fit to.
    """
    n_starts, n, n_latent = starts.shape
    rows = torch.arange(n).repeat(n_starts)
    z = _climb(module, _rows(inputs, rows), x[rows], starts.reshape(-1, n_latent), genes, maxiter=100, ftol=1e-7)
    with torch.no_grad():
        height = _log_posterior(module, _rows(inputs, rows), x[rows], z, genes).reshape(n_starts, n)
    best = z.reshape(n_starts, n, n_latent)[height.argmax(0), torch.arange(n)]
    return _climb(module, inputs, x, best, genes, maxiter=1000, ftol=1e-10)


def _climb(module: Any, inputs: dict[str, Any], x: Tensor, start: Tensor, genes: Tensor, **options: float) -> Tensor:
    def descent(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.as_tensor(flat).reshape(start.shape).requires_grad_()
        loss = -_log_posterior(module, inputs, x, z, genes).sum()
        (slope,) = torch.autograd.grad(loss, z)
        return loss.item(), slope.numpy().ravel()

    found = minimize(descent, start.numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
    return torch.as_tensor(found.x).reshape(start.shape)


def _log_posterior(module: Any, inputs: dict[str, Any], x: Tensor, z: Tensor, genes: Tensor) -> Tensor:
    return log_likelihood(module, inputs, x, z)[:, genes].sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)


def _rows(inputs: dict[str, Any], rows: Tensor) -> dict[str, Any]:
    return {k: _rows(v, rows) if isinstance(v, dict) else v[rows] if _is_table(v) else v for k, v in inputs.items()}


def _double(inputs: dict[str, Any]) -> dict[str, Any]:
    def widen(value: Any) -> Any:
        return value.double() if _is_table(value) and value.is_floating_point() else value

    return {k: _double(v) if isinstance(v, dict) else widen(v) for k, v in inputs.items()}


def _is_table(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0
