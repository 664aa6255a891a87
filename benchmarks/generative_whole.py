"""Models trained on all samples of a cohort: their replicated data and their latent space."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from benchmarks.cache import remember
from benchmarks.generative_data import N_GENES, load
from benchmarks.generative_distributions import counts_of, draw
from benchmarks.generative_heldout import plain_counts
from benchmarks.generative_latent import known_groups, principal_components
from benchmarks.generative_models import Network, Plain, code_of, trained
from benchmarks.generative_replicated import check_replicates

_ROOMS = ("distributions", "heldout", "latent", "replicated", "whole")
_CODE = tuple(Path(__file__).with_name(f"generative_{room}.py") for room in _ROOMS)


def network_rows(cohort: str, model: Network, seed: int, *, n_genes: int = N_GENES) -> list[dict[str, Any]]:
    """Latent space (:func:`~benchmarks.generative_latent.known_groups`) and replicated data of a network."""
    return _remembered("network", cohort, model, seed, n_genes, lambda: _network(load(cohort, n_genes), model, seed))


def plain_rows(cohort: str, *, n_genes: int = N_GENES) -> list[dict[str, Any]]:
    """Replicated data of a negative binomial per gene."""
    return _remembered("plain", cohort, Plain(), 0, n_genes, lambda: _plain(load(cohort, n_genes)))


def pca_rows(cohort: str, *, without_batch: bool = False, n_genes: int = N_GENES) -> list[dict[str, Any]]:
    """Latent space of principal components."""

    def compute() -> list[dict[str, Any]]:
        adata = load(cohort, n_genes)
        return [known_groups(principal_components(adata, without_batch=without_batch), adata)]

    return _remembered("pca without batch" if without_batch else "pca", cohort, None, 0, n_genes, compute)


def _remembered(
    kind: str, cohort: str, model: Network | Plain | None, seed: int, n_genes: int, compute: Callable[[], list[dict]]
) -> list[dict[str, Any]]:
    settings = {"kind": kind, "cohort": cohort, "seed": seed, "n_genes": n_genes}
    if model is not None:
        settings |= {"model": type(model).__name__, **asdict(model)}
    return remember("generative_whole", settings, compute, code=(*code_of(model), *_CODE))


def _plain(adata: AnnData) -> list[dict[str, Any]]:
    px, rng = plain_counts(adata, adata), np.random.default_rng(0)
    return [check_replicates(np.asarray(adata.X, float), adata.obs["size_factor"].to_numpy(), lambda: draw(px, rng))]


def _network(adata: AnnData, model: Network, seed: int) -> list[dict[str, Any]]:
    rows = []
    for epochs, network, seconds in trained(model, adata, seed):
        latent = known_groups(network.get_latent_representation(), adata)
        checked = check_replicates(
            np.asarray(adata.X, dtype=float),
            adata.obs["size_factor"].to_numpy(),
            replicates(network, np.random.default_rng(seed)),
        )
        rows.append({"epochs": epochs, "train_cpu": seconds} | latent | checked)
    return rows


def replicates(network: Any, rng: np.random.Generator) -> Callable[[], np.ndarray]:
    """Draws of the counts of all samples that a model of scvi-tools was trained on: z from its posterior, then counts."""
    module = network.module.eval()
    tensors = next(iter(network._make_data_loader(adata=network.adata, batch_size=network.adata.n_obs)))
    with torch.no_grad():
        inferred = module.inference(**module._get_inference_input(tensors))
        inputs = module._get_generative_input(tensors, inferred)
    mean, sd = inferred["qz"].loc, inferred["qz"].scale

    def one() -> np.ndarray:
        noise = torch.as_tensor(rng.standard_normal(tuple(mean.shape)), dtype=mean.dtype)
        with torch.no_grad():
            px = counts_of(module.generative(**(inputs | {"z": mean + sd * noise}))["px"])
        return draw(px, rng)

    return one
