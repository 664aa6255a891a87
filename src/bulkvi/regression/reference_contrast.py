"""Direct, latent and total effects of a comparison beside a reference cohort."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.contrast import EffectKind, LatentColumns
from bulkvi.regression.design_alone import DesignAlone, Located, alignment_ratio, design_alone
from bulkvi.regression.hidden import (
    ContrastInRegression,
    HiddenRegression,
    chance_covariance,
    chance_variance,
)
from bulkvi.regression.reference import AlignedReference, ReferenceVariation
from bulkvi.regression.regression import GeneRegression
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.likelihood_ratio import compared_sides
from bulkvi.stats.genes import FittedGenes

CARRIED = 0.01
"""p-value below which groups stand further apart along the directions than chance explains. At most one in a hundred comparisons of equal
groups is then left with their chance difference; at .001 a reference of both strains of yeast empties their difference at n = 3."""


class WithoutOwn(NamedTuple):
    """A contrast beside a reference and latent columns of the study's own, and without these."""

    located: Located
    """Given the latent columns."""
    aligned: AlignedReference
    """Without them."""
    part: DesignAlone | None
    """What the contrast without them has in the result; None where nothing."""


def effect_beside_reference(
    beside: ReferenceVariation, weights: pd.Series, kind: EffectKind | None, number: LatentColumns, *, common: bool
) -> ContrastInRegression:
    """Effect of the design given the states, the part that the states carry, or their sum.

    By default (``kind`` None) the effect is direct. It is total where the directions cannot be told from it: where nearly all genes
    change, or where the groups stand further apart along the directions than their replicates do, which a treatment may do.
    """
    aligned = beside.align(weights, number, common=common)
    carried = aligned.carried < CARRIED
    if not aligned.alignment.accepted or (carried and kind is None):
        if kind == "latent":
            raise ValueError(
                "effect='latent': nearly all genes change, so the directions of the reference cannot be told from the effect. "
                "Ask for 'total', or leave the effect out."
            )
        kind = "total"
    chosen = kind or "direct"
    if not aligned.alignment.accepted and aligned.own:
        # as without a reference: no column of the study's own enters a comparison that it cannot be told from
        aligned = beside.align(weights, 0, common=common)
    given = _given(beside, aligned, weights, chosen)
    adjusted = beside.hidden.regression(number) if aligned.own else None
    expected = None if adjusted is None else adjusted.expected
    if adjusted is None or expected is None or not aligned.alignment.accepted:
        return given
    if number != "auto":
        return given._replace(expected=expected) if chosen == "direct" else given
    alone = _without_own(beside, aligned, adjusted, expected, weights, common=common)
    if chosen == "direct":
        return given._replace(expected=expected, located=alone.located, alone=alone.part)
    if alone.part is None:
        return given
    if chosen == "total":
        plain = _given(beside, alone.aligned, weights, chosen).regression
        return given._replace(alone=alone.part._replace(regression=plain, factor=1.0, inflation=None))
    return _given(beside, aligned, weights, chosen, alone.aligned, alone.part.probability)


def _given(
    beside: ReferenceVariation,
    aligned: AlignedReference,
    weights: pd.Series,
    kind: EffectKind,
    other: AlignedReference | None = None,
    share: float = 0.0,
) -> ContrastInRegression:
    """One kind of effect; a latent one has the ``share`` of another alignment, without columns of the study's own."""
    own, regression = aligned.own, aligned.regression
    chance = chance_variance(beside.plain.features, weights)
    delta = aligned.delta if other is None else (1 - share) * aligned.delta + share * other.delta
    through = delta @ beside.loadings * (kind != "total")
    variance = _variance(beside, aligned, chance, kind)
    moved = move(regression, weights.to_frame().T, through[None], variance[None], counts_apart=kind == "latent")
    combined, covariance = weights, None
    if own:
        uncertain = aligned.alignment.covariance[: len(own), : len(own)]
        by_chance = chance_covariance(regression.features, weights)
        among = {"direct": uncertain, "latent": (1 - share) ** 2 * (uncertain + by_chance), "total": by_chance}[kind]
        covariance = pd.DataFrame(among, own, own)
        position = (
            pd.Series(aligned.alignment.delta[: len(own)], own)
            * {"direct": -1.0, "latent": 1 - share, "total": 0.0}[kind]
        )
        combined = pd.concat([weights, position])
    if kind == "total":
        moved = moved._replace(inflation=beside.plain.inflation)
    sides = compared_sides(beside.plain.features.to_numpy(), weights.to_numpy())
    expected = beside.plain.expected_alone if kind == "total" else beside.beside.expected_alone
    return ContrastInRegression(
        moved, combined, covariance, sides, len(own), expected, kind=kind, carried=aligned.carried
    )


def _without_own(
    beside: ReferenceVariation,
    aligned: AlignedReference,
    adjusted: HiddenRegression,
    expected: ExpectedInflation,
    weights: pd.Series,
    *,
    common: bool,
) -> WithoutOwn:
    """The direct effect given the directions alone, and its part beside latent columns of the study's own."""
    given = _given(beside, aligned, weights, "direct")
    located = given.regression.recentred(given.weights, given.covariance, given.sides, subtract=not common)
    other = beside.align(weights, 0, common=common)
    alone = _given(beside, other, weights, "direct")
    used = alone.regression.informative
    along = alignment_ratio(
        aligned.regression.coefficients(aligned.own)[:, used],
        aligned.alignment.delta[: len(aligned.own)],
        alone.regression.effect(weights).sd()[used],
        chance_variance(beside.plain.features, weights),
    )
    part = design_alone(
        alone.regression,
        weights,
        compared_sides(beside.plain.features.to_numpy(), weights.to_numpy()),
        located,
        expected,
        information=adjusted.information,
        along=along,
    )
    return WithoutOwn(located, other, part)


def _variance(beside: ReferenceVariation, aligned: AlignedReference, chance: float, kind: EffectKind) -> np.ndarray:
    """Variance of an effect by the directions, genes: uncertain position along it, and chance difference of the groups.

    Uncertain loadings make noise in every sample, which the dispersions contain as far as the groups differ by chance.
    """
    k = len(aligned.own)
    among = np.zeros((len(beside.loadings), len(beside.loadings)))
    if kind != "total":
        among += aligned.alignment.covariance[k:, k:]
    if kind != "direct":
        among += chance * beside.states.spread
    variance = np.einsum("kg,kl,lg->g", beside.loadings, among, beside.loadings, optimize=True)
    if kind == "total":
        return variance
    excess = aligned.delta**2 @ beside.loadings_variance - chance * beside.states.scale**2 @ beside.loadings_variance
    return variance + excess.clip(0)


def move(
    regression: GeneRegression,
    contrasts: pd.DataFrame,
    shift: np.ndarray,
    variance: np.ndarray,
    *,
    counts_apart: bool = False,
) -> GeneRegression:
    r"""Take a part of some contrasts of each gene, natural log, into its offset, and add a variance to each contrast.

    ``contrasts`` are weights of design columns, one contrast a row :math:`\psi`; ``shift`` and ``variance`` are contrasts x genes. With
    :math:`A = (X^\top X)^{-1} \psi^\top (\psi (X^\top X)^{-1} \psi^\top)^{-1}` rates are the same for coefficients less
    :math:`A s_g` and offsets plus :math:`X A s_g`. With ``counts_apart`` contrasts are the shift itself, whatever the counts.
    """
    names = regression.features.columns
    matrix, psi = regression.features.to_numpy(), contrasts.reindex(columns=names, fill_value=0.0).to_numpy()
    inner = np.linalg.solve(matrix.T @ matrix, psi.T)
    direction = inner @ np.linalg.inv(psi @ inner)
    own = ~names.isin(contrasts.columns)
    # latent columns are orthogonal to the design, so that they have no part in it but rounding
    direction[own] = 0.0
    row, column = np.tril_indices(len(names))

    def moved(fit: FittedGenes, genes: np.ndarray | slice) -> FittedGenes:
        nodes = fit.nodes
        added, taken = (direction[row] * direction[column]) @ variance[:, genes], direction @ shift[:, genes]
        if not counts_apart:
            return fit._replace(nodes=nodes._replace(coef=nodes.coef - taken, covariance=nodes.covariance + added))
        coef = np.where(own[:, None], nodes.coef, taken)
        covariance = np.where((own[row] & own[column])[:, None], nodes.covariance, 0.0) + added
        return fit._replace(nodes=nodes._replace(coef=coef, covariance=covariance))

    offset = regression.offset
    if not counts_apart:
        offset = (offset[:, None] if offset.ndim == 1 else offset) + matrix @ direction @ shift
    readings = regression.readings
    if readings is not None:
        readings = readings._replace(fit=moved(readings.fit, readings.gene))
    return regression._replace(offset=offset, fit=moved(regression.fit, slice(None)), readings=readings)
