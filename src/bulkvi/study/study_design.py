"""The design of registered samples: formula (or matrix of the user), batches and covariates as named columns of one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from bulkvi.stats.rank import aliased_columns
from bulkvi.study.design import INTERCEPT, Design, apply_design, columns_of_variable
from bulkvi.study.formula_calls import COLUMN
from bulkvi.study.formula_names import backticked

BATCH = "batch"
FORMULA, CONTINUOUS, CATEGORY = "design", "continuous", "category"
NEAR_ONE = 1e-6
NEAR_SPAN = 1e-6
AUTO = "auto"
MAX_STRATA = 30


class Factor(NamedTuple):
    """A categorical column of obs besides the formula."""

    name: str
    levels: tuple[Any, ...]
    """Reference level first."""


@dataclass(frozen=True, eq=False)
class StudyDesign:
    """Formula, batches and covariates of the samples, which code other samples too.

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
        """The current samples, one row each: columns may have been added since."""
        return self.adata.obs

    @cached_property
    def matrix(self) -> pd.DataFrame:
        """Samples x columns, float64, of full column rank, with an intercept in its span.

        Columns have the names of the formula's terms; batches and categories ``"<column>[T.<level>]"``.
        """
        return self.full_matrix.iloc[:, self._kept]

    @cached_property
    def full_matrix(self) -> pd.DataFrame:
        """:attr:`matrix` with the dropped columns."""
        return self._join(self.sample_blocks, self.obs.index)

    @cached_property
    def sample_blocks(self) -> dict[str, pd.DataFrame]:
        """:meth:`blocks` of the samples: their formula is evaluated here and nowhere else."""
        return self.blocks(self.obs)

    def code(self, obs: pd.DataFrame) -> pd.DataFrame:
        """Code other samples as rows of :attr:`matrix`; raise ValueError on an unknown level."""
        return self.code_full(obs).iloc[:, self._kept]

    def code_full(self, obs: pd.DataFrame) -> pd.DataFrame:
        """Code samples as rows of :attr:`full_matrix`; raise ValueError on an unknown level."""
        return self._join(self.blocks(obs), obs.index)

    def _join(self, blocks: dict[str, pd.DataFrame], samples: pd.Index) -> pd.DataFrame:
        columns = pd.concat([pd.DataFrame(index=samples), *blocks.values()], axis=1)
        if self._needs_intercept:
            columns.insert(0, INTERCEPT, 1.0)
        return columns

    def blocks(self, obs: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Code each kind of covariate (formula, continuous, each category, batch) without intercept, float64."""
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
        """Columns of obs in the design: formula, batch and covariates."""
        names = [
            *(() if self.formula is None else self.formula.variables),
            *(() if self.batch is None else (self.batch.name,)),
            *(factor.name for factor in self.categories),
            *self.continuous,
        ]
        return list(dict.fromkeys(names))

    @property
    def categorical(self) -> list[str]:
        """The categorical ones of :attr:`variables`."""
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
        """Return the columns of the full matrix that depend on a column of obs, interactions included."""
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
        """Whether the weighted sum of the effects of all columns of the full matrix can be estimated.

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
        columns = pd.concat(list(self.sample_blocks.values()), axis=1)
        return bool(np.abs(columns.to_numpy() @ intercept_of(columns) - 1).max() > NEAR_ONE)

    @cached_property
    def _kept(self) -> list[int]:
        matrix = self.full_matrix.to_numpy()
        aliased = aliased_columns(matrix)
        return [column for column in range(matrix.shape[1]) if column not in aliased]


def is_coded(matrix: np.ndarray) -> np.ndarray:
    """Mark columns that hold 0, 1 and -1 only: categories, not measurements."""
    return ((matrix == 0) | (np.abs(matrix) == 1)).all(0)


def intercept_of(features: pd.DataFrame) -> np.ndarray:
    """Return coefficients whose sum of columns is closest to 1 in every sample, whatever the units; rounding errors are 0."""
    if INTERCEPT in features and (features[INTERCEPT] == 1).all():
        return (features.columns == INTERCEPT).astype(float)
    matrix = features.to_numpy()
    scale = np.abs(matrix).max(0, initial=0.0)
    scale[scale == 0] = 1
    solution, *_ = np.linalg.lstsq(matrix / scale, np.ones(len(matrix)), rcond=None)
    solution[np.abs(solution) < NEAR_ONE * np.abs(solution).max(initial=0.0)] = 0.0
    return solution / scale


def strata_columns(design: StudyDesign, groupby: str, within: str | Sequence[str] | None) -> list[str]:
    """Return columns of obs to stratify by; ``"auto"``: the categorical ones with few levels, at most 30 combinations."""
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


def _indicator_names(factor: Factor) -> list[str]:
    return [f"{factor.name}[T.{level}]" for level in factor.levels[1:]]


def _indicators(obs: pd.DataFrame, factor: Factor) -> pd.DataFrame:
    column = obs[factor.name]
    codes = pd.Index(factor.levels).get_indexer(column.astype(object))
    if (codes < 0).any():
        unknown = sorted(set(column[codes < 0]), key=str)
        raise ValueError(
            f"Column {factor.name!r} has levels {unknown} that are unknown to the model; its levels are {list(factor.levels)}."
        )
    indicators = (codes[:, None] == np.arange(1, len(factor.levels))).astype(float)
    return pd.DataFrame(indicators, obs.index, _indicator_names(factor))


def add_design_matrix(adata: AnnData, matrix: pd.DataFrame) -> str:
    """Write the columns of a design matrix (rows in any order) into ``adata.obs``; return the formula of their slopes.

    A constant column is the intercept; without one the formula has none. Raise ValueError if the samples differ, names repeat,
    a column does not hold finite numbers, or obs has another column of the same name.
    """
    names = [str(name) for name in matrix.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise ValueError(f"The design matrix needs columns with names of their own; {repeated or 'it has none'}.")
    if not matrix.index.is_unique or set(matrix.index) != set(adata.obs_names):
        absent = [name for name in adata.obs_names if name not in set(matrix.index)]
        raise ValueError(
            f"The design matrix must have a row for each of the {adata.n_obs} samples, indexed by adata.obs_names; it has "
            f"{len(matrix)} rows, {len(absent)} samples are missing (first: {absent[:3]}). Set matrix.index = adata.obs_names if the "
            "order is the same."
        )
    columns = {}
    for name, label in zip(names, matrix.columns, strict=True):
        column = pd.to_numeric(matrix[label].reindex(adata.obs_names), errors="coerce")
        numbers = column.to_numpy(dtype=float, na_value=np.nan)
        if not np.isfinite(numbers).all():
            raise ValueError(
                f"The design matrix: column {name!r} does not hold finite numbers in all samples. A matrix is numbers only; text "
                "and categories go into a formula."
            )
        columns[name] = numbers
    constant = [name for name, values in columns.items() if np.ptp(values) == 0 and values[0] != 0]
    if len(constant) > 1:
        raise ValueError(
            f"The design matrix has {len(constant)} constant columns, {constant}. Leave one as the intercept."
        )
    if INTERCEPT in columns and INTERCEPT not in constant:
        raise ValueError(f"The design matrix: column {INTERCEPT!r} is not constant. Rename it.")
    varying = {name: values for name, values in columns.items() if name not in constant}
    for name, values in varying.items():
        if name in adata.obs and not _same(adata.obs[name], values):
            raise ValueError(
                f"adata.obs has a column {name!r} with other values than the design matrix, whose columns are written there. Rename "
                "one of them."
            )
    for name, values in varying.items():
        if name not in adata.obs:
            adata.obs[name] = values
    return " + ".join([f"~ {int(bool(constant))}", *(f"{COLUMN}({backticked(name)})" for name in varying)])


def is_matrix_formula(formula: str) -> bool:
    """Whether a formula is one of :func:`add_design_matrix`."""
    return formula.startswith((f"~ 0 + {COLUMN}(", f"~ 1 + {COLUMN}("))


def _same(column: pd.Series, values: np.ndarray) -> bool:
    numeric = pd.api.types.is_numeric_dtype(column)
    return numeric and bool(np.array_equal(column.to_numpy(dtype=float, na_value=np.nan), values))
