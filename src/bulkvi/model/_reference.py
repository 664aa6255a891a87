"""A reference cohort beside the samples of a model."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.study.size_factors import source_from, source_of


class CohortReference(Protocol):
    """What a model needs of :class:`bulkvi.Reference`."""

    @property
    def name(self) -> str:
        """What the cohort is called."""

    def genes_for(self, genes: pd.Index) -> ReferenceGenes:
        """Return what the cohort says of these genes; raise ValueError if it has none of them."""

    def shared_samples(self, counts: Any, genes: Sequence[str], samples: Sequence[str]) -> list[str]:
        """Return the names of the samples that are in the cohort too."""

    def check_size_factors(self, counts: Any, genes: Sequence[str], size_factors: np.ndarray) -> float:
        """Return the factor that they have in common over those of the reference; raise ValueError if a sample is far off it."""


def reference_record(
    reference: CohortReference, adata: AnnData, layer: str | None, size_factor_key: str, *, overlap: bool
) -> dict[str, Any]:
    """Return what a reference says of the genes of a study, as plain arrays.

    Raises
    ------
    ValueError
        If samples are in both, or size factors of the user's own are not those of these counts.
    """
    known = reference.genes_for(adata.var_names)
    counts = adata.X if layer is None else adata.layers[layer]
    shared = reference.shared_samples(counts, adata.var_names, adata.obs_names)
    if shared and not overlap:
        raise ValueError(
            f"{len(shared)} samples are in the reference {reference.name!r} too (first: {shared[:5]}): it would say of them what they "
            "said to it, and every p-value would be too small. Build the reference without them, or set reference_overlap=True if "
            "equal counts have another reason."
        )
    if source_from(source_of(adata, size_factor_key)).method is None:
        # those of all genes are right by construction, and those of control genes may differ from them with reason
        reference.check_size_factors(counts, adata.var_names, adata.obs[size_factor_key].to_numpy(float))
    return {
        "name": reference.name,
        "samples_in_both": shared,
        "genes": {name: np.asarray(values, dtype=float) for name, values in known._asdict().items()},
    }


def genes_of_record(record: dict[str, Any] | None) -> ReferenceGenes | None:
    """What a reference says of the genes of a model, from what is saved with it."""
    return None if record is None else ReferenceGenes(**record["genes"])
