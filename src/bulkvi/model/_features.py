"""The columns that each gene's counts are regressed on, with their names."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bulkvi.model._covariates import CovariateCoding
from bulkvi.model._design import INTERCEPT
from bulkvi.model._registered import Registry, code_samples, has_intercept, registered_columns

NEAR_ONE = 1e-6


@dataclass(frozen=True)
class Features:
    """Design, batches and covariates as one matrix with an intercept in its span, and how to code other samples so.

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
        """The samples of the model: samples x columns, float64.

        Columns have the names of the formula's terms; batches and categories ``"<column>[T.<level>]"``.
        """
        return self.of(self.obs)

    def of(self, obs: pd.DataFrame) -> pd.DataFrame:
        """The matrix of samples that need not exist, one for each row of ``obs``."""
        columns = self._covariates(obs)
        if self._needs_intercept:
            columns.insert(0, INTERCEPT, 1.0)
        return columns

    def _covariates(self, obs: pd.DataFrame) -> pd.DataFrame:
        coded = self.coding.code(code_samples(self.registry, obs))
        names = registered_columns(self.registry)
        blocks = [pd.DataFrame(index=obs.index)]
        for kind in self.coding.widths:
            blocks.append(pd.DataFrame(coded[kind].double().numpy(), index=obs.index, columns=names[kind]))
        return pd.concat(blocks, axis=1)

    @cached_property
    def _needs_intercept(self) -> bool:
        """A formula without intercept may still have one in the sum of its columns, as ``~ 0 + group``."""
        if has_intercept(self.registry):
            return True
        own = self._covariates(self.obs)
        return bool(np.abs(own.to_numpy() @ intercept_of(own) - 1).max() > NEAR_ONE)


def intercept_of(features: pd.DataFrame) -> np.ndarray:
    """Coefficients that come closest to giving 1 in every sample."""
    matrix = features.to_numpy()
    solution, *_ = np.linalg.lstsq(matrix, np.ones(len(matrix)), rcond=None)
    return solution
