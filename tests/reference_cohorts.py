"""A study and what a reference cohort of the same kind of samples says of its genes, both drawn from one truth."""

from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

import bulkvi
from bulkvi.stats.reference.genes import ReferenceGenes


class TrueReference(NamedTuple):
    """A cohort so large that it knows loadings and dispersions all but exactly."""

    known: ReferenceGenes
    genes: pd.Index
    shared: tuple[str, ...] = ()
    name: str = "truth"

    def genes_for(self, genes: pd.Index) -> ReferenceGenes:
        """Genes by name, nan where they are not known."""
        position = self.genes.get_indexer(genes)
        return ReferenceGenes(*(np.where(position >= 0, values[..., position], np.nan) for values in self.known))

    def shared_samples(self, counts: Any, genes: Any, samples: Any) -> list[str]:
        """Names that were given."""
        return list(self.shared)

    def check_size_factors(self, counts: Any, genes: Any, size_factors: Any) -> float:
        """They are right."""
        return 1.0

    def permuted(self, rng: np.random.Generator) -> "TrueReference":
        """The same under the names of other genes."""
        return self._replace(genes=self.genes[rng.permutation(len(self.genes))])


class DrawnStudy(NamedTuple):
    """Counts of two groups, with the truth."""

    adata: ad.AnnData
    reference: TrueReference
    state: np.ndarray
    """Samples x directions."""
    log_fc: np.ndarray
    """Log2."""


def draw_study(
    rng: np.random.Generator,
    n_per_group: int = 3,
    n_genes: int = 2000,
    *,
    state: np.ndarray | None = None,
    share: float = 0.1,
    scatter: float = 0.8,
) -> DrawnStudy:
    """Draw a study: two directions with loadings of sd 0.4 and 0.2 (natural log), dispersions that scatter about 0.05."""
    n = 2 * n_per_group
    group = np.repeat([0, 1], n_per_group)
    loadings = rng.normal(size=(2, n_genes)) * np.array([[0.4], [0.2]])
    z = rng.normal(size=(n, 2)) if state is None else state
    log_mean, deviation = rng.normal(5, 1, n_genes), rng.normal(0, scatter, n_genes)
    changed = rng.random(n_genes) < share
    log_fc = np.where(changed, rng.normal(0, 0.8, n_genes), 0.0)
    size_factor = np.exp(rng.normal(0, 0.2, n))
    mean = size_factor[:, None] * np.exp(log_mean + np.outer(group, log_fc * np.log(2)) + z @ loadings)
    dispersion = 0.05 * np.exp(deviation)
    counts = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean))
    names = pd.Index([f"gene{k}" for k in range(n_genes)])
    obs = pd.DataFrame(
        {"group": np.where(group, "B", "A"), "size_factor": size_factor}, index=[f"s{k}" for k in range(n)]
    )
    adata = ad.AnnData(counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))
    small, flat = np.full(n_genes, 0.1), np.full(n_genes, np.log(0.05))
    # beside the design alone, states are noise too
    alone = np.log(0.05 * np.exp(deviation) + (loadings**2).sum(0))
    known = ReferenceGenes(
        log_mean, loadings, np.full_like(loadings, 0.01), flat + deviation, small, flat, alone, small, flat
    )
    return DrawnStudy(adata, TrueReference(known, names), z, log_fc)


def model_of(
    adata: ad.AnnData, reference: TrueReference | bulkvi.Reference | None = None, **given: Any
) -> bulkvi.BulkVI:
    """A model of the study; what a reference does needs next to no training."""
    bulkvi.BulkVI.setup_anndata(adata, size_factor_key="size_factor", design="~ group")
    model = bulkvi.BulkVI(adata, n_latent=2, reference=reference, **given)
    model.train(max_steps=2, progress_bar=False)
    return model
