"""Regression of every gene's counts on the columns of a design."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import qr

from bulkvi.stats.dispersion.prior import KnownDeviation
from bulkvi.stats.donors.donors import Donors
from bulkvi.stats.donors.fit import DonorFit, fit_donor_genes
from bulkvi.stats.effects.effect import EffectLikelihood, effect_likelihood
from bulkvi.stats.effects.independent_genes import ExpectedInflation
from bulkvi.stats.effects.likelihood_ratio import ContrastedEffect, handle_separation
from bulkvi.stats.effects.noise_inflation import NoiseInflation, expected_alone, noise_inflation
from bulkvi.stats.effects.readings import ReadEffects
from bulkvi.stats.effects.summary import CompositionShift, composition_shift
from bulkvi.stats.genes import FittedGenes, effect_ridge, fit_genes
from bulkvi.stats.hidden.hidden_factors import MIN_RESIDUAL_DF
from bulkvi.stats.outliers.outliers import Outliers, find_outliers
from bulkvi.stats.outliers.readings import Readings, fill_unjudged, weigh_readings
from bulkvi.study.study import Study
from bulkvi.study.study_design import intercept_of, is_coded

NEAR_ZERO = 1e-8
MIN_COUNTS = 10
"""Genes with fewer counts over all samples say little; `bulkvi.pp.filter_genes` leaves them out."""
Sides = tuple[np.ndarray, np.ndarray]
"""Samples that an effect rises with, and those that it falls with, as masks."""


class GeneRegression(NamedTuple):
    """Regressions of all genes."""

    counts: np.ndarray
    """Samples x genes, float64."""
    offset: np.ndarray
    """Natural log of the size factors, one a sample; with an offset that of what multiplies each rate, samples x genes."""
    features: pd.DataFrame
    """Samples x columns; measurements about their mean."""
    outliers: Outliers
    """Counts far from the others like them, and the weights that they keep."""
    fit: FittedGenes
    inflation: NoiseInflation
    """How strongly the noise of genes is shared."""
    donors: DonorFit | None = None
    """Random intercepts of donors, where there are any."""
    readings: Readings | None = None
    """Genes of which counts may be outlying, fitted with and without them; None where no count is suspected, and beside donors."""

    @property
    def informative(self) -> np.ndarray:
        """Genes with counts enough to say what the usual gene does, boolean."""
        return self.counts.sum(0) >= MIN_COUNTS

    @property
    def base_mean(self) -> np.ndarray:
        """Plain mean of each gene's count / size factor (/ relative offset); that of the fit leaves outlying counts out."""
        exposure = np.exp(self.offset)
        return np.einsum("sg,s->g" if exposure.ndim == 1 else "sg,sg->g", self.counts, 1 / exposure) / len(self.counts)

    @property
    def expected_alone(self) -> ExpectedInflation | None:
        """Expected inflation of contrasts, where too few residual degrees of freedom are left to look for latent columns."""
        n, p = self.features.shape
        return expected_alone(self.inflation) if n - p <= MIN_RESIDUAL_DF else None

    @property
    def precision(self) -> np.ndarray:
        """One over the standard deviation of the log of a count at each gene's mean."""
        return np.sqrt(self.fit.base_mean / (1 + np.exp(self.fit.prior.mean) * self.fit.base_mean))

    @property
    def ridge(self) -> np.ndarray:
        """Prior precision of the coefficients."""
        return effect_ridge(self.features.to_numpy())

    @property
    def random(self) -> Donors | None:
        """Donors' effects at the nodes."""
        return None if self.donors is None else self.donors.donors

    @property
    def weights(self) -> np.ndarray | None:
        """Weights of the observations; None where all are 1."""
        return self.outliers.kept

    def effect(self, weights: pd.Series, covariance: pd.DataFrame | None = None) -> EffectLikelihood:
        """Likelihood of the sum with these weights of the columns; columns that are not named get none.

        ``covariance`` is that of the weights themselves, where they are estimates.
        """
        return effect_likelihood(self.fit.nodes, self._vector(weights), self._matrix(covariance))

    def contrast(
        self, weights: pd.Series, covariance: pd.DataFrame | None = None, sides: Sides | None = None, null: float = 0.0
    ) -> ContrastedEffect:
        """The same of a comparison, with its p-value against ``null``, where genes may have no count on one side."""
        # a side without counts stays one if its only count is outlying
        contrasted = handle_separation(
            self.effect(weights, covariance),
            self.counts if self.weights is None else np.where(self.outliers.dropped, 0, self.counts),
            self.features.to_numpy(),
            self._vector(weights),
            self.fit,
            offset=self.offset,
            ridge=self.ridge,
            weights=self.weights,
            donors=self.random,
            sides=sides,
            null=null,
        )
        if self.readings is None:
            return contrasted
        gene, dropped = self.readings.gene, self.readings.dropped
        read = handle_separation(
            effect_likelihood(self.readings.fit.nodes, self._vector(weights), self._matrix(covariance)),
            np.where(dropped, 0, self.counts[:, gene]),
            self.features.to_numpy(),
            self._vector(weights),
            self.readings.fit,
            offset=self.offset if self.offset.ndim == 1 else self.offset[:, gene],
            ridge=self.ridge,
            weights=(~dropped).astype(float),
            sides=sides,
            null=null,
        )
        readings = ReadEffects(gene, self.readings.probability, read.effect, read.log_p)
        return contrasted._replace(readings=readings)

    def recentred(
        self,
        weights: pd.Series,
        covariance: pd.DataFrame | None = None,
        sides: Sides | None = None,
        *,
        subtract: bool = True,
    ) -> tuple[ContrastedEffect, CompositionShift]:
        """Compute a comparison and the shift that most effects share; with ``subtract`` p-values are against that shift."""
        contrasted = self.contrast(weights, covariance, sides)
        shift = composition_shift(contrasted.effect, self.informative)
        if subtract and shift.shift:
            contrasted = self.contrast(weights, covariance, sides, shift.shift)
        return contrasted, shift

    def coefficients(self, columns: list[str]) -> np.ndarray:
        """Coefficients of some columns, averaged over the dispersion; columns x genes, natural log."""
        position = self.features.columns.get_indexer(columns)
        return np.einsum("kg,kpg->pg", self.fit.nodes.weight, self.fit.nodes.coef[:, position])

    def _vector(self, weights: pd.Series) -> np.ndarray:
        return weights.reindex(self.features.columns, fill_value=0.0).to_numpy()

    def _matrix(self, covariance: pd.DataFrame | None) -> np.ndarray | None:
        if covariance is None:
            return None
        names = self.features.columns
        return covariance.reindex(index=names, columns=names, fill_value=0.0).to_numpy()


def regress_genes(
    study: Study,
    features: pd.DataFrame,
    *,
    reduced: GeneRegression | None = None,
    reference: KnownDeviation | None = None,
) -> GeneRegression:
    """Regress the counts of every gene on the features.

    ``reduced`` is the regression on fewer features: its outliers are used for samples that cannot be judged given all.
    ``reference`` is what a cohort says of the genes' dispersions.
    """
    n, p = features.shape
    features = centred(features)
    if n <= p:
        raise ValueError(
            f"{n} samples and {p} columns ({list(features.columns)}) leave no residual degrees of freedom: how much "
            "replicates differ cannot be learned. Add replicates, drop covariates, or leave the latent columns out."
        )
    counts, offset, donor = study.counts, study.log_exposure, study.donor
    matrix = features.to_numpy()
    if donor is not None:
        return _regress_donor_genes(counts, offset, features, donor, reduced)
    given: dict[str, Any] = {"offset": offset, "ridge": effect_ridge(matrix)}
    outliers = find_outliers(counts, matrix, **given)
    judged, before = outliers.judged, None
    if reduced is not None:
        outliers, before = fill_unjudged(outliers, reduced.outliers), reduced.readings
    fit = fit_genes(counts, matrix, weights=outliers.kept, reference=reference, **given)
    outliers, readings = weigh_readings(counts, matrix, fit, outliers, before, judged=judged, **given)
    inflation = noise_inflation(counts, matrix, offset, fit)
    return GeneRegression(counts, offset, features, outliers, fit, inflation, None, readings)


def _regress_donor_genes(
    counts: np.ndarray, offset: np.ndarray, features: pd.DataFrame, donor: np.ndarray, reduced: GeneRegression | None
) -> GeneRegression:
    """Regress on the features and random intercepts; outliers are judged beside fixed columns for the donors."""
    matrix = features.to_numpy()
    known = add_donor_columns(matrix, donor)
    given: dict[str, Any] = {"offset": offset, "ridge": effect_ridge(known)}
    outliers = find_outliers(counts, known, **given)
    if outliers.suspected.gene.size:
        fit = fit_genes(counts, known, weights=outliers.kept, **given)
        outliers, _ = weigh_readings(counts, known, fit, outliers, judged=outliers.judged, **given)
    if reduced is not None:
        outliers = fill_unjudged(outliers, reduced.outliers)
    mixed = fit_donor_genes(counts, matrix, donor, offset=offset, ridge=effect_ridge(matrix), weights=outliers.kept)
    inflation = noise_inflation(counts, matrix, offset, mixed.genes, mixed.donors)
    return GeneRegression(counts, offset, features, outliers, mixed.genes, inflation, mixed)


def add_donor_columns(features: np.ndarray, donor: np.ndarray) -> np.ndarray:
    """Add an indicator for each donor with several samples, as far as the features do not determine it.

    The samples of a donor whose own level of a gene is far from the others' agree with each other: they are no outliers.
    """
    codes, size = np.unique(donor, return_counts=True)
    belongs = (donor[:, None] == codes[size > 1]).astype(float)
    left = belongs - features @ np.linalg.lstsq(features, belongs, rcond=None)[0]
    triangle, order = qr(left, mode="r", pivoting=True)
    length = np.abs(np.diagonal(triangle))
    return np.hstack([features, belongs[:, np.sort(order[: length.size][length > NEAR_ZERO])]])


def centred(features: pd.DataFrame) -> pd.DataFrame:
    """Subtract their mean from measurements: values far from 0 relative to their spread, such as years, lose digits.

    Contrasts have the same weights as before: the shift changes the level only, which no contrast contains.
    """
    matrix = features.to_numpy()
    return features - np.where(is_coded(matrix) | (intercept_of(features) != 0), 0.0, matrix.mean(0))
