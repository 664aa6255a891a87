"""Provenance, number formats and consistency of what the file of a reference holds."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from bulkvi.stats.reference.genes import ReferenceGenes

HALF: Final = ("loadings", "loadings_sd", "log_dispersion_sd", "log_dispersion_alone_sd")
"""Kept with 11 binary digits: an error of 0.05 %, far below the posterior standard deviations that they are or that go with them."""
OTHER_ARRAYS: Final = (
    "level_sd", "relevance", "design_mean", "effects", "effects_sd", "log_geometric_mean", "fingerprints", "fingerprint_genes"
)  # fmt: skip
"""Arrays beside those of `ReferenceGenes`."""


@dataclass(frozen=True)
class Provenance:
    """Where a reference comes from."""

    name: str
    """Short name."""
    source: str = ""
    """Where the counts of the cohort are, such as an accession or address."""
    licence: str = ""
    """Terms under which the reference may be used and shared."""
    organism: str = ""
    """Organism, if given."""
    tissue: str = ""
    """Tissue or cell type, if given."""
    design: str = ""
    """Formula of the cohort's design."""
    n_samples: int = 0
    """Samples of the cohort."""
    date: str = ""
    """Day on which it was built, year-month-day (UTC)."""
    bulkvi_version: str = ""
    """Version of bulkvi that built it."""
    scvi_version: str = ""
    """Version of scvi-tools that trained the network."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Provenance":
        """Build it from a header; fields of later versions are left out."""
        known = {field.name: record[field.name] for field in fields(cls) if field.name in record}
        if any(not isinstance(value, int if name == "n_samples" else str) for name, value in known.items()):
            raise TypeError("its provenance is no text")
        return cls(**known)


def stored(values: np.ndarray, *, half: bool = False) -> np.ndarray:
    """Convert an array to the number format of the file, which holds it exactly if `rounded` made it."""
    if not half:
        return values.astype(np.float32)
    limits = np.finfo(np.float16)
    part = np.clip(values, -float(limits.max), float(limits.max)).astype(np.float16)
    # a standard deviation of 0 would be a division by zero
    return np.where((values > 0) & (part == 0), limits.smallest_subnormal, part)


def rounded(values: np.ndarray, *, half: bool = False) -> np.ndarray:
    """Round to the precision of the file, so that a reference is the same before and after it was saved."""
    return stored(values, half=half).astype(float)


def rounded_genes(values: ReferenceGenes) -> ReferenceGenes:
    """Round all estimates to the precision of the file."""
    return ReferenceGenes(**{name: rounded(array, half=name in HALF) for name, array in values._asdict().items()})


def stored_genes(values: ReferenceGenes) -> dict[str, np.ndarray]:
    """Convert all estimates to the number formats of the file."""
    return {name: stored(array, half=name in HALF) for name, array in values._asdict().items()}


def check_shapes(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless a header and arrays belong together."""
    n_genes, n_directions, n_columns = (len(header[name]) for name in ("genes", "directions", "design_columns"))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        (*ReferenceGenes._fields, "level_sd", "log_geometric_mean"), (n_genes,)
    )
    shapes |= dict.fromkeys(("loadings", "loadings_sd"), (n_directions, n_genes))
    shapes |= dict.fromkeys(("effects", "effects_sd"), (n_columns, n_genes))
    shapes |= {"relevance": (n_directions,), "design_mean": (n_columns,)}
    wrong = [name for name, shape in shapes.items() if name not in arrays or arrays[name].shape != shape]
    if wrong or (header["symbols"] is not None and len(header["symbols"]) != n_genes):
        raise ValueError(f"it lacks {wrong or ['symbols']}, or has them for other genes")
    hashes, genes = arrays["fingerprints"], arrays["fingerprint_genes"]
    if hashes.ndim != 2 or genes.ndim != 2 or hashes.shape[1] != len(genes) or (genes >= n_genes).any():
        raise ValueError("its fingerprints do not fit its genes")
