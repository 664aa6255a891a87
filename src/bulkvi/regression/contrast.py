"""What is compared: weights of the columns that the counts are regressed on."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from bulkvi.arguments import warn_user
from bulkvi.names import CONSTANT, LOW_INFORMATION, NOT_CONVERGED, OUTLIER, SEPARATED
from bulkvi.regression.regression import GeneRegression
from bulkvi.study.columns import is_number
from bulkvi.study.groups import Groups, counterfactual_obs, find_groups
from bulkvi.study.study_design import StudyDesign, intercept_of, is_coded

EffectKind = Literal["direct", "latent", "total"]
LatentColumns = int | Literal["auto"]
# Share of a column's largest value below which a difference of means is rounding.
ROUNDING = 1e-12
# Share of the largest term below which a sum of terms is zero.
NEAR_ZERO = 1e-8


class Contrast(NamedTuple):
    """A comparison."""

    weights: pd.Series
    """Weight of each column of the features; all zero if the design cannot tell the groups apart."""
    label: str
    """In words."""
    groups: Groups | None
    """The samples compared, if it is two groups that are."""
    groupby: str | None = None
    """The column they are levels of."""


def resolve_contrast(design: StudyDesign, groupby: str | None, group1: Any, group2: Any, contrast: Any) -> Contrast:
    """Resolve the arguments of ``differential_expression`` into a contrast; raise KeyError or ValueError if they are none."""
    given = [value is not None for value in (groupby, group1, group2)]
    if (contrast is None) == (not any(given)) or (contrast is None and not all(given)):
        raise ValueError(
            "Give either groupby, group1 and group2, or contrast; given are "
            f"groupby={groupby!r}, group1={group1!r}, group2={group2!r}, contrast={contrast!r}."
        )
    if contrast is not None:
        return numeric_contrast(design.matrix, contrast)
    return group_contrast(design, str(groupby), group1, group2)


def group_contrast(design: StudyDesign, groupby: str, group1: Any, group2: Any) -> Contrast:
    """Group1 over group2, what the grouping decides going along (`columns_nested_in_group`), all else at the mixture of both."""
    groups = find_groups(design.obs, groupby, group1, group2)
    if design.is_matrix:
        raise ValueError(
            f"The design was given as a matrix, which does not say what belongs to the levels of {groupby!r}: give contrast=, the "
            f"weights of its columns {list(design.matrix.columns)}."
        )
    _warn_of_slope(design, groupby, group1, group2)
    coded = [
        design.code_full(counterfactual_obs(design.obs, groups, groupby, design.variables, members))
        for members in groups
    ]
    weights = coded[0].mean() - coded[1].mean()
    rounding = ROUNDING * np.maximum(coded[0].abs().max(), coded[1].abs().max())
    weights = weights.where(weights.abs() > rounding, 0.0)
    if not design.is_estimable(weights):
        raise ValueError(
            f"These samples do not tell {groupby}: {group1} vs {group2}: {_describe(weights)} needs levels, or crossings of levels, that "
            f"none of them has. What they tell: {list(design.matrix.columns)}."
        )
    return Contrast(weights[design.matrix.columns], f"{groupby}: {group1} vs {group2}", groups, groupby)


def _warn_of_slope(design: StudyDesign, groupby: str, group1: Any, group2: Any) -> None:
    """Warn if the groups are two points of a line, and not two groups of samples."""
    column = design.obs[groupby]
    slopes = set(design.variables) - set(design.categorical)
    if groupby in slopes and is_number(column) and 2 < column.nunique() <= len(column) / 2:
        warn_user(
            f"{groupby!r} is a slope in the design: {group1} vs {group2} is the change along a straight line through all of its values, "
            f"not a comparison of these samples. For groups write C({groupby}) in the design."
        )


def numeric_contrast(matrix: pd.DataFrame, contrast: Mapping[str, float] | Sequence[float] | np.ndarray) -> Contrast:
    """Weights given by name of column, or one for every column."""
    names = list(matrix.columns)
    if isinstance(contrast, Mapping):
        unknown = [name for name in contrast if name not in names]
        if unknown:
            raise KeyError(f"contrast: the design has no columns {unknown}; it has {names}.")
        weights = pd.Series({name: _weight(contrast.get(name, 0.0)) for name in names})
    else:
        if isinstance(contrast, str | bytes):
            raise TypeError(
                f"contrast is the text {contrast!r}: give weights of the columns, such as {{{names[-1]!r}: 1}}, or groupby, group1 "
                "and group2."
            )
        values = np.asarray(contrast, dtype=object)
        values = np.array([_weight(value) for value in values]) if values.ndim == 1 else values
        if values.shape != (len(names),):
            raise ValueError(
                f"contrast has shape {values.shape}; give one weight for each of the {len(names)} columns {names}, or "
                "a dict of the columns that count."
            )
        weights = pd.Series(values, index=names)
    if not np.isfinite(weights).all() or not weights.any():
        raise ValueError(f"contrast needs finite weights, not all of them zero; given are {weights.to_dict()}.")
    level = weights * intercept_of(matrix)
    if abs(level.sum()) > NEAR_ZERO * level.abs().max():
        raise ValueError(
            f"contrast {_describe(weights)} compares nothing: it would change if all counts were doubled. Weights of the "
            f"intercept must be zero, and those of columns that add up to it, as in '~ 0 + group', must add up to zero. "
            f"Columns: {names}."
        )
    return Contrast(weights, _describe(weights), None)


def _weight(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"contrast: the weight of a column must be a number; it is {value!r}.") from error


def _describe(weights: pd.Series) -> str:
    used = weights[weights != 0]
    return " ".join(f"{weight:+g} * {name}" for name, weight in used.items())


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


def check_latent(effect: str | None, latent_columns: Any, n_latent: int) -> None:
    """Raise ValueError unless the kind of effect is known and the number of latent columns exists."""
    if effect not in (None, *get_args(EffectKind)):
        raise ValueError(
            f"effect must be one of {', '.join(map(repr, get_args(EffectKind)))} or None; it is {effect!r}."
        )
    automatic = isinstance(latent_columns, str) and latent_columns == "auto"
    whole = isinstance(latent_columns, int | np.integer) and not isinstance(latent_columns, bool)
    if not automatic and not (whole and 0 <= latent_columns <= n_latent):
        raise ValueError(
            f"latent_columns must be 'auto' or a whole number from 0 to n_latent = {n_latent}; it is {latent_columns!r}."
        )
