"""Reason codes: what limits the result of a gene."""

import numpy as np
import pandas as pd

from bulkvi.model._contrast import Contrast
from bulkvi.model._features import is_coded
from bulkvi.model._regression import GeneRegression
from bulkvi.names import CONSTANT, LOW_INFORMATION, NOT_CONVERGED, OUTLIER, SEPARATED

LARGEST_SE_LOG2 = 2.0
TREND_UNSETTLED = (
    "The trend of the dispersions over the mean did not settle: genes whose own counts tell less about their dispersion than "
    "this trend does are flagged not_converged. Remove genes with few counts (bulkvi.pp.filter_genes) and repeat."
)


def gene_flags(regression: GeneRegression) -> dict[str, np.ndarray]:
    """Reason codes of every gene, whatever is compared."""
    counts, fit = regression.counts, regression.fit
    unsettled = np.zeros(counts.shape[1], dtype=bool) if fit.prior.converged else ~fit.prior.informed
    return {
        OUTLIER: regression.outliers.called.any(0),
        NOT_CONVERGED: ~fit.nodes.converged | unsettled,
        CONSTANT: (counts == counts[0]).all(0),
    }


def effect_flags(separated: np.ndarray, se_log2: np.ndarray, unit: float = 1.0) -> dict[str, np.ndarray]:
    """Reason codes of every gene that depend on what is compared; ``unit`` is that of `unit_of_contrast`."""
    return {LOW_INFORMATION: se_log2 * unit > LARGEST_SE_LOG2, SEPARATED: separated}


def unit_of_contrast(features: pd.DataFrame, compared: Contrast) -> float:
    """Change of a contrast's covariate that its standard error is judged over, so that its unit does not matter.

    1 for groups and for columns of 0, 1 and -1. For measurements two standard deviations of what the other columns do
    not explain of the covariate: as far apart as two groups of equal size are.
    """
    matrix, weights = features.to_numpy(), compared.weights.reindex(features.columns, fill_value=0.0).to_numpy()
    if compared.groups is not None or not weights.any() or is_coded(matrix[:, weights != 0]).all():
        return 1.0
    scale = np.abs(matrix).max(0)  # units of the columns must not cost digits
    unit = matrix / scale
    influence = unit @ np.linalg.solve(unit.T @ unit, weights / scale)
    return float(2 * np.std(influence / (influence @ influence)))


def join_flags(flags: dict[str, np.ndarray]) -> list[str]:
    """The codes that hold for each gene, joined by commas."""
    codes, held = list(flags), np.column_stack(list(flags.values()))
    joined = np.full(len(held), "", dtype=object)
    for gene in np.flatnonzero(held.any(1)):
        joined[gene] = ",".join(code for code, holds in zip(codes, held[gene], strict=True) if holds)
    return joined.tolist()
