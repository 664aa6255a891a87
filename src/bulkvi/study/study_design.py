"""The design of registered samples: formula, batches and covariates as columns of one matrix with names."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.stats.rank import aliased_columns
from bulkvi.study.design import INTERCEPT, Design, apply_design, columns_of_variable
from bulkvi.study.design_matrix import is_matrix_formula

BATCH = "batch"
FORMULA, CONTINUOUS, CATEGORY = "design", "continuous", "category"
NEAR_ONE = 1e-6
NEAR_SPAN = 1e-6


class Factor(NamedTuple):
    """A categorical column of obs beside the formula."""

    name: str
    levels: tuple[Any, ...]
    """Reference level first."""


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """Formula, batches and covariates of the samples, and how other samples are coded by them.

    Columns that depend linearly on those before them are dropped from :attr:`matrix`: new samples of a trained model need
    neither have all of its batches nor span its design.
    """

    adata: AnnData
    formula: Design | None = None
    continuous: tuple[str, ...] = ()
    """Columns of obs that are covariates beside the formula."""
    categories: tuple[Factor, ...] = ()
    batch: Factor | None = None

    @property
    def obs(self) -> pd.DataFrame:
        """The samples as they are now, one row each: columns may have been added since."""
        return self.adata.obs

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """Samples x columns, float64, of full column rank, with an intercept in its span.

        Columns have the names of the formula's terms; batches and categories ``"<column>[T.<level>]"``.
        """
        return self.full_matrix.iloc[:, self._kept]

    @cached_property
    def full_matrix(self) -> pd.DataFrame:
        """The same with the columns that are dropped."""
        return self.code_full(self.obs)

    def code(self, obs: pd.DataFrame) -> pd.DataFrame:
        """Code other samples as rows of :attr:`matrix`; raise ValueError on an unknown level."""
        return self.code_full(obs).iloc[:, self._kept]

    def code_full(self, obs: pd.DataFrame) -> pd.DataFrame:
        """Code samples as rows of :attr:`full_matrix`; raise ValueError on an unknown level."""
        columns = pd.concat([pd.DataFrame(index=obs.index), *self.blocks(obs).values()], axis=1)
        if self._needs_intercept:
            columns.insert(0, INTERCEPT, 1.0)
        return columns

    def blocks(self, obs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Columns of each kind of covariate (formula, continuous, each category, batch) without intercept, float64.

        Raises
        ------
        ValueError
            If a level is unknown.
        """
        blocks = {}
        if self.formula is not None:
            blocks[FORMULA] = apply_design(self.formula, obs).drop(columns=INTERCEPT, errors="ignore")
        if self.continuous:
            blocks[CONTINUOUS] = pd.DataFrame(
                obs[list(self.continuous)].to_numpy(float), obs.index, list(self.continuous)
            )
        for k, factor in enumerate(self.categories):
            blocks[f"{CATEGORY}_{k}"] = _indicators(obs, factor)
        if self.batch is not None:
            blocks[BATCH] = _indicators(obs, self.batch)
        return {kind: block for kind, block in blocks.items() if block.shape[1]}

    @property
    def variables(self) -> list[str]:
        """Columns of obs that the design reads: formula, batch and covariates."""
        names = [
            *(() if self.formula is None else self.formula.variables),
            *(() if self.batch is None else (self.batch.name,)),
            *(factor.name for factor in self.categories),
            *self.continuous,
        ]
        return list(dict.fromkeys(names))

    @property
    def categorical(self) -> list[str]:
        """Those of :attr:`variables` that are categories."""
        categories = {factor.name for factor in self.categories} | set(
            () if self.formula is None else self.formula.levels
        )
        if self.batch is not None:
            categories.add(self.batch.name)
        return [name for name in self.variables if name in categories]

    @property
    def is_matrix(self) -> bool:
        """Whether the design was given as a matrix: every column is a slope."""
        return self.formula is not None and is_matrix_formula(self.formula.formula)

    def columns_of(self, variable: str) -> list[str]:
        """Columns of the full matrix that depend on a column of obs, interactions included."""
        columns: list[str] = []
        if self.formula is not None:
            columns += columns_of_variable(self.formula, self.obs, variable)
        if self.batch is not None and variable == self.batch.name:
            columns += _indicator_names(self.batch)
        if variable in self.continuous:
            columns.append(variable)
        for factor in self.categories:
            if factor.name == variable:
                columns += _indicator_names(factor)
        return columns

    def is_estimable(self, weights: pd.Series) -> bool:
        """Whether these weights of all columns of the full matrix can be estimated from the columns kept.

        A dropped column is a sum of columns kept, and so must be its weight.
        """
        matrix = self.full_matrix.to_numpy()
        scale = np.abs(matrix).max(0)
        scale[scale == 0] = 1
        unit, wanted = matrix / scale, weights.to_numpy() / scale
        made_of = np.linalg.lstsq(unit[:, self._kept], unit, rcond=None)[0]
        left = wanted - wanted[self._kept] @ made_of
        return bool(np.abs(left).max() <= NEAR_SPAN * max(np.abs(wanted).max(), 1e-300))

    @cached_property
    def _needs_intercept(self) -> bool:
        """Whether no sum of the columns is constant; ``~ 0 + group`` has such a sum."""
        if self.formula is None or INTERCEPT in self.formula.columns:
            return True
        own = pd.concat(list(self.blocks(self.obs).values()), axis=1)
        return bool(np.abs(own.to_numpy() @ intercept_of(own) - 1).max() > NEAR_ONE)

    @cached_property
    def _kept(self) -> list[int]:
        matrix = self.full_matrix.to_numpy()
        aliased = aliased_columns(matrix)
        return [column for column in range(matrix.shape[1]) if column not in aliased]


def is_coded(matrix: np.ndarray) -> np.ndarray:
    """Columns that hold 0, 1 and -1 only: categories, not measurements."""
    return ((matrix == 0) | (np.abs(matrix) == 1)).all(0)


def intercept_of(features: pd.DataFrame) -> np.ndarray:
    """Coefficients whose sum of columns is closest to 1 in every sample, whatever the units; 0 where they are rounding."""
    if INTERCEPT in features and (features[INTERCEPT] == 1).all():
        return (features.columns == INTERCEPT).astype(float)
    matrix = features.to_numpy()
    scale = np.abs(matrix).max(0, initial=0.0)
    scale[scale == 0] = 1
    solution, *_ = np.linalg.lstsq(matrix / scale, np.ones(len(matrix)), rcond=None)
    solution[np.abs(solution) < NEAR_ONE * np.abs(solution).max(initial=0.0)] = 0.0
    return solution / scale


def strata_columns(design: StudyDesign, groupby: str, within: str | Sequence[str] | None) -> list[str]:
    """Columns of obs to stratify by; ``"auto"`` takes the categorical ones with few levels, at most 30 combinations.

    Raises
    ------
    KeyError
        If a column does not exist.
    """
    obs = design.obs
    if within == AUTO:
        others = [name for name in design.categorical if name in obs and name != groupby]
        chosen: list[str] = []
        for name in sorted(others, key=lambda other: obs[other].nunique()):
            if len(obs[[*chosen, name]].drop_duplicates()) <= MAX_STRATA:
                chosen.append(name)
        return chosen
    columns = [within] if isinstance(within, str) else list(within or ())
    absent = [name for name in columns if name not in obs]
    if absent:
        raise KeyError(f"within={absent} are not columns of adata.obs; it has {list(obs.columns)}.")
    return [name for name in columns if name != groupby]


AUTO = "auto"
MAX_STRATA = 30


def _indicator_names(factor: Factor) -> list[str]:
    return [f"{factor.name}[T.{level}]" for level in factor.levels[1:]]


def _indicators(obs: pd.DataFrame, factor: Factor) -> pd.DataFrame:
    column = obs[factor.name]
    codes = pd.Index(factor.levels).get_indexer(column.astype(object))
    if (codes < 0).any():
        unknown = sorted(set(column[codes < 0]), key=str)
        raise ValueError(
            f"Column {factor.name!r} has levels {unknown} that the model does not know; it knows {list(factor.levels)}."
        )
    indicators = (codes[:, None] == np.arange(1, len(factor.levels))).astype(float)
    return pd.DataFrame(indicators, obs.index, _indicator_names(factor))
