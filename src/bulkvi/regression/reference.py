"""A study beside a reference cohort: regressions of the genes given the samples' states along the cohort's directions."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.contrast import Contrast, EffectKind, LatentColumns
from bulkvi.regression.hidden import (
    ContrastInRegression,
    HiddenVariation,
    Network,
    chance_covariance,
    chance_variance,
    latent_names,
)
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.dispersion.prior import KnownDeviation
from bulkvi.stats.effects.likelihood_ratio import compared_sides
from bulkvi.stats.genes import FittedGenes, effect_ridge
from bulkvi.stats.hidden.hidden_factors import Alignment, align
from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.stats.reference.states import StudyStates, carried_p_value, study_states, telling_genes
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign

ROUNDS = 2
"""Of states and regressions: the dispersions beside the directions weigh the genes anew, once."""
CARRIED = 1e-3
"""p-value below which groups stand further apart along the directions than chance explains. Equal groups are then left with their
chance difference, in hundreds of genes, once in a thousand comparisons; a treatment that acts along a direction is far below."""


class AlignedReference(NamedTuple):
    """A contrast beside a reference."""

    regression: GeneRegression
    """Given the states off the design, and latent columns of the study's own."""
    alignment: Alignment
    """Of the study's own latent columns, then of the directions, in standard deviations of the cohort."""
    own: list[str]
    """Latent columns of the study's own."""
    carried: float
    """p-value that the groups stand no further apart along the directions than their replicates do."""

    @property
    def delta(self) -> np.ndarray:
        """Difference along the directions."""
        return self.alignment.delta[len(self.own) :]


class BeyondReference(NamedTuple):
    """What a network decodes beyond the span of a reference's loadings: directions of the study's own."""

    network: Network
    loadings: np.ndarray
    precision: np.ndarray
    """Of each gene, as that of latent columns."""

    @property
    def n_latent(self) -> int:
        """Dimension of the network's latent state."""
        return self.network.n_latent

    def rate_differences(self, design: StudyDesign) -> np.ndarray:
        """Decoded log rates less those at the mean state, less their least squares on the loadings; samples x genes."""
        difference = self.network.rate_differences(design)
        scaled = (self.loadings * self.precision).T
        return difference - np.linalg.lstsq(scaled, (difference * self.precision).T, rcond=None)[0].T @ self.loadings

    def decoded_log_fc(self, design: StudyDesign, compared: Contrast) -> np.ndarray:
        """Difference of decoded log2 rates, of the network."""
        return self.network.decoded_log_fc(design, compared)


@dataclass(frozen=True, eq=False)
class ReferenceVariation:
    """Regressions of a study given what a reference cohort says of its genes."""

    study: Study
    plain: GeneRegression
    """On the design alone, under the dispersions of the cohort's design alone."""
    genes: ReferenceGenes
    network: Network

    @cached_property
    def loadings(self) -> np.ndarray:
        """Directions x genes; 0 for genes that the cohort lacks."""
        return np.where(self.genes.known, self.genes.loadings, 0.0)

    @cached_property
    def loadings_variance(self) -> np.ndarray:
        """Their posterior variance in the cohort."""
        return np.where(self.genes.known, self.genes.loadings_sd, 0.0) ** 2

    @cached_property
    def _fitted(self) -> tuple[StudyStates, Study, GeneRegression]:
        study, features, regression = self.study, self.plain.features, self.plain
        for _ in range(ROUNDS):
            states = self._states(features.to_numpy(), regression)
            moved = study.with_log_rates(states.mean @ self.loadings)
            regression = regress_genes(moved, features, reference=deviation_beside(self.genes))
        return states, moved, regression

    def _states(self, features: np.ndarray, regression: GeneRegression) -> StudyStates:
        """States off these features, genes weighed by the dispersions of a regression."""
        genes = telling_genes(self.plain.fit.base_mean, self.genes.known)
        offset = self.study.log_exposure
        return study_states(
            self.study.counts[:, genes],
            features,
            self.loadings[:, genes],
            self.loadings_variance[:, genes],
            offset=offset if offset.ndim == 1 else offset[:, genes],
            ridge=effect_ridge(features),
            dispersion=np.exp(regression.fit.prior.mean[genes]),
        )

    @property
    def unit(self) -> np.ndarray:
        """Root mean square over the genes of the log2 loadings, directions: a distance of 1 in the state, in log2."""
        return np.sqrt((self.loadings[:, self.genes.known] ** 2).mean(1)) / np.log(2)

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Samples x directions, about their mean and whatever the design: the root mean square log2 fold change along each."""
        return self._states(np.ones((len(self.study.counts), 1)), self.beside).mean * self.unit

    @cached_property
    def share(self) -> np.ndarray:
        """Share of the residual variance of the design, genes in units of their noise, that each direction takes."""
        scaled = (self.loadings * self.plain.precision) ** 2
        used = self.genes.known & self.plain.informative
        return (self.states.mean**2).sum(0) * scaled[:, used].mean(1) / self.states.residual_df

    @cached_property
    def share_by_chance(self) -> np.ndarray:
        """The same of states that are estimation error alone."""
        scaled = (self.loadings * self.plain.precision) ** 2
        used = self.genes.known & self.plain.informative
        return np.diagonal(self.states.covariance) * scaled[:, used].mean(1)

    @property
    def states(self) -> StudyStates:
        """States of the samples along the directions, off the design."""
        return self._fitted[0]

    @property
    def beside(self) -> GeneRegression:
        """All genes regressed on the design given the states."""
        return self._fitted[2]

    @cached_property
    def hidden(self) -> HiddenVariation:
        """Latent columns of the study's own, beside the directions."""
        _, moved, beside = self._fitted
        network = BeyondReference(self.network, self.loadings, beside.precision)
        return HiddenVariation(moved, beside, network, deviation_beside(self.genes))

    def align(self, weights: pd.Series, number: LatentColumns, *, common: bool) -> AlignedReference:
        """Estimate how far the directions, and latent columns of the study's own, differ along a contrast."""
        adjusted = self.hidden.regression(number)
        regression = self.beside if adjusted is None else adjusted.regression
        own = latent_names(regression.features, weights)
        effect, used = regression.effect(weights), regression.informative
        chance = chance_variance(regression.features, weights)
        scale = np.append(np.ones(len(own)), self.states.scale)
        loadings = np.vstack([regression.coefficients(own), self.loadings]) * scale[:, None]
        found = align(effect.mean()[used], effect.sd()[used], loadings[:, used], chance, common=common)
        found = found._replace(delta=found.delta * scale, covariance=found.covariance * np.outer(scale, scale))
        carried = carried_p_value(self.states, found.delta[len(own) :], self.loadings, self.plain.precision, chance)
        return AlignedReference(regression, found, own, carried)

    def effect(
        self, weights: pd.Series, kind: EffectKind | None, number: LatentColumns, *, common: bool
    ) -> ContrastInRegression:
        """Effect of the design given the states, the part that the states carry, or their sum.

        By default (``kind`` None) the effect is direct. It is total where the directions cannot be told from it: where nearly all genes
        change, or where the groups stand further apart along the directions than their replicates do, which a treatment may do.
        """
        aligned = self.align(weights, number, common=common)
        sides = compared_sides(self.plain.features.to_numpy(), weights.to_numpy())
        carried = aligned.carried < CARRIED
        if not aligned.alignment.accepted or (carried and kind is None):
            if kind == "latent":
                raise ValueError(
                    "effect='latent': nearly all genes change, so the directions of the reference cannot be told from the effect. "
                    "Ask for 'total', or leave the effect out."
                )
            kind = "total"
        chosen = kind or "direct"
        regression, own = aligned.regression, aligned.own
        if chosen == "total" and not aligned.alignment.accepted:
            # as without a reference: no column of the study's own enters a comparison that it cannot be told from
            regression, own = self.beside, []
        chance = chance_variance(self.plain.features, weights)
        variance = self._variance(aligned, chance, chosen)
        through = aligned.delta @ self.loadings * (chosen != "total")
        moved = move(regression, weights.to_frame().T, through[None], variance[None], counts_apart=chosen == "latent")
        combined, covariance = weights, None
        if own:
            delta, among = pd.Series(aligned.alignment.delta[: len(own)], own), slice(0, len(own))
            uncertain = aligned.alignment.covariance[among, among]
            by_chance = chance_covariance(regression.features, weights)
            if chosen == "direct":
                combined, covariance = pd.concat([weights, -delta]), pd.DataFrame(uncertain, own, own)
            elif chosen == "latent":
                combined, covariance = pd.concat([weights, delta]), pd.DataFrame(uncertain + by_chance, own, own)
            else:
                covariance = pd.DataFrame(by_chance, own, own)
        adjusted = self.hidden.regression(number) if own else None
        expected = self.plain.expected_alone if chosen == "total" else self.beside.expected_alone
        if adjusted is not None and chosen == "direct" and aligned.alignment.accepted:
            expected = adjusted.expected
        if chosen == "total":
            moved = moved._replace(inflation=self.plain.inflation)
        return ContrastInRegression(
            moved, combined, covariance, sides, len(own), expected, kind=chosen, carried=aligned.carried
        )

    def _variance(self, aligned: AlignedReference, chance: float, kind: EffectKind) -> np.ndarray:
        """Variance of an effect by the directions, genes: uncertain position along it, and chance difference of the groups.

        Uncertain loadings make noise in every sample, which the dispersions contain as far as the groups differ by chance.
        """
        k = len(aligned.own)
        among = np.zeros((len(self.loadings), len(self.loadings)))
        if kind != "total":
            among += aligned.alignment.covariance[k:, k:]
        if kind != "direct":
            among += chance * self.states.spread
        variance = np.einsum("kg,kl,lg->g", self.loadings, among, self.loadings, optimize=True)
        if kind == "total":
            return variance
        excess = aligned.delta**2 @ self.loadings_variance - chance * self.states.scale**2 @ self.loadings_variance
        return variance + excess.clip(0)


def deviation_alone(genes: ReferenceGenes) -> KnownDeviation:
    """What the cohort says of the dispersions beside its design alone."""
    return KnownDeviation(genes.log_dispersion_alone - genes.log_trend_alone, genes.log_dispersion_alone_sd)


def deviation_beside(genes: ReferenceGenes) -> KnownDeviation:
    """What the cohort says of the dispersions beside its directions."""
    return KnownDeviation(genes.log_dispersion - genes.log_trend, genes.log_dispersion_sd)


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
