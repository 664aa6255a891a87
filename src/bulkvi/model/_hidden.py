"""Effects beside a latent state: held fixed, carried by it, or both."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from bulkvi.model._latent_columns import latent_columns
from bulkvi.model._regression import GeneRegression, Sides, regress_genes
from bulkvi.stats.alignment import Alignment, align
from bulkvi.stats.empirical_null import ExpectedInflation
from bulkvi.stats.latent_number import LatentNumber, latent_number
from bulkvi.stats.separation import compared_sides

EffectKind = Literal["direct", "latent", "total"]
SEED = 0


class Weighted(NamedTuple):
    """An effect as weights of the columns of a regression."""

    regression: GeneRegression
    weights: pd.Series
    covariance: pd.DataFrame | None
    """Covariance of the weights."""
    sides: Sides | None
    n_latent: int
    """Latent columns in the regression."""
    expected: ExpectedInflation | None = None
    """Where most genes are known not to change: the factor on the variances that held-out contrasts let expect."""


def check_latent(effect: str | None, latent_columns: Any, n_latent: int) -> None:
    """Raise unless the kind of effect is known and the number of latent columns exists."""
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


def count_latent(regression: GeneRegression) -> LatentNumber:
    """How many latent columns the residuals of the design call for. The simulated counts have a fixed seed."""
    return latent_number(
        regression.counts,
        regression.features.to_numpy(),
        regression.offset,
        regression.fit,
        np.random.default_rng(SEED),
        regression.random,
    )


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


def latent_names(features: pd.DataFrame, weights: pd.Series) -> list[str]:
    """Latent columns among the features: those that weights of all columns of the design do not name."""
    return [name for name in features.columns if name not in weights.index]


class HiddenRegression(NamedTuple):
    """All genes regressed on the design and the leading latent columns."""

    regression: GeneRegression
    expected: ExpectedInflation | None
    """How much wider statistics are expected to be than it says; None where nothing is known."""


def hidden_regression(model: Any, plain: GeneRegression, number: int | Literal["auto"]) -> HiddenRegression | None:
    """All genes regressed on the design and the leading latent columns; None if no column enters.

    With ``number="auto"`` the residuals say how many do (`bulkvi.stats.latent_number`).
    """
    if number == 0:
        return None
    counted = count_latent(plain)
    wanted = counted.number if number == "auto" else number
    columns = latent_columns(model, plain.features, wanted, plain.precision) if wanted else None
    if columns is None:
        return None
    entered = columns.shape[1]
    known = entered < counted.inflation.shape[1]
    expected = ExpectedInflation(*map(float, counted.inflation[:, entered])) if known else None
    features = pd.concat([plain.features, columns], axis=1)
    return HiddenRegression(regress_genes(model.adata_manager, features, fewer=plain.outliers), expected)


def beside_latent(
    model: Any,
    plain: GeneRegression,
    weights: pd.Series,
    kind: EffectKind,
    number: int | Literal["auto"],
    *,
    common: bool,
) -> Weighted:
    """An effect of the design with the latent state held fixed, the part the latent state carries, or their sum.

    With ``number="auto"`` no latent column enters where the alignment with the contrast cannot be estimated
    (`bulkvi.stats.alignment`, with ``common`` as there).

    Raises
    ------
    ValueError
        If the part of the latent state is asked for and no column enters.
    """
    sides = compared_sides(plain.features.to_numpy(), weights.to_numpy())
    hidden = hidden_regression(model, plain, number)
    if hidden is not None:
        alignment = align_with(hidden.regression, weights, common=common)
        if alignment.accepted or number != "auto":
            return _parts(hidden, weights, alignment, kind, sides)
    if kind == "latent":
        raise ValueError(
            "effect='latent': no latent column enters this comparison, so the latent state carries nothing of it "
            "(model.latent_report() says why). Ask for 'direct', or give latent_columns as a number."
        )
    return Weighted(plain, weights, None, sides, 0)


def _parts(
    beside: HiddenRegression, weights: pd.Series, alignment: Alignment, kind: EffectKind, sides: Sides
) -> Weighted:
    hidden = beside.regression
    names = latent_names(hidden.features, weights)
    n, p = hidden.features.shape
    # of a latent column the samples of a group are a sample: its contrast varies by chance from study to study
    chance = chance_variance(hidden.features, weights) * n / (n - p + len(names)) * np.eye(len(names))
    delta = pd.Series(alignment.delta, names)
    uncertain = alignment.covariance
    if kind == "direct":
        combined, covariance = pd.concat([weights, -delta]), uncertain
    elif kind == "latent":
        combined, covariance = delta, uncertain + chance
    else:
        combined, covariance = weights, chance
    expected = beside.expected if kind == "direct" and alignment.accepted else None
    return Weighted(hidden, combined, pd.DataFrame(covariance, names, names), sides, len(names), expected)


def latent_alone(model: Any, design: pd.DataFrame, first: np.ndarray, second: np.ndarray) -> Weighted:
    """What the latent state says about two groups that the design does not hold.

    All latent columns enter; the contrast is the difference of the groups' mean latent state, uncertain by how much the
    replicates within the groups differ in it (Student's t through its variance).

    Raises
    ------
    ValueError
        If a group has one sample, or no residual degrees of freedom are left.
    """
    for members in (first, second):
        if members.size < 2:
            raise ValueError(
                "A group with one sample does not tell how much replicates differ in the latent state: give groups of at "
                f"least 2 (these have {first.size} and {second.size})."
            )
    columns = latent_columns(model, design, model.module.n_latent)
    regression = regress_genes(model.adata_manager, pd.concat([design, columns], axis=1))
    z = columns.to_numpy()
    weights = pd.Series(z[first].mean(0) - z[second].mean(0), columns.columns)
    df = first.size + second.size - 2
    within = sum((z[group] - z[group].mean(0)).T @ (z[group] - z[group].mean(0)) for group in (first, second)) / df
    heavier = df / (df - 2) if df > 2 else 3.0
    covariance = heavier * (1 / first.size + 1 / second.size) * within
    sides = tuple(np.isin(np.arange(len(z)), group) for group in (first, second))
    return Weighted(
        regression, weights, pd.DataFrame(covariance, weights.index, weights.index), (sides[0], sides[1]), len(weights)
    )
