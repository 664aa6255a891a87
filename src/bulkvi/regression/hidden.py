"""Hidden variation: the directions of the latent state that regressions adjust for, and the effects given them."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from bulkvi.names import LATENT_COLUMN
from bulkvi.regression.contrast import Contrast, EffectKind, LatentColumns
from bulkvi.regression.design_alone import DesignAlone, Located, alignment_ratio, design_alone
from bulkvi.regression.regression import GeneRegression, Sides, regress_genes
from bulkvi.stats.dispersion.prior import KnownDeviation
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.likelihood_ratio import compared_sides
from bulkvi.stats.hidden.hidden_factors import Alignment, LatentNumber, align, latent_number
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign

SEED = 0
# Share of the decoded variation below which a direction is rounding.
NEGLIGIBLE = 1e-7


class Network(Protocol):
    """What a trained network provides to the regressions."""

    @property
    def n_latent(self) -> int:
        """Dimension of the latent state."""

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Log rate at a sample's latent state less that at the mean latent state, samples x genes, natural log."""

    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Difference of decoded log2 rates, one value per gene."""


class ContrastInRegression(NamedTuple):
    """A contrast as weights of the columns of one regression."""

    regression: GeneRegression
    weights: pd.Series
    covariance: pd.DataFrame | None
    """Covariance of the weights, where they are estimates."""
    sides: Sides | None
    n_latent: int
    """Latent columns in the regression."""
    expected: ExpectedInflation | None = None
    """Expected inflation of the variances under the null, estimated on held-out contrasts; None if it is unknown."""
    located: Located | None = None
    """The contrast, where it has been estimated already."""
    alone: DesignAlone | None = None
    """The regression on the design alone, where the contrast is an average over both."""
    kind: EffectKind | None = None
    """Kind of the effect, where a reference decided it."""
    carried: float | None = None
    """p-value that groups stand no further apart along the directions of a reference than chance explains; None without one."""


class HiddenRegression(NamedTuple):
    """All genes regressed on the design and the leading latent columns."""

    regression: GeneRegression
    expected: ExpectedInflation | None
    """Expected inflation of its statistics; None if it is unknown."""
    information: float
    """Expected information about a contrast, relative to the design alone; 1 if it is unknown."""


@dataclass(frozen=True, eq=False)
class HiddenVariation:
    """Latent columns of a trained network beside the regression on the design; each number of them is fitted once."""

    study: Study
    plain: GeneRegression
    """All genes regressed on the design alone."""
    network: Network
    deviation: KnownDeviation | None = None
    """What a reference cohort says of the dispersions."""
    _fitted: dict[int, HiddenRegression] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def number(self) -> LatentNumber:
        """Number of latent columns that the residuals of the design support. Simulated counts have a fixed seed."""
        plain = self.plain
        rng = np.random.default_rng(SEED)
        return latent_number(plain.counts, plain.features.to_numpy(), plain.offset, plain.fit, rng, plain.random)

    @cached_property
    def rate_differences(self) -> np.ndarray:
        """Decoded variation of the samples by their latent state, samples x genes, natural log."""
        return self.network.rate_differences(self.study.design)

    def columns(self, number: int) -> pd.DataFrame:
        """The leading latent columns, genes weighted by their precision (:func:`latent_columns`)."""
        return latent_columns(
            self.rate_differences, self.plain.features, min(number, self.network.n_latent), self.plain.precision
        )

    def regression(self, number: LatentColumns) -> HiddenRegression | None:
        """Regress all genes on the design and this number of latent columns; None if the number is 0, or training found none."""
        wanted = self.number.number if number == "auto" else int(number)
        if wanted == 0:
            return None
        if wanted not in self._fitted:
            columns = self.columns(wanted)
            if columns.empty:
                return None
            n_columns, inflation = columns.shape[1], self.number.inflation
            known = n_columns < inflation.shape[1]
            expected = ExpectedInflation(*map(float, inflation[:, n_columns])) if known else None
            information = float(self.number.information[n_columns]) if known else 1.0
            features = pd.concat([self.plain.features, columns], axis=1)
            fitted = regress_genes(self.study, features, reduced=self.plain, reference=self.deviation)
            self._fitted[wanted] = HiddenRegression(fitted, expected, information)
        return self._fitted[wanted]


def latent_columns(
    difference: np.ndarray, design: pd.DataFrame, number: int, precision: np.ndarray | None = None
) -> pd.DataFrame:
    """Leading directions in which decoded expression varies beyond the design, strongest first.

    Left singular vectors of the decoded variation projected off the design. With a linear decoder they do not depend on
    the rotation of the latent state in which training ended.
    """
    number = min(number, *difference.shape)
    if precision is not None:
        difference = difference * precision
    basis = np.linalg.qr(design.to_numpy())[0]
    left, singular, _ = np.linalg.svd(difference - basis @ (basis.T @ difference), full_matrices=False)
    # directions that the training samples do not support are not decoded
    number = min(number, int((singular > NEGLIGIBLE * np.linalg.norm(difference)).sum()))
    columns = left[:, :number] * np.sqrt(len(design))
    # the sign of a singular vector is arbitrary: let the largest entry be positive, in whatever order samples come
    columns = columns * np.sign(columns[np.abs(columns).argmax(0), np.arange(number)])
    stem = LATENT_COLUMN
    while any(str(name).startswith(f"{stem}_") for name in design.columns):
        stem += "_state"
    return pd.DataFrame(columns, design.index, [f"{stem}_{k}" for k in range(number)])


def align_with(regression: GeneRegression, weights: pd.Series, *, common: bool) -> Alignment:
    """Align the latent columns of a regression with a contrast: weights of all its other columns.

    ``common`` is whether genes may share an effect, as they may where size factors decide where zero is.
    """
    columns = latent_names(regression.features, weights)
    effect, known = regression.effect(weights), regression.informative
    return align(
        effect.mean()[known],
        effect.sd()[known],
        regression.coefficients(columns)[:, known],
        chance_variance(regression.features, weights),
        common=common,
    )


def chance_variance(features: pd.DataFrame, weights: pd.Series) -> float:
    """Variance of the contrast of a column of noise with variance 1: ``psi' (X'X)^-1 psi`` over the design columns."""
    design = features[weights.index].to_numpy()
    psi = weights.to_numpy()
    return float(psi @ np.linalg.solve(design.T @ design, psi))


def chance_covariance(features: pd.DataFrame, weights: pd.Series) -> np.ndarray:
    """Covariance of the contrasts of the latent columns between studies: the latent states of a group are a sample.

    The columns are residuals of the design with mean square 1: n / (n - rank of the design) corrects their variance.
    """
    n_latent, (n, p) = len(latent_names(features, weights)), features.shape
    return chance_variance(features, weights) * n / (n - p + n_latent) * np.eye(n_latent)


def latent_names(features: pd.DataFrame, weights: pd.Series) -> list[str]:
    """Latent columns among the features: those that weights of all columns of the design do not name."""
    return [name for name in features.columns if name not in weights.index]


def effect_given_latent(
    hidden: HiddenVariation, weights: pd.Series, kind: EffectKind, number: LatentColumns, *, common: bool
) -> ContrastInRegression:
    """Effect of the design adjusted for the latent state, the part that the latent state carries, or their sum.

    With ``number="auto"`` no latent column is used where its alignment with the contrast cannot be estimated
    (`bulkvi.stats.hidden.hidden_factors`, with ``common`` as there), and the design alone has a part in the result where it is as
    honest (`bulkvi.regression.design_alone`).
    """
    plain = hidden.plain
    sides = compared_sides(plain.features.to_numpy(), weights.to_numpy())
    adjusted = hidden.regression(number)
    if adjusted is not None:
        alignment = align_with(adjusted.regression, weights, common=common)
        if alignment.accepted or number != "auto":
            if number != "auto" or adjusted.expected is None:
                return _parts(adjusted, weights, alignment, kind, sides)
            return _averaged(hidden, adjusted, adjusted.expected, weights, alignment, kind, sides, common=common)
    if kind == "latent":
        raise ValueError(
            "effect='latent': no latent column enters this comparison, so the latent state carries nothing of it "
            "(model.latent_report() says why; it is empty where training found no direction). Ask for 'direct', or give "
            "latent_columns as a number."
        )
    return ContrastInRegression(plain, weights, None, sides, 0, plain.expected_alone)


def _parts(
    adjusted: HiddenRegression, weights: pd.Series, alignment: Alignment, kind: EffectKind, sides: Sides
) -> ContrastInRegression:
    regression = adjusted.regression
    names = latent_names(regression.features, weights)
    chance = chance_covariance(regression.features, weights)
    delta = pd.Series(alignment.delta, names)
    uncertain = alignment.covariance
    if kind == "direct":
        combined, covariance = pd.concat([weights, -delta]), uncertain
    elif kind == "latent":
        combined, covariance = delta, uncertain + chance
    else:
        combined, covariance = weights, chance
    expected = adjusted.expected if kind == "direct" and alignment.accepted else None
    return ContrastInRegression(
        regression, combined, pd.DataFrame(covariance, names, names), sides, len(names), expected
    )


def _averaged(
    hidden: HiddenVariation,
    adjusted: HiddenRegression,
    expected: ExpectedInflation,
    weights: pd.Series,
    alignment: Alignment,
    kind: EffectKind,
    sides: Sides,
    *,
    common: bool,
) -> ContrastInRegression:
    """Give the design alone its part in the effect; the same part in all three kinds, so that direct and latent add up."""
    direct = _parts(adjusted, weights, alignment, "direct", sides)
    located = adjusted.regression.recentred(direct.weights, direct.covariance, sides, subtract=not common)
    informative = adjusted.regression.informative
    loadings = adjusted.regression.coefficients(latent_names(adjusted.regression.features, weights))[:, informative]
    se = hidden.plain.effect(weights).sd()[informative]
    along = alignment_ratio(loadings, alignment.delta, se, chance_variance(hidden.plain.features, weights))
    alone = design_alone(hidden.plain, weights, sides, located, expected, information=adjusted.information, along=along)
    if kind == "direct":
        return direct._replace(located=located, alone=alone)
    parts = _parts(adjusted, weights, alignment, kind, sides)
    if alone is None:
        return parts
    if kind == "total":
        return parts._replace(alone=alone._replace(factor=1.0, inflation=None))
    part = 1 - alone.probability
    covariance = parts.covariance if parts.covariance is None else part**2 * parts.covariance
    return parts._replace(weights=part * parts.weights, covariance=covariance)


def effect_through_latent(hidden: HiddenVariation, first: np.ndarray, second: np.ndarray) -> ContrastInRegression:
    """Effect of two groups that the design does not contain, through the latent state alone.

    All latent columns are used; the contrast is the difference of the groups' mean latent states, with the variance of the
    replicates within the groups (Student's t through its variance).
    """
    for members in (first, second):
        if members.size < 2:
            raise ValueError(
                "A group with one sample does not tell how much replicates differ in the latent state: give groups of at "
                f"least 2 (these have {first.size} and {second.size})."
            )
    design = hidden.study.design.matrix
    columns = latent_columns(hidden.rate_differences, design, hidden.network.n_latent)
    if columns.empty:
        raise ValueError(
            "The groups are not in the design, and the latent state holds nothing: the samples support no direction of it "
            "(model.latent_report() is empty). Put the groups into the design: setup_anndata(design=...)."
        )
    regression = regress_genes(hidden.study, pd.concat([design, columns], axis=1))
    z = columns.to_numpy()
    weights = pd.Series(z[first].mean(0) - z[second].mean(0), columns.columns)
    df = first.size + second.size - 2
    within = sum((z[group] - z[group].mean(0)).T @ (z[group] - z[group].mean(0)) for group in (first, second)) / df
    heavier = df / (df - 2) if df > 2 else 3.0
    covariance = heavier * (1 / first.size + 1 / second.size) * within
    sides = tuple(np.isin(np.arange(len(z)), group) for group in (first, second))
    return ContrastInRegression(
        regression, weights, pd.DataFrame(covariance, weights.index, weights.index), (sides[0], sides[1]), len(weights)
    )
