"""Latent spaces of models that were trained on all samples of a cohort."""

from dataclasses import asdict
from typing import Any

from benchmarks.cache import remember
from benchmarks.generative_data import load
from benchmarks.generative_latent import known_groups, principal_components
from benchmarks.generative_models import Network, Pca, code_of, trained

WIDTHS = (2, 5, 10)
"""Numbers of dimensions at which latent spaces are compared."""
SCANPY_COMPONENTS = 50
"""Principal components by default in scanpy, or one less than there are samples."""


def network_rows(cohort: str, model: Network, seed: int, *, n_genes: int | None = None) -> list[dict[str, Any]]:
    """Separation in the first 2, 5 and 10 dimensions of a network's latent space and in all (``dimensions`` 0), for each
    number of epochs; ``width`` is the number of dimensions there are.
    """

    def compute() -> list[dict[str, Any]]:
        adata = load(cohort, n_genes)
        found = []
        for epochs, network, seconds in trained(model, adata, seed):
            z = network.get_latent_representation()
            rows = _at_widths(z, lambda z: known_groups(z, adata))
            found += [{"epochs": epochs, "train_cpu": seconds} | row for row in rows]
        return found

    settings = {"cohort": cohort, "seed": seed, "n_genes": n_genes, "model": type(model).__name__, **asdict(model)}
    return remember("generative_latent", settings, compute, code=code_of(model))


def component_rows(cohort: str, *, without_batch: bool = False, n_genes: int | None = None) -> list[dict[str, Any]]:
    """The same of principal components."""

    def compute() -> list[dict[str, Any]]:
        adata = load(cohort, n_genes)
        z = principal_components(adata, SCANPY_COMPONENTS, without_batch=without_batch)
        return _at_widths(z, lambda z: known_groups(z, adata))

    settings = {"cohort": cohort, "n_genes": n_genes, "model": "Pca", "without_batch": without_batch}
    return remember("generative_latent", settings, compute, code=code_of(Pca()))


def _at_widths(z: Any, judge: Any) -> list[dict[str, Any]]:
    widths = [width for width in WIDTHS if width <= z.shape[1]]
    return [
        {"dimensions": width, "width": width or z.shape[1]} | judge(z[:, : width or z.shape[1]])
        for width in (*widths, 0)
    ]
