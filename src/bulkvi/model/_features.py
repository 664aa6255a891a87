"""The columns that each gene's counts are regressed on, with their names."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch

from bulkvi.model._covariates import CovariateCoding
from bulkvi.model._design import INTERCEPT
from bulkvi.model._registered import Registry, code_samples, has_intercept, registered_columns
from bulkvi.stats.rank import aliased_columns

NEAR_ONE = 1e-6
NEAR_SPAN = 1e-6


@dataclass(frozen=True)
class Features:
    """Design, batches and covariates as one matrix with an intercept in its span, and how to code other samples so.

    Columns that the samples cannot tell from those before them are left out: new samples need not have all batches of the
    reference, nor span its design.

    Parameters
    ----------
    registry
        Registry of the model.
    coding
        How the model codes covariates.
    obs
        The samples of the model.
    """

    registry: Registry
    coding: CovariateCoding
    obs: pd.DataFrame

    def matrix(self) -> pd.DataFrame:
        """The samples of the model: samples x columns, float64, of full column rank.

        Columns have the names of the formula's terms; batches and categories ``"<column>[T.<level>]"``.
        """
        return self.of(self.obs)

    def of(self, obs: pd.DataFrame) -> pd.DataFrame:
        """The matrix of samples that need not exist, one for each row of ``obs``."""
        return self.all_columns(obs).iloc[:, self._kept]

    def all_columns(self, obs: pd.DataFrame) -> pd.DataFrame:
        """The same with the columns that are left out."""
        columns = self._covariates(obs)
        if self._needs_intercept:
            columns.insert(0, INTERCEPT, 1.0)
        return columns

    def told_apart(self, weights: pd.Series) -> bool:
        """Whether the samples tell the sum with these weights of all columns: then those of the columns kept are enough.

        A column that is left out is a sum of columns kept, and so must be its weight.
        """
        matrix = self.all_columns(self.obs).to_numpy()
        scale = np.abs(matrix).max(0)
        scale[scale == 0] = 1
        unit, wanted = matrix / scale, weights.to_numpy() / scale
        made_of = np.linalg.lstsq(unit[:, self._kept], unit, rcond=None)[0]
        left = wanted - wanted[self._kept] @ made_of
        return bool(np.abs(left).max() <= NEAR_SPAN * max(np.abs(wanted).max(), 1e-300))

    def _covariates(self, obs: pd.DataFrame) -> pd.DataFrame:
        coded = self.coding.code(code_samples(self.registry, obs), torch.float64)
        names = registered_columns(self.registry)
        blocks = [pd.DataFrame(index=obs.index)]
        for kind in self.coding.widths:
            blocks.append(pd.DataFrame(coded[kind].numpy(), index=obs.index, columns=names[kind]))
        return pd.concat(blocks, axis=1)

    @cached_property
    def _needs_intercept(self) -> bool:
        """A formula without intercept may still have one in the sum of its columns, as ``~ 0 + group``."""
        if has_intercept(self.registry):
            return True
        own = self._covariates(self.obs)
        return bool(np.abs(own.to_numpy() @ intercept_of(own) - 1).max() > NEAR_ONE)

    @cached_property
    def _kept(self) -> list[int]:
        matrix = self.all_columns(self.obs).to_numpy()
        aliased = aliased_columns(matrix)
        return [column for column in range(matrix.shape[1]) if column not in aliased]


def centred(features: pd.DataFrame) -> pd.DataFrame:
    """The same with measurements about their mean: what is far from 0 beside its spread, as years are, leaves no digits.

    A contrast weighs the columns as before: the shift goes into the level, which no contrast asks for.
    """
    matrix = features.to_numpy()
    return features - np.where(is_coded(matrix) | (intercept_of(features) != 0), 0.0, matrix.mean(0))


def is_coded(matrix: np.ndarray) -> np.ndarray:
    """Columns that hold 0, 1 and -1 only: categories, not measurements."""
    return ((matrix == 0) | (np.abs(matrix) == 1)).all(0)


def intercept_of(features: pd.DataFrame) -> np.ndarray:
    """Coefficients that come closest to giving 1 in every sample, whatever the columns' units; 0 where they are rounding."""
    if INTERCEPT in features and (features[INTERCEPT] == 1).all():
        return (features.columns == INTERCEPT).astype(float)
    matrix = features.to_numpy()
    scale = np.abs(matrix).max(0, initial=0.0)
    scale[scale == 0] = 1
    solution, *_ = np.linalg.lstsq(matrix / scale, np.ones(len(matrix)), rcond=None)
    solution[np.abs(solution) < NEAR_ONE * np.abs(solution).max(initial=0.0)] = 0.0
    return solution / scale
