"""The design alone beside the design with latent columns: two models of one contrast, averaged where both are honest."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bulkvi.regression.regression import GeneRegression, Sides
from bulkvi.stats.effects.effect import absolute_z, log_p_value
from bulkvi.stats.effects.likelihood_ratio import ContrastedEffect
from bulkvi.stats.effects.noise_inflation import (
    ExpectedInflation,
    NoiseInflation,
    is_shared,
    null_inflation,
    split_inflation,
)
from bulkvi.stats.effects.summary import CompositionShift

CHANCE = 1.0
"""Squared alignment over that of chance up to which the hidden factors do not widen the statistics of the design alone."""
Located = tuple[ContrastedEffect, CompositionShift]
"""A contrast of every gene, and the shift that most effects share."""


class DesignAlone(NamedTuple):
    """Part of the regression on the design alone in a contrast that is adjusted for latent columns."""

    regression: GeneRegression
    weights: pd.Series
    sides: Sides
    probability: float
    """Probability that the design alone says more about the contrast than the design with latent columns."""
    factor: float
    """Factor on the variances given latent columns, where these say more."""
    inflation: NoiseInflation | None
    """Factors that posteriors are averaged over, in addition; None for those of the regression."""

    def averaged(self, contrasted: ContrastedEffect, null: float) -> ContrastedEffect:
        """Average a contrast that is adjusted for latent columns with that of the design alone."""
        own = self.regression.contrast(self.weights, None, self.sides, null)
        return contrasted.widened(self.factor).averaged(own, self.probability)


def alignment_ratio(loadings: np.ndarray, delta: np.ndarray, se: np.ndarray, chance: float) -> float:
    r"""Compute how far hidden factors lie along a contrast, relative to chance, in the statistics of the design alone.

    .. math:: A = \frac{\sum_g (W_g^\top \delta)^2 / s_g^2}{v \sum_g \lVert W_g \rVert^2 / s_g^2}

    with loadings W (factors x genes), alignment :math:`\delta`, standard errors s given the design alone and v the variance of
    :math:`\delta` by chance (``chance``). Where the factors are a share :math:`\rho` of the noise, null statistics of the
    design alone have the variance :math:`1 - \rho + \rho A`. It does not depend on a rotation of the factors.
    """
    scaled = loadings / se
    usual = chance * float((scaled**2).sum())
    return float(((delta @ scaled) ** 2).sum()) / usual if usual > 0 else 0.0


def design_alone(
    plain: GeneRegression,
    weights: pd.Series,
    sides: Sides,
    located: Located,
    expected: ExpectedInflation,
    *,
    information: float,
    along: float,
) -> DesignAlone | None:
    r"""Find the part of the design alone in a contrast adjusted for latent columns; None where it has none.

    Statistics given latent columns that are wide are so by noise that genes still share, or by many small effects
    (`null_inflation`). If shared noise is more probable, all statistics are widened, and the design alone is no way out:
    its statistics are wide by the same noise. If small effects are, the width f of the noise is uncertain, and
    these statistics do not tell it. Then the design alone is honest too, where the hidden factors lie along the contrast no more
    than by chance (``along`` up to 1): the noise of the factors is in its standard errors. Which of both says more depends on
    f: latent columns have I times the information of the design alone (``information``), divided by f. So

    .. math:: p = q \, p_0 + (1 - q) \, p_k(\tilde f), \qquad q = \Pr(f > I \mid f < F)

    with F the width of the statistics, ``located`` about the shift that most effects share, and :math:`\tilde f` the median of f
    below I and F. Posteriors remain averaged over all f, shared noise among them: it misleads them most.
    """
    if along > CHANCE:
        return None
    contrasted, shift = located
    log_p = log_p_value(contrasted.effect.shifted(shift.shift))[plain.informative]
    inflation = null_inflation(absolute_z(log_p), expected)
    if is_shared(inflation, expected):
        return None
    above, factor = split_inflation(information, inflation, expected)
    return DesignAlone(plain, weights, sides, above, factor, inflation)
