"""Reason codes: what bears on the answer for a gene."""

import numpy as np

from bulkvi.model._regression import GeneRegression
from bulkvi.names import CONSTANT, LOW_INFORMATION, NOT_CONVERGED, OUTLIER, SEPARATED

LARGEST_SE_LOG2 = 2.0


def gene_flags(regression: GeneRegression) -> dict[str, np.ndarray]:
    """Reason codes of every gene, whatever is compared."""
    counts, fit = regression.counts, regression.fit
    return {
        OUTLIER: regression.outliers.called.any(0),
        NOT_CONVERGED: ~fit.nodes.converged | (not fit.prior.converged),
        CONSTANT: (counts == counts[0]).all(0),
    }


def effect_flags(separated: np.ndarray, se_log2: np.ndarray) -> dict[str, np.ndarray]:
    """Reason codes of every gene that hang on what is compared."""
    return {LOW_INFORMATION: se_log2 > LARGEST_SE_LOG2, SEPARATED: separated}


def join_flags(flags: dict[str, np.ndarray]) -> list[str]:
    """The codes that hold for each gene, joined by commas."""
    codes, held = list(flags), np.column_stack(list(flags.values()))
    joined = np.full(len(held), "", dtype=object)
    for gene in np.flatnonzero(held.any(1)):
        joined[gene] = ",".join(code for code, holds in zip(codes, held[gene], strict=True) if holds)
    return joined.tolist()
