"""A study beside a reference cohort: regressions of the genes given the samples' states along the cohort's directions."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.contrast import Contrast, LatentColumns
from bulkvi.regression.hidden import (
    HiddenVariation,
    Network,
    chance_variance,
    latent_names,
)
from bulkvi.regression.regression import GeneRegression, regress_genes
from bulkvi.stats.dispersion.prior import KnownDeviation
from bulkvi.stats.genes import effect_ridge
from bulkvi.stats.hidden.hidden_factors import Alignment, align
from bulkvi.stats.reference.genes import ReferenceGenes
from bulkvi.stats.reference.states import StudyStates, carried_p_value, study_states, telling_genes
from bulkvi.study.study import Study
from bulkvi.study.study_design import StudyDesign, is_coded

ROUNDS = 2
"""Of states and regressions: the dispersions beside the directions weigh the genes anew, once."""


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

    @property
    def share(self) -> np.ndarray:
        """Share of the residual variance of the design, genes in units of their noise, that each direction takes."""
        return (self.states.mean**2).sum(0) / self.states.residual_df * self._square

    @property
    def share_by_chance(self) -> np.ndarray:
        """The same of states that are estimation error alone."""
        return np.diagonal(self.states.covariance) * self._square

    @property
    def used(self) -> np.ndarray:
        """Genes that the cohort has and that have counts enough, boolean."""
        return self.genes.known & self.plain.informative

    @cached_property
    def _square(self) -> np.ndarray:
        """Mean squared loading of these genes in units of their noise, directions."""
        return ((self.loadings * self.plain.precision)[:, self.used] ** 2).mean(1)

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

    @cached_property
    def moves(self) -> pd.DataFrame:
        """How far each column of the design stands along each direction, in standard deviations of the cohort; directions x columns.

        A column is what it says beside the others, per standard deviation of it in the samples, or between two coded levels.
        """
        features = self.plain.features
        matrix = features.to_numpy()
        free = features.columns[np.ptp(matrix, axis=0) > 0]
        unit = np.where(is_coded(matrix), 1.0, matrix.std(0))
        found = {}
        for name in free:
            weights = pd.Series((features.columns == name) * unit, features.columns)
            found[name] = self.align(weights, 0, common=True).delta
        return pd.DataFrame(found, index=range(len(self.loadings)))

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


def deviation_alone(genes: ReferenceGenes) -> KnownDeviation:
    """What the cohort says of the dispersions beside its design alone."""
    return KnownDeviation(genes.log_dispersion_alone - genes.log_trend_alone, genes.log_dispersion_alone_sd)


def deviation_beside(genes: ReferenceGenes) -> KnownDeviation:
    """What the cohort says of the dispersions beside its directions."""
    return KnownDeviation(genes.log_dispersion - genes.log_trend, genes.log_dispersion_sd)
