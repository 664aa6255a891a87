"""A reference cohort beside the samples of a model."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.stats.reference.genes import ReferenceGenes


class CohortReference(Protocol):
    """What a model needs of :class:`bulkvi.Reference`."""

    @property
    def name(self) -> str:
        """What the cohort is called."""

    def genes_for(self, genes: pd.Index) -> ReferenceGenes:
        """Return what the cohort says of these genes; raise ValueError if it has none of them."""

    def shared_samples(self, counts: Any, genes: Sequence[str], samples: Sequence[str]) -> list[str]:
        """Return the names of the samples that are in the cohort too."""


def reference_record(reference: CohortReference, adata: AnnData, layer: str | None, *, overlap: bool) -> dict[str, Any]:
    """Return what a reference says of the genes of a study, as plain arrays; raise ValueError if samples are in both."""
    known = reference.genes_for(adata.var_names)
    counts = adata.X if layer is None else adata.layers[layer]
    shared = reference.shared_samples(counts, adata.var_names, adata.obs_names)
    if shared and not overlap:
        raise ValueError(
            f"{len(shared)} samples are in the reference {reference.name!r} too (first: {shared[:5]}): it would say of them what they "
            "said to it, and every p-value would be too small. Build the reference without them, or set reference_overlap=True if "
            "equal counts have another reason."
        )
    return {
        "name": reference.name,
        "samples_in_both": shared,
        "genes": {name: np.asarray(values, dtype=float) for name, values in known._asdict().items()},
    }


def genes_of_record(record: dict[str, Any] | None) -> ReferenceGenes | None:
    """What a reference says of the genes of a model, from what is saved with it."""
    return None if record is None else ReferenceGenes(**record["genes"])
