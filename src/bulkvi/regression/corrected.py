"""Expression of each sample with known effects and hidden directions taken out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.regression import GeneRegression, centred, regress_genes
from bulkvi.regression.weights import replace_column
from bulkvi.stats.genes import fit_genes
from bulkvi.stats.nb.log_rates import log_rate_posterior
from bulkvi.stats.rank import aliased_columns
from bulkvi.study.columns import column_of, is_number
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign

LEVEL_PRECISION = 1e-6
LEAST_OWN = 0.05
"""Share of a hidden direction that what is kept must leave unexplained: with less, removing it removes what is kept."""
LN2 = np.log(2)


class Corrected(NamedTuple):
    """Log2 expression and its standard deviation, samples x genes."""

    mean: np.ndarray
    sd: np.ndarray


def corrected_expression(
    study: Study,
    plain: GeneRegression,
    remove: Sequence[str],
    reference: Mapping[str, Any],
    keep: Sequence[str],
    directions: pd.DataFrame,
) -> Corrected:
    """Correct the log2 expression of all samples (:meth:`bulkvi.BulkVI.get_corrected_expression`).

    ``plain`` is the regression on the design; ``directions`` (samples x chosen axes, maybe none) are removed as well.
    """
    design = study.design
    kept = kept_columns(design, remove, keep)
    check_separable(design, remove, keep, kept, directions)
    features = pd.concat(
        [design.matrix, kept.loc[:, kept.columns.difference(design.matrix.columns, sort=False)]], axis=1
    )
    features = features.iloc[:, [k for k in range(features.shape[1]) if k not in aliased_columns(features.to_numpy())]]
    features = pd.concat([features, directions], axis=1)
    more = features.shape[1] > design.matrix.shape[1]
    regression = regress_genes(study, features, reduced=plain) if more else plain
    shift = pd.DataFrame(0.0, features.index, features.columns)
    if remove:
        shift[design.matrix.columns] = design.matrix - reference_rows(design, remove, reference)
    shift[directions.columns] = directions
    return _corrected(study, regression, shift.to_numpy())


def _corrected(study: Study, regression: GeneRegression, shift: np.ndarray) -> Corrected:
    """Level of each gene plus the log rate of each sample about it, given the effects of the shifted features."""
    nodes = regression.fit.nodes
    coefficients = np.einsum("kg,kpg->pg", nodes.weight, nodes.coef)
    removed = shift @ coefficients
    offset = regression.offset
    log_exposure = (offset[:, None] if offset.ndim == 1 else offset) + removed
    alone = fit_genes(
        regression.counts,
        np.ones((len(shift), 1)),
        offset=log_exposure,
        ridge=np.array([LEVEL_PRECISION]),
        weights=regression.weights,
    )
    weight, level_at = alone.nodes.weight, alone.nodes.coef[:, 0]
    level = (weight * level_at).sum(0)
    level_variance = (weight * (alone.nodes.covariance[:, 0] + (level_at - level) ** 2)).sum(0)
    rates = log_rate_posterior(regression.counts, log_exposure + level, np.exp(alone.prior.mean))
    variance = rates.sd**2 + rates.response**2 * _shift_variance(regression, shift, coefficients)
    variance += (1 + rates.response) ** 2 * level_variance
    return Corrected((level + rates.mean) / LN2, np.sqrt(variance) / LN2)


def _shift_variance(regression: GeneRegression, shift: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance of the removed effects, the dispersion integrated out, samples x genes."""
    nodes = regression.fit.nodes
    rows, which = np.unique(shift, axis=0, return_inverse=True)
    row, column = np.tril_indices(shift.shape[1])
    # products of two columns count twice off the diagonal
    products = rows[:, row] * rows[:, column] * np.where(row == column, 1.0, 2.0)
    within = np.einsum("kg,kqg->qg", nodes.weight, nodes.covariance)
    variance = products @ within
    for weight, coefficients in zip(nodes.weight, nodes.coef, strict=True):
        variance += weight * (rows @ (coefficients - mean)) ** 2
    return variance.clip(0)[which.reshape(-1)]


def reference_rows(design: StudyDesign, remove: Sequence[str], reference: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of the design matrix with the removed columns of obs at their reference, or averaged over the samples' values."""
    free = [name for name in remove if name not in reference]
    values = design.obs[free].astype(object)
    combinations = [()] if not free else [tuple(row) for row in values.itertuples(index=False)]
    share = pd.Series(combinations).value_counts(normalize=True, sort=False)
    total: Any = 0.0
    for combination, part in share.items():
        obs = design.obs
        for name, value in {**reference, **dict(zip(free, combination, strict=True))}.items():
            everywhere = pd.Series([value] * len(obs), index=obs.index)
            obs = replace_column(obs, name, everywhere.astype(obs[name].dtype))
        total = total + part * design.code(obs)
    return total


def kept_columns(design: StudyDesign, remove: Sequence[str], keep: Sequence[str]) -> pd.DataFrame:
    """Columns of the design that do not change with what is removed, and codes of the columns of obs to keep."""
    removed = {column for name in remove for column in design.columns_of(name)}
    columns = [design.matrix.loc[:, [name for name in design.matrix if name not in removed]]]
    for name in keep:
        if name not in design.variables:
            columns.append(_coded(design.obs, name))
    return pd.concat(columns, axis=1)


def _coded(obs: pd.DataFrame, name: str) -> pd.DataFrame:
    values = column_of(obs, name)
    if is_number(values):
        return centred(pd.DataFrame({f"keep {name}": values.astype(float)}))
    coded = pd.get_dummies(values.astype(str), drop_first=True, dtype=float)
    return coded.set_axis([f"keep {name}[T.{level}]" for level in coded], axis=1)


def check_separable(
    design: StudyDesign, remove: Sequence[str], keep: Sequence[str], kept: pd.DataFrame, directions: pd.DataFrame
) -> None:
    """Raise ValueError where what is removed is confounded with what is kept, naming both."""
    for name in remove:
        columns = design.matrix.loc[:, [column for column in design.columns_of(name) if column in design.matrix]]
        if not _lies_in(columns, kept):
            continue
        guilty = [other for other in keep if _lies_in(columns, _with_intercept(_coded(design.obs, other)))] or list(
            keep
        )
        raise ValueError(
            f"remove={name!r} and keep={guilty if len(guilty) > 1 else guilty[0]!r} are confounded: these samples do not "
            "distinguish their effects, so that removing one removes the other. Leave one of them out, or compare within the levels "
            "that both have."
        )
    if not directions.shape[1]:
        return
    basis = np.linalg.qr(kept.to_numpy())[0]
    values = directions.to_numpy() - directions.to_numpy().mean(0)
    own = np.square(values - basis @ (basis.T @ values)).sum(0) / np.square(values).sum(0).clip(1e-300)
    for axis, share in zip(directions.columns, own, strict=True):
        if share < LEAST_OWN:
            what = [*keep, *(name for name in design.variables if name not in remove)]
            raise ValueError(
                f"directions={axis!r} and what is kept, {what}, are confounded: {1 - share:.0%} of the variance of {axis} lies between "
                "the samples that differ in it, so that removing the direction removes what is kept. Leave one of them out."
            )


def _lies_in(columns: pd.DataFrame, kept: pd.DataFrame) -> bool:
    """Whether some sum of columns is a sum of the kept ones."""
    both = np.concatenate([kept.to_numpy(), columns.to_numpy()], 1)
    return any(position >= kept.shape[1] for position in aliased_columns(both))


def _with_intercept(columns: pd.DataFrame) -> pd.DataFrame:
    return columns.assign(**{"(level)": 1.0})
