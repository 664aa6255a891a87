"""Origin of size factors: estimated by bulkvi, from which genes, or given by the user."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData

from bulkvi.names import SIZE_FACTOR_SOURCE

TOLERANCE = 1e-5
METHOD, N_CONTROL_GENES, REFERENCE, VALUES = "method", "n_control_genes", "reference", "values"
COLUMN, MEASURED_ON = "columns", "references"


class SizeFactorSource(NamedTuple):
    """Origin of a column of size factors."""

    method: str | None = None
    """``median_of_ratios`` or ``poscounts``; None for a column that `bulkvi.pp.size_factors` did not write."""
    n_control_genes: int = 0
    """Number of control genes that they were estimated from; 0 for all genes."""
    reference: bool = False
    """Whether they were measured against the reference of other samples."""

    @property
    def most_genes_unchanged(self) -> bool:
        """Whether their zero is right only if most genes do not change."""
        return self.method is not None and self.n_control_genes == 0


def record_source(
    adata: AnnData, key: str, source: SizeFactorSource, values: np.ndarray, reference_column: str
) -> None:
    """Record in ``uns`` how the size factors ``obs[key]`` and their reference ``var[reference_column]`` were estimated."""
    kept = adata.uns.get(SIZE_FACTOR_SOURCE)
    columns, references = ({**_part(kept, part)} for part in (COLUMN, MEASURED_ON))
    columns[key] = as_state(source) | {VALUES: np.sort(values)}
    references[reference_column] = source.n_control_genes
    adata.uns[SIZE_FACTOR_SOURCE] = {COLUMN: columns, MEASURED_ON: references}


def source_of(adata: AnnData, key: str, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the origin of ``obs[key]`` as plain values, with the sorted size factors that it is valid for.

    The record in ``uns`` is valid while the column has the values that were written, of all samples or some of them.
    Otherwise ``known``, the state of a registry, is used if the column has its values.
    """
    values = adata.obs[key].to_numpy(dtype=float)
    for record in (_part(adata.uns.get(SIZE_FACTOR_SOURCE), COLUMN).get(key), known):
        if isinstance(record, Mapping) and {METHOD, VALUES} <= set(record) and _among(values, record[VALUES]):
            return as_state(source_from(record)) | {VALUES: np.asarray(record[VALUES], dtype=float)}
    return as_state(SizeFactorSource()) | {VALUES: np.sort(values)}


def control_genes_of_reference(adata: AnnData, reference_column: str) -> int:
    """Return the number of control genes of a reference; 0 for all genes, or if it is unknown."""
    return int(_part(adata.uns.get(SIZE_FACTOR_SOURCE), MEASURED_ON).get(reference_column, 0))


def source_from(record: Mapping[str, Any]) -> SizeFactorSource:
    """Parse a source from plain values; a record without a method is that of a column of the user."""
    method = str(record.get(METHOD) or "") or None
    return SizeFactorSource(method, int(record.get(N_CONTROL_GENES, 0)), bool(record.get(REFERENCE, False)))


def as_state(source: SizeFactorSource) -> dict[str, Any]:
    """Return a source as plain values that h5ad and JSON can hold; the method of an unknown one is empty text."""
    return {METHOD: source.method or "", N_CONTROL_GENES: source.n_control_genes, REFERENCE: source.reference}


def _part(kept: Any, part: str) -> Mapping[str, Any]:
    found = kept.get(part, {}) if isinstance(kept, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _among(values: np.ndarray, recorded: Any) -> bool:
    """Whether every value is among the recorded ones: samples may have been dropped, sorted or renamed since."""
    recorded = np.sort(np.asarray(recorded, dtype=float).ravel())
    if recorded.size < values.size:
        return False
    at = np.searchsorted(recorded, values)
    nearest = np.minimum(
        np.abs(values - recorded[np.clip(at, 0, recorded.size - 1)]),
        np.abs(values - recorded[np.clip(at - 1, 0, recorded.size - 1)]),
    )
    return bool((nearest <= TOLERANCE * np.abs(values)).all())
